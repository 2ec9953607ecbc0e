"""`ctl status`: the table, JSON, --watch, and its CPU time."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import trio

from appliance.ctl.status import render_status
from tests.doubles.control import ctl_environment
from tests.doubles.pool import Pool, open_pool
from tests.doubles.redis_processes import redis_process
from tests.doubles.terminal import Terminal, on_terminal

HEADING = (
    "HOSTNAME   STATE     STATUS   MEETINGS  USERS  LARGEST MEETING  VIDEOS  LOAD  BBB VERSION  TAG"
)
STARTS = 25
"""Maximum CPU time of `ctl status`, as a multiple of that of an idle interpreter. It takes nine;
with an import of the appliance it would take sixty. The best of a few runs depends little on other
load."""


async def test_status_fits_a_terminal_of_80_columns(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        long = {
            "url": "http://a-long-host-name.of-a-server.invalid",
            "secret": "s",
            "tag": "lectures",
        }
        await pool.control.post("addServer", long)

        _, screen = await trio.to_thread.run_sync(on_terminal, pool.control.path, ("status",))

        lines = re.sub(r"\x1b\[\d+m", "", screen).splitlines()
        assert max(map(len, lines)) <= 80
        assert lines[0].split()[:4] == ["HOSTNAME", "STATE", "STATUS", "MEETINGS"]
        assert lines[-1].startswith("(not shown: ")


async def test_status_is_the_table_of_scalelite(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        await pool.enable_all()
        await pool.create("alpha")
        bbb.set_users("alpha", participants=4, videos=2)
        await pool.control.post("poll", {})
        await pool.control.post(
            "addServer",
            {"url": "http://127.0.0.1/api", "secret": "s", "id": "a-second", "tag": "gpu"},
        )

        shown = await pool.control.ctl("status")
        rows = (await pool.control.ctl("status", "--json")).json

        heading, second, first = shown.out.splitlines()
        assert " ".join(heading.split()) == " ".join(HEADING.split())
        port = urlsplit(bbb.url).port
        assert first.split() == [
            *(f"127.0.0.1:{port}", "enabled", "online", "1", "4", "4", "2", "15.0", bbb.version)
        ]
        assert second.split() == [
            *("127.0.0.1:80", "disabled", "offline", "0", "0", "0", "0", "-", "gpu")
        ]
        assert second.endswith("gpu")
        assert (shown.code, shown.err) == (0, "")
        assert [row["id"] for row in rows] == ["a-second", "bbb-1"]
        assert rows[1]["load"] == 15.0


def test_words_are_coloured_only_with_colours() -> None:
    row = {
        **{"hostname": "h", "state": "enabled", "status": "unstable", "meetings": 1, "users": 2},
        **{"largest_meeting": 2, "videos": 0, "load": 1.5, "bbb_version": "3.0", "tag": ""},
    }

    assert "\x1b[33munstable\x1b[0m" in render_status({"servers": [row]}, colours=True, width=None)
    assert "\x1b" not in render_status({"servers": [row]}, colours=False, width=None)


def watch(pool: Pool, tables: int) -> tuple[int, str]:
    """Watch in a pipe, interrupt it after some tables, and return exit code and output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "ctl", "status", "--watch", "--interval", "0.05"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ctl_environment(pool.control.path),
        cwd="/",
    )
    assert process.stdout is not None
    seen = ""
    while seen.count("HOSTNAME") < tables:
        line = process.stdout.readline()
        assert line
        seen += line
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=40)
    return process.returncode, seen + rest


async def test_watch_continues_until_it_is_interrupted(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        code, seen = await trio.to_thread.run_sync(watch, pool, 3)

        assert code == 0
        assert "\x1b" not in seen
        assert "Traceback" not in seen


WATCH = ("status", "--watch", "--interval", "0.05")


def watch_on_terminal(pool: Pool) -> tuple[int, str]:
    terminal = Terminal(pool.control.path, WATCH)
    terminal.wait_for("HOSTNAME", 3)
    terminal.interrupt()
    return terminal.end()


async def test_watch_clears_the_screen_on_a_terminal(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        code, screen = await trio.to_thread.run_sync(watch_on_terminal, pool)

        assert code == 0
        assert screen.count("\x1b[H\x1b[2J") >= 3


def watch_while(pool: Pool, breaks: Callable[[], None]) -> tuple[int, str]:
    """Watch on a terminal, break something, and interrupt after the error is shown."""
    terminal = Terminal(pool.control.path, WATCH)
    terminal.wait_for("HOSTNAME")
    breaks()
    terminal.wait_for("not reachable", 2)
    terminal.interrupt()
    return terminal.end()


async def test_watch_on_a_terminal_continues_while_the_store_is_unreachable(
    redis_namespace: str,
) -> None:
    with redis_process() as redis:
        async with open_pool(redis.unix_url, redis_namespace, 0) as pool:
            code, _ = await trio.to_thread.run_sync(watch_while, pool, redis.kill)

            assert code == 0


def test_watch_fails_without_an_appliance(tmp_path: Path) -> None:
    code, screen = on_terminal(tmp_path / "ctl.sock", ("status", "--watch"))

    assert code == 3
    assert screen.startswith("the appliance is not running")


def children_s() -> float:
    """Return the CPU time of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def test_status_uses_little_cpu_time(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        idle, status = [], []
        for _ in range(5):
            began_s = children_s()
            await trio.run_process([sys.executable, "-c", "pass"])
            middle_s = children_s()
            assert (await pool.control.start_ctl("status")).code == 0
            idle.append(middle_s - began_s)
            status.append(children_s() - middle_s)

        assert min(status) < STARTS * min(idle)
