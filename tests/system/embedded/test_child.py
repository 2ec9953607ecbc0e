"""One child process: its environment, its end, and the processes that it must not affect."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from appliance.system.embedded import child as child_module
from appliance.system.embedded.child import (
    Child,
    ChildSpec,
    describe_exit,
    end_strays,
    last_lines,
    spawn,
    wait_exit,
)
from appliance.system.embedded.state import EmbeddedStoresError, find_redis

DEADLINE_S = 40.0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    found = tmp_path / "data"
    found.mkdir()
    return found


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def redis_argv(directory: str) -> list[str]:
    options = ["--dir", directory, "--port", "0", "--unixsocket", "redis.sock", "--save", ""]
    return [find_redis(), *options]


def redis_spec(directory: Path, **changes: object) -> ChildSpec:
    """Return the spec of a Redis that runs as the current user."""
    fields: dict[str, object] = {
        "name": "redis",
        "directory": directory,
        "argv": redis_argv,
        "stop_signal": signal.SIGTERM,
        "log_file": directory.parent / "redis.log",
        "user": None,
        "clear_leftovers": lambda: None,
        "is_ready": lambda: _says_ready(directory.parent / "redis.log"),
    }
    return ChildSpec(**{**fields, **changes})  # type: ignore[arg-type]


async def _says_ready(log_file: Path) -> bool:
    return "Ready to accept" in last_lines(log_file)


def pid_of(child: Child) -> int:
    assert child.pid is not None
    return child.pid


async def _always() -> bool:
    return True


async def test_spawn_passes_the_directory_and_stdin_but_not_the_environment(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_SECRET", "geheim")
    (directory / "inside").write_text("found")
    log_file = directory.parent / "out.log"

    def argv(path: str) -> list[str]:
        return shell(f"cat {path}/inside -; pwd; env")

    with trio.fail_after(DEADLINE_S):
        process = spawn(
            argv, directory, None, log_file, death_signal=signal.SIGTERM, stdin=b" input\n"
        )
        assert await wait_exit(process) == 0
    assert log_file.read_text().startswith("found input\n/\n")
    assert "geheim" not in log_file.read_text()


async def test_spawn_starts_a_group_of_the_session_that_ctrl_c_does_not_reach(
    directory: Path,
) -> None:
    with trio.fail_after(DEADLINE_S):
        process = spawn(
            lambda _: shell("exec sleep 60"),
            directory,
            None,
            directory.parent / "out.log",
            death_signal=signal.SIGTERM,
        )
        try:
            assert (os.getsid(process.pid), os.getpgid(process.pid)) == (os.getsid(0), process.pid)
        finally:
            process.kill()
            assert await wait_exit(process) == -signal.SIGKILL  # noqa: ASYNC102


def test_spawn_reports_why_it_failed(directory: Path) -> None:
    with pytest.raises(EmbeddedStoresError, match=r"redis-server cannot be started: .*missing"):
        spawn(
            lambda _: ["/usr/bin/redis-server"],
            directory / "missing",
            None,
            directory.parent / "out.log",
            death_signal=signal.SIGTERM,
        )


async def test_log_file_is_rotated_when_it_is_large(directory: Path) -> None:
    log_file = directory.parent / "out.log"
    log_file.write_bytes(b"x" * (child_module.LOG_MAX_BYTES + 1))
    with trio.fail_after(DEADLINE_S):
        process = spawn(
            lambda _: shell("echo new"), directory, None, log_file, death_signal=signal.SIGTERM
        )
        await wait_exit(process)
    assert log_file.read_text() == "new\n"
    assert log_file.with_suffix(".log.old").stat().st_size > child_module.LOG_MAX_BYTES


async def test_start_reports_the_log_of_a_server_that_exits(directory: Path) -> None:
    spec = redis_spec(directory, argv=lambda _: shell("echo out of luck; exit 3"))
    with (
        trio.fail_after(DEADLINE_S),
        pytest.raises(EmbeddedStoresError, match=r"(?s)redis did not start \(exit code 3\).*luck"),
    ):
        await Child(spec, structlog.get_logger()).start()


async def test_stop_kills_a_server_that_ignores_the_signal(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "STOP_DEADLINE_S", 0.1)
    child = Child(redis_spec(directory), structlog.get_logger())
    with trio.fail_after(DEADLINE_S), capture_logs() as logs:
        await child.start()
        os.kill(pid_of(child), signal.SIGSTOP)
        await child.stop()
    assert child.pid is None
    assert [log["event"] for log in logs] == ["embedded_store_ready", "embedded_store_killed"]


async def test_stop_is_not_cut_short_by_cancellation(directory: Path) -> None:
    child = Child(redis_spec(directory), structlog.get_logger())
    with trio.fail_after(DEADLINE_S):
        await child.start()
        with trio.CancelScope() as scope:
            scope.cancel()
            await child.stop()
    assert child.pid is None


async def test_restarts_wait_longer_while_the_server_keeps_exiting(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "FIRST_RESTART_S", 0.01)
    monkeypatch.setattr(child_module, "LAST_RESTART_S", 0.05)
    spec = redis_spec(directory, argv=lambda _: shell("exit 1"), is_ready=_always)
    child = Child(spec, structlog.get_logger())
    with trio.fail_after(DEADLINE_S), capture_logs() as logs:
        await child.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.keep_running)
            while len(waits(logs)) < 5:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert waits(logs)[:5] == [0.01, 0.02, 0.04, 0.05, 0.05]


def waits(logs: Sequence[Mapping[str, Any]]) -> list[float]:
    return [log["restart_in_s"] for log in logs if log["event"] == "embedded_store_ended"]


@pytest.fixture
def bystander(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in the data directory that is not a server, like an operator's shell."""
    process = subprocess.Popen(["sleep", "60"], cwd=directory)
    yield process
    process.kill()
    process.wait()


async def test_end_strays_stops_servers_only(
    directory: Path, bystander: subprocess.Popen[bytes]
) -> None:
    elsewhere = directory.parent / "elsewhere"
    elsewhere.mkdir()
    mine, other = (
        Child(redis_spec(where), structlog.get_logger()) for where in (directory, elsewhere)
    )
    with trio.fail_after(DEADLINE_S), capture_logs() as logs:
        await mine.start()
        await other.start()
        stray = mine.pid
        try:
            async with trio.open_nursery() as nursery:
                # Reaped by this process, as init reaps an orphan.
                nursery.start_soon(reap, mine)
                await end_strays(directory, signal.SIGTERM, structlog.get_logger())
            assert mine.pid is None
            assert other.pid is not None
            assert bystander.poll() is None
        finally:
            await mine.stop()  # noqa: ASYNC102 - shields itself, with a deadline
            await other.stop()  # noqa: ASYNC102
    assert {
        "event": "embedded_store_orphans_found",
        "pids": [stray],
        "log_level": "warning",
    } in logs


async def reap(child: Child) -> None:
    while child.pid is not None:
        await trio.sleep(0.005)


async def test_end_strays_does_nothing_without_a_directory(tmp_path: Path) -> None:
    await end_strays(tmp_path / "none", signal.SIGTERM, structlog.get_logger())


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "exit code 0"), (2, "exit code 2"), (-9, "SIGKILL"), (-15, "SIGTERM"), (-99, "signal 99")],
)
def test_describe_exit_names_signals(code: int, text: str) -> None:
    assert describe_exit(code) == text


def test_last_lines_returns_the_end_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"{n}\n" for n in range(9999)))

    assert last_lines(tmp_path / "log", 2) == "9997\n9998"
    assert last_lines(tmp_path / "none") == ""
