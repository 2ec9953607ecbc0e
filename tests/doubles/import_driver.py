"""A program that imports tars in child processes that kill themselves at a given point.

Points are before and after every step of the importer that changes a store or a file, and between
two chunks of unpacking. Arguments: database URL, directory. It reads lines `TAR POINT` and answers
each with the exit code of the child: -9 (SIGKILL), or 0 if the import has fewer points.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import trio

from appliance.recordings.importer import import_tar
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


async def import_until(database_url: str, root: Path, name: str, last: int) -> None:
    """Import a tar, and kill this process at the point `last`."""
    passed = 0

    def point() -> None:
        nonlocal passed
        passed += 1
        if passed == last:
            os.kill(os.getpid(), signal.SIGKILL)

    async with open_import_bench(database_url, root) as bench:
        tools = replace(
            bench.tools,
            journal=cast(Any, Deadly(bench.journal, point)),
            spool=cast(Any, Deadly(bench.spool, point)),
            files=cast(Any, Deadly(bench.files, point)),
        )
        assert await import_tar(tools, bench.tar(name)) is None


def main(database_url: str, root: Path) -> None:
    """Run a child for each line of standard input."""
    for line in sys.stdin:
        name, point = line.split()
        child = os.fork()
        if not child:
            trio.run(import_until, database_url, root, name, int(point))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
