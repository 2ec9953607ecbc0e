"""`ctl` alone: the pool in short, and what to do next."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from appliance.ctl.console import Console
from appliance.ctl.overview import show_commands, suggest, summarize
from tests.doubles.control import run_ctl
from tests.doubles.pool import open_pool
from tests.doubles.redis_processes import redis_process

PROGRAM = "scalelite-appliance"
LOST = {"event": "server_offline"}
GIVEN_UP = {"event": "recording_import_given_up"}


def server(name: str, state: str = "enabled", status: str = "online", meetings: int = 0) -> Any:
    return {"id": name, "hostname": name, "state": state, "status": status, "meetings": meetings}


@pytest.mark.parametrize(
    ("servers", "problems", "expected"),
    [
        ([], [], ["servers add --enable", "doctor", "top"]),
        ([server("a")], [], ["top", "events --follow", "doctor"]),
        ([server("a")], [GIVEN_UP],
         ["recordings imports --failed", "events --since 1h", "top"]),
        ([server("a", status="offline"), server("b", status="unstable")], [LOST],
         ["doctor", "poll", "events --since 1h"]),
        ([server("a", "disabled", "offline")], [],
         ["servers enable a", "top", "events --follow"]),
        ([server("a", "cordoned", meetings=2), server("b", "disabled")], [],
         ["servers drain a --wait", "servers enable b", "top"]),
    ],
)  # fmt: skip
def test_commands_suit_the_state(
    servers: list[Any], problems: list[Any], expected: list[str]
) -> None:
    found = suggest({"servers": servers}, problems)

    assert [command for command, _ in found] == [f"ctl {words}" for words in expected]
    assert all(effect for _, effect in found)


def test_pool_is_a_line() -> None:
    status = {"servers": [server("a"), server("b")], "available": 1, "meetings": 1, "users": 20}

    assert summarize(status) == "1 of 2 servers available; 1 meeting, 20 users"


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_what_a_command_does_is_below_it_where_it_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = suggest({"servers": [server("bbb1.example.com", status="offline")]}, [])
    shown = {}
    for columns in ("80", "132"):
        monkeypatch.setenv("COLUMNS", columns)
        screen = Screen()
        show_commands(Console(screen, screen, screen, no_color=True), commands)
        shown[columns] = screen.getvalue().splitlines()

    assert max(map(len, shown["80"])) <= 80
    assert shown["80"][1:3] == [
        "  scalelite-appliance ctl doctor",
        "      says why bbb1.example.com cannot be reached or used",
    ]
    assert len(shown["132"]) == 4


async def test_overview_of_a_running_pool(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 1) as pool:
        await pool.enable_all()
        pool.res.events.take({"event": "redis_lost", "level": "warning", "reason": "x\x1b[1m"})

        done = await pool.control.ctl()
        found = (await pool.control.ctl("--json")).json

    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0] == "1 of 1 server available; 0 meetings, 0 users"
    assert lines[2].startswith("HOSTNAME  ")
    assert "\n1 problem in the last hour, the last one:\n\t" in done.out
    assert "the connection to Redis is lost: x\\x1b[1m" in done.out
    assert lines[-3].startswith(f"  {PROGRAM} ctl events --since 1h  ")
    assert [one["command"] for one in found["suggestions"]][1] == f"{PROGRAM} ctl top"
    assert found["servers"][0]["status"] == "online"


async def test_overview_without_servers_and_without_redis(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with open_pool(redis.unix_url, redis_namespace, 0) as pool:
            empty = await pool.control.ctl()
            redis.kill()
            down = await pool.control.ctl()

    assert empty.code == 0
    assert empty.out.startswith("There are no servers yet.\n\n")
    assert f"  {PROGRAM} ctl servers add --enable  " in empty.out
    assert down.code == 1
    assert "store" in down.err
    assert f"  {PROGRAM} ctl doctor  " in down.out


def test_overview_of_an_appliance_that_is_down_says_what_to_do(tmp_path: Path) -> None:
    done = run_ctl(tmp_path / "ctl.sock")
    as_json = run_ctl(tmp_path / "ctl.sock", "--json")

    assert (done.code, as_json.code) == (3, 3)
    assert "not running" in done.err.splitlines()[0]
    assert f"  {PROGRAM} config check  " in done.out
    assert as_json.json["error"].splitlines()[0] == done.err.splitlines()[0]
