"""`ctl top`: the rates, the screen on a terminal, and its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.ctl.top import MISSING, find_rates
from tests.doubles.pool import open_pool
from tests.doubles.terminal import Terminal


def snapshot(time_ms: int, *calls: tuple[str, str, int, float, list[int]]) -> Any:
    names = ("name", "result", "count", "seconds", "buckets")
    rows = [dict(zip(names, call, strict=True)) for call in calls]
    return {"time_ms": time_ms, "bounds": [0.01, 0.1], "calls": rows}


def test_rates_are_what_was_added_between_two_looks() -> None:
    old = snapshot(0, ("create", "ok", 10, 1.0, [10, 0, 0]), ("join", "ok", 5, 1.0, [5, 0, 0]))
    new = snapshot(
        10_000,
        ("create", "ok", 29, 1.4, [29, 0, 0]),
        ("create", "error", 1, 0.6, [0, 1, 0]),
        ("join", "ok", 5, 1.0, [5, 0, 0]),
        ("end", "refused", 40, 0.4, [0, 0, 40]),
    )

    end, create = find_rates(old, new, "calls")

    assert (end.name, end.per_s, end.failed, end.p95_ms) == ("end", 4.0, 0, float("inf"))
    assert (create.name, create.per_s, create.failed, create.p95_ms) == ("create", 2.0, 1, 10)
    assert create.mean_ms == pytest.approx(50)


def test_rates_after_a_restart_are_what_was_counted_since() -> None:
    old = snapshot(0, ("create", "ok", 100, 1.0, [100, 0, 0]))
    new = snapshot(1000, ("create", "ok", 3, 0.3, [0, 3, 0]))

    (rate,) = find_rates(old, new, "calls")

    assert (rate.per_s, rate.p95_ms) == (3.0, 100)


async def test_keys_select_sort_cordon_drain_and_enable(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 2) as pool:
        await pool.enable_all()
        await pool.create("alpha")
        await pool.control.post("poll", {})
        pool.res.metrics.requests.observe(0.02, "getMeetingInfo", "ok")
        pool.res.events.take({"event": "redis_lost", "level": "warning"})
        terminal = Terminal(pool.control.path, ("top", "--interval", "0.3"))

        def use() -> tuple[int, str]:
            terminal.wait_for("the connection to Redis is lost")
            terminal.wait_for("sorted by load")
            for key, seen in (
                ("sss", "sorted by host"),
                ("\x1b[A\x1b[Be", "enabled, online"),
                ("c", ": cordoned"),
                ("d", "drains: "),
            ):
                terminal.type(key)
                terminal.wait_for(seen)
            terminal.type("q")
            return terminal.end()

        code, screen = await trio.to_thread.run_sync(use)
        states = [one["state"] for one in (await pool.control.get("getStatus"))["servers"]]

    assert code == 0
    assert "2 of 2 servers available; 1 meeting" in screen
    assert sorted(states) == ["cordoned", "enabled"]


async def test_a_pipe_gets_json_only_and_a_missing_library_is_named(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    (tmp_path / "rich.py").write_text("raise ImportError\n")
    async with open_pool(redis_url, redis_namespace, 1) as pool:
        piped = await pool.control.ctl("top")
        found = (await pool.control.ctl("top", "--json")).json
        terminal = Terminal(pool.control.path, ("top",), str(tmp_path))
        code, screen = await trio.to_thread.run_sync(terminal.end)

    assert (piped.code, piped.err) == (1, "ctl top needs a terminal; scripts use --json\n")
    assert found["activity"]["calls"] == []
    assert (code, screen.strip()) == (1, MISSING.replace("`", "'"))
