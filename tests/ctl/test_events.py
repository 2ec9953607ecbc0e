"""`ctl events`: the last events, those since a time, and --follow across a restart."""

from __future__ import annotations

import json
import time
from argparse import ArgumentTypeError
from functools import partial

import pytest
import trio

from appliance.ctl.events import parse_since
from tests.doubles.control import NO_GROUP
from tests.doubles.pool import Pool, open_pool
from tests.doubles.terminal import Terminal

OFFLINE = {
    "event": "server_offline",
    "level": "warning",
    "server": "bbb1",
    "reason": "connection \x1b[31m refused",
    "detached_meetings": 2,
}
ONLINE = {"event": "server_online", "level": "info", "server": "bbb1"}
IMPORTED = {"event": "recording_imported", "level": "info", "file": "a.tar"}


def parse_ago(text: str) -> float:
    return time.time() - parse_since(text) / 1000


def test_since_is_an_age_or_a_time() -> None:
    assert parse_ago("90s") == pytest.approx(90, abs=5)
    assert parse_ago("2h") == pytest.approx(7200, abs=5)
    assert parse_since("2026-11-29T20:15:00+00:00") == 1_795_983_300_000
    assert parse_since("2026-11-29 20:15") - parse_since("2026-11-29") == 1_215 * 60_000
    for wrong in ("yesterday", "1w", "-5m", ""):
        with pytest.raises(ArgumentTypeError):
            parse_since(wrong)


async def test_events_are_a_line_each_and_json(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        empty = await pool.control.ctl("events")
        for event in (OFFLINE, IMPORTED, ONLINE):
            pool.res.events.take(event)

        shown = await pool.control.ctl("events")
        found = (
            await pool.control.ctl("events", "--since", "1h", "--kind", "server", "--json")
        ).json
        last = (await pool.control.ctl("events", "--limit", "1", "--json")).json
        since = (await pool.control.ctl("events", "--since", "1h", "--limit", "2", "--json")).json
        of_kind = ("--kind", "server", "--limit", "1", "--json")
        one = (await pool.control.ctl("events", *of_kind)).json
        none = await pool.control.ctl("events", "--since", "2100-01-01")

    assert (empty.code, empty.out, empty.err) == (0, "", "no events\n")
    first, second, third = shown.out.splitlines()
    assert first.endswith(
        "  bbb1 is offline; it had 2 meetings: connection \\x1b[31m refused [test]"
    )
    assert second.endswith("  recording  a.tar was imported [test]")
    assert third.endswith("  server     bbb1 is online [test]")
    assert [one["event"] for one in found] == ["server_offline", "server_online"]
    assert found[0]["fields"]["detached_meetings"] == 2
    assert [one["event"] for one in last] == ["server_online"]
    assert [one["event"] for one in since] == ["recording_imported", "server_online"]
    assert [event["event"] for event in one] == ["server_online"]
    assert none.out == ""


def follow(pool: Pool, *options: str) -> Terminal:
    return Terminal(pool.control.path, ("events", "--follow", *options))


async def test_follow_shows_old_and_new_events_until_ctrl_c(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        pool.res.events.take(IMPORTED)
        pool.res.events.take(OFFLINE)
        pool.res.events.take(IMPORTED)
        terminal = follow(pool, "--json", "--since", "1h", "--limit", "1", "--kind", "server")
        try:
            await trio.to_thread.run_sync(terminal.wait_for, "server_offline")
            pool.res.events.take(ONLINE)
            await trio.to_thread.run_sync(terminal.wait_for, "server_online")
        finally:
            terminal.interrupt()
            with trio.fail_after(30, shield=True):
                code, screen = await trio.to_thread.run_sync(terminal.end)

    lines = [json.loads(line) for line in screen.splitlines() if line.startswith("{")]
    assert code == 0
    assert [line["event"] for line in lines] == ["server_offline", "server_online"]


async def test_follow_without_an_appliance_ends_and_a_restart_does_not_end_it(
    redis_url: str, redis_namespace: str
) -> None:
    from appliance.admin.control_socket import serve_control
    from appliance.admin.routes import make_control_app
    from appliance.settings import ControlSettings

    async with open_pool(redis_url, redis_namespace, 0) as pool:
        path = pool.control.path.with_name("second.sock")
        serve = partial(
            serve_control, make_control_app(pool.res), ControlSettings(path, NO_GROUP), pool.log
        )
        terminal = Terminal(path, ("events", "--follow"))
        code, screen = await trio.to_thread.run_sync(terminal.end)
        assert code == 3
        assert "not running" in screen

        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            terminal = Terminal(path, ("events", "--follow"))
            pool.res.events.take(OFFLINE)
            await trio.to_thread.run_sync(terminal.wait_for, "bbb1 is offline")
            nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(terminal.wait_for, "waiting for it")
        pool.res.events.take(ONLINE)
        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            await trio.to_thread.run_sync(terminal.wait_for, "bbb1 is online")
            terminal.interrupt()
            code, screen = await trio.to_thread.run_sync(terminal.end)
            nursery.cancel_scope.cancel()

    assert screen.count("bbb1 is offline") == 1
    assert "the appliance is back" in screen
