"""A program that imports tars in child processes, each of which kills itself at the n-th point.

Points are before and after every step of the importer that changes a store or a file, and between
two chunks of unpacking. Each line of its input, JSON `[database URL, directory, tar, n]`, is one
import; it prints the exit status of the child, which is 0 if there are fewer points. Forking saves
the start of Python, most of what a process would take.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import trio

from appliance.recordings.imports.importer import import_tar
from tests.doubles.import_tools import open_import_bench

_STEPS = (
    *("begin", "note", "write_recording", "retry_later", "give_up"),
    *("unpack", "discard", "accept", "place", "reject", "remove"),
)


class Deadly:
    """A proxy that reports the points of an object."""

    def __init__(self, real: object, point: Callable[[], None]) -> None:
        self._real = real
        self._point = point

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name not in _STEPS:
            return method
        if name in ("begin", "note", "write_recording", "retry_later", "give_up"):
            return functools.partial(self._await, method)
        return functools.partial(self._unpack if name == "unpack" else self._call, method)

    def _unpack(self, method: Callable[..., Any], tar: Any, work: str, stop: Any) -> Any:
        def at_each_chunk() -> bool:
            self._point()
            return bool(stop())

        return self._call(method, tar, work, at_each_chunk)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._point()
        result = method(*args, **kwargs)
        self._point()
        return result

    async def _await(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._point()
        result = await method(*args, **kwargs)
        self._point()
        return result


async def main(database_url: str, root: str, name: str, last: int) -> None:
    """Import the tar."""
    passed = 0

    def point() -> None:
        nonlocal passed
        passed += 1
        if passed == last:
            os.kill(os.getpid(), signal.SIGKILL)

    async with open_import_bench(database_url, Path(root)) as bench:
        tools = replace(
            bench.tools,
            journal=cast(Any, Deadly(bench.journal, point)),
            spool=cast(Any, Deadly(bench.spool, point)),
            files=cast(Any, Deadly(bench.files, point)),
        )
        assert await import_tar(tools, bench.tar(name)) is None


if __name__ == "__main__":
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            trio.run(main, *json.loads(line))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
