"""A program that unpublishes or deletes recordings in processes that kill themselves midway.

There is a recording (`r1`, `r2`, …) for each step of the call that changes a store or a file: a
child process runs the call and kills itself with SIGKILL after that step. Arguments: Redis URL,
namespace, database URL, directory, call (`unpublish` or `delete`). Prints the number of kills.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from appliance.bbb.signed_request import Caller
from appliance.recordings.calls import delete_recordings, publish_recordings
from tests.doubles.deadly import Deadly, KillAt, kill_at_each_step
from tests.doubles.features import rewire
from tests.doubles.recording_pool import open_recording_pool
from tests.doubles.recordings import make_format, make_recording

FORMATS = (make_format("presentation"), make_format("video"))
MAX_STEPS = 40
_STEPS = ("set_published", "delete", "publish", "unpublish", "write", "remove")


class DeadlyStore(Deadly):
    """A proxy of a store that also counts the steps of its locked recordings."""

    @asynccontextmanager
    async def lock_recordings(self, *args: Any) -> AsyncIterator[Any]:
        """Lock recordings."""
        async with self._real.lock_recordings(*args) as locked:
            yield Deadly(locked, _STEPS, self._point)


async def change(stores: list[str], root: Path, call: str, last: int) -> None:
    """Change a recording, and kill this process after the step `last`."""
    point = KillAt(last)
    record_id = f"r{last}"
    async with open_recording_pool(stores[0], stores[1], stores[2], root) as pool:
        await pool.add(make_recording(record_id, formats=FORMATS))
        store: Any = DeadlyStore(pool.res.recordings.store, _STEPS, point)
        files: Any = Deadly(pool.res.recordings.files, _STEPS, point)
        notes: Any = Deadly(pool.res.recordings.change_notes, _STEPS, point)
        res = rewire(
            pool.res,
            recordings__store=store,
            recordings__files=files,
            recordings__change_notes=notes,
        )
        caller = Caller(base_url="http://x")
        if call == "delete":
            await delete_recordings(res.recordings, caller, (("recordID", record_id),))
        else:
            params = (("recordID", record_id), ("publish", "false"))
            await publish_recordings(res.recordings, caller, params)


def main(stores: list[str], root: Path, call: str) -> int:
    """Run children that are killed after the first step, after the second, and so on."""
    return kill_at_each_step(lambda step: trio.run(change, stores, root, call, step), MAX_STEPS)


if __name__ == "__main__":
    print(main(sys.argv[1:4], Path(sys.argv[4]), sys.argv[5]))
