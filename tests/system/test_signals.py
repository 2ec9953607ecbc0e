"""Signals, sent to a separate process, because the hard stop ends the process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

WITHIN_S = 40.0

PROGRAM = """
import sys
from functools import partial

import trio

from appliance.system.signals import watch_signals


class Log:
    def info(self, event, **fields):
        print(event, fields.get("signal", ""), flush=True)

    warning = info


async def main():
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        reload = partial(print, "reloaded", flush=True)
        watch = partial(watch_signals, hard_stop_s=float(sys.argv[1]))
        nursery.start_soon(watch, stop, nursery.cancel_scope.cancel, reload, Log())
        await trio.testing.wait_all_tasks_blocked()
        print("ready", flush=True)
        await stop.wait()
        if sys.argv[2] == "ends":
            nursery.cancel_scope.cancel()
    print("ended", flush=True)


import trio.testing

trio.run(main)
"""


class Watching:
    """A process that watches its signals."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def line(self) -> str:
        """Return the next line of its output."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def exit_code(self) -> int:
        """Wait for its end."""
        return self._process.wait(WITHIN_S)


@contextmanager
def watching(*, hard_stop_s: float = 60.0, ends: bool = False) -> Iterator[Watching]:
    """Run the program; with `ends` it exits when `stop` is set."""
    arguments = [str(hard_stop_s), "ends" if ends else "continues"]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Watching(process)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_requests_a_stop(number: signal.Signals) -> None:
    with watching(ends=True) as program:
        assert program.line() == "ready"
        program.send(number)

        assert [program.line(), program.line()] == [f"stopping {number.name}", "ended"]
        assert program.exit_code() == 0


def test_second_signal_stops_at_once() -> None:
    with watching() as program:
        assert program.line() == "ready"
        program.send(signal.SIGTERM)
        assert program.line() == "stopping SIGTERM"
        program.send(signal.SIGINT)

        assert [program.line(), program.line()] == ["stopping_at_once SIGINT", "ended"]
        assert program.exit_code() == 0


def test_hangup_reloads_and_nothing_stops() -> None:
    with watching() as program:
        assert program.line() == "ready"
        for _ in range(2):
            program.send(signal.SIGHUP)

            assert [program.line(), program.line()] == ["reloading", "reloaded"]


def test_process_ends_when_its_stop_hangs() -> None:
    with watching(hard_stop_s=0.3) as program:
        assert program.line() == "ready"
        program.send(signal.SIGTERM)

        assert program.line() == "stopping SIGTERM"
        assert program.line() == ""
        assert program.exit_code() == 1
