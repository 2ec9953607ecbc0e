"""A program that imports a tar and kills itself with SIGKILL at the n-th point.

Points are before and after every step of the importer that changes a store or a file, and between
two chunks of unpacking. Arguments: database URL, directory, tar, n. Exits with 0 if there are fewer
points.
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
    trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
