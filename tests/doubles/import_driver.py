"""A program that imports tars in child processes, each of which kills itself at the n-th point.

Points are before and after every step of the importer that changes a store or a file, and between
two chunks of unpacking. Each line of its input, JSON `[database URL, directory, tar, n]`, is one
import; it prints the exit status of the child, which is 0 if there are fewer points. Forking saves
the start of Python, most of what a process would take.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import trio

from appliance.recordings.imports.importer import import_tar
from tests.doubles.deadly import Deadly, KillAt
from tests.doubles.import_tools import open_import_bench

_STEPS = (
    *("begin", "note", "write_recording", "retry_later", "give_up"),
    *("discard", "accept", "place", "reject", "remove"),
)


class DeadlySpool(Deadly):
    """A proxy of the spool that also passes a point at each chunk that is unpacked."""

    def unpack(self, tar: Any, work: str, stop: Callable[[], bool]) -> Any:
        """Unpack."""

        def at_each_chunk() -> bool:
            self._point()
            return stop()

        return self._step(self._real.unpack, tar, work, at_each_chunk)


async def main(database_url: str, root: str, name: str, last: int) -> None:
    """Import the tar."""
    point = KillAt(last)
    async with open_import_bench(database_url, Path(root)) as bench:
        tools = replace(
            bench.tools,
            journal=cast(Any, Deadly(bench.journal, _STEPS, point, before=True)),
            spool=cast(Any, DeadlySpool(bench.spool, _STEPS, point, before=True)),
            files=cast(Any, Deadly(bench.files, _STEPS, point, before=True)),
        )
        assert await import_tar(tools, bench.tar(name)) is None


if __name__ == "__main__":
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            trio.run(main, *json.loads(line))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
