"""Runs the autoscaler's command: JSON on its standard input, a limit of time, its output kept."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import trio

MAX_OUTPUT_BYTES = 4096
"""The end of the output is kept."""
STOP_S = 5.0
"""How long a command may take to end after SIGTERM."""
_LATE_OUTPUT_S = 1.0
"""How long output is read after the command has ended; what it started may hold it open."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended."""

    error: str
    """Empty: with exit code 0."""
    output: str
    """The end of standard output and standard error."""


@dataclass(slots=True)
class _Tail:
    """The end of an output."""

    data: bytearray = field(default_factory=bytearray)
    cut: bool = False

    def add(self, part: bytes | bytearray) -> None:
        self.data += part
        if len(self.data) > MAX_OUTPUT_BYTES:
            self.cut = True
            del self.data[: len(self.data) - MAX_OUTPUT_BYTES]

    def __str__(self) -> str:
        text = self.data.decode("utf-8", "replace").strip()
        return f"…{text}" if self.cut else text


async def run_hook(
    argv: Sequence[str], body: bytes, limit_s: float, environ: Mapping[str, str]
) -> CommandResult:
    """Run a program without a shell; after the limit it is ended with all that it has started."""
    try:
        process = await trio.lowlevel.open_process(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            cwd="/",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return CommandResult(f"cannot be run: {error}", "")
    tail = _Tail()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_feed, process, body)
            nursery.start_soon(_read, process, tail)
            with trio.move_on_after(limit_s) as limit:
                await process.wait()
            if limit.cancelled_caught:
                await _end(process)
            nursery.cancel_scope.deadline = trio.current_time() + _LATE_OUTPUT_S
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 2 * STOP_S):
            if process.returncode is None:
                await _end(process)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()
    if limit.cancelled_caught:
        return CommandResult(f"did not end within {limit_s:g} s", str(tail))
    code = process.returncode or 0
    named = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
    return CommandResult("" if code == 0 else named, str(tail))


async def _feed(process: trio.Process, body: bytes) -> None:
    """Write the input; a program need not read it."""
    assert process.stdin is not None
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await process.stdin.send_all(body)
    await process.stdin.aclose()


async def _read(process: trio.Process, tail: _Tail) -> None:
    assert process.stdout is not None
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for part in process.stdout:
            tail.add(part)


async def _end(process: trio.Process) -> None:
    """End a command and the processes of its session: SIGTERM, then SIGKILL."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with trio.move_on_after(STOP_S):
            await process.wait()
        os.killpg(process.pid, signal.SIGKILL)  # also what the command has left behind
    await process.wait()
