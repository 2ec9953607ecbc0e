"""A program that imports, unpublishes, deletes or moves recordings in a bucket, killed midway.

There is a recording (`r1`, `r2`, …) for each step that changes the bucket, the database or a file:
a child process does the operation and kills itself with SIGKILL after that step. Arguments:
database URL, directory, S3 URL, bucket, operation. Prints the number of kills.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import trio

from appliance.recordings.imports.importer import import_tar
from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.journal import ObjectJournal
from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.objects.move_model import Move
from appliance.recordings.objects.moving import Mover
from appliance.recordings.objects.objects import RecordingObjects
from tests.doubles.import_tools import ImportBench, open_import_bench, open_object_work, storage_of
from tests.doubles.recording_tars import recording_tar
from tests.doubles.s3 import s3_settings

FORMATS = {"video": {"video.webm": b"v" * 5000}}
"""One format: each more adds ten steps."""
MAX_STEPS = 60
_BUCKET = ("put", "upload", "copy", "download", "delete", "abort_uploads")
_JOURNAL = (
    *("begin", "note", "note_uploads", "write_recording", "finish", "complete_uploads"),
    *("lock_objects", "forget_uploads"),
)
_FILES = ("unpack", "discard", "accept", "place", "remove")


class Deadly:
    """A proxy that counts the steps of an object."""

    def __init__(self, real: object, passed: Callable[[], None]) -> None:
        self._real = real
        self._passed = passed

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name in _JOURNAL:

            async def step(*args: Any, **kwargs: Any) -> Any:
                result = await method(*args, **kwargs)
                self._passed()
                return result

            return step
        if name not in (*_BUCKET, *_FILES):
            return method

        def blocking(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            self._passed()
            return result

        return blocking


async def put_recording(bench: ImportBench, record_id: str) -> None:
    """Import a recording."""
    tar = recording_tar(bench.root, record_id, FORMATS, metadata={"a": "1"})
    tar.rename(bench.root / "spool" / tar.name)
    assert await bench.run(tar.name) is None


async def operate(url: str, root: Path, s3: tuple[str, str], operation: str, last: int) -> None:
    """Do an operation, and kill this process after the step `last`."""
    steps = 0

    def passed() -> None:
        nonlocal steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

    record_id = f"r{last}"
    keys = ObjectKeys("")
    bucket = Bucket(s3_settings(*s3))
    deadly = RecordingObjects(cast(Any, Deadly(bucket, passed)), keys)
    async with open_import_bench(url, root, objects=RecordingObjects(bucket, keys)) as bench:
        if operation == "import":
            tar = recording_tar(root, record_id, FORMATS, metadata={"a": "1"})
            tar.rename(root / "spool" / tar.name)
            tools = replace(
                bench.tools,
                journal=cast(Any, Deadly(bench.journal, passed)),
                spool=cast(Any, Deadly(bench.spool, passed)),
                files=storage_of(bench.settings, deadly),
            )
            assert await import_tar(tools, bench.tar(tar.name)) is None
            return
        await put_recording(bench, record_id)
        work = open_object_work(bench.database, deadly, bench.log)
        work.journal = cast(Any, Deadly(work.journal, passed))
        if operation.startswith("move"):
            files = storage_of(bench.settings, deadly)
            if operation == "move to s3":
                await move(bench, bench.files, record_id, bench_journal(bench), to_bucket=False)
            await move(bench, files, record_id, work.journal, to_bucket=operation == "move to s3")
            return
        await change(bench, record_id, operation)
        await work.work_once()


def bench_journal(bench: ImportBench) -> ObjectJournal:
    """Return the journal of a bench."""
    return ObjectJournal(bench.database)


async def move(
    bench: ImportBench, files: Any, record_id: str, journal: Any, *, to_bucket: bool
) -> None:
    """Move a recording."""
    found = Move(to_bucket, dry_run=False)
    await Mover(files, bench.recordings, journal, found, cast(Any, bench.log)).run([record_id])
    assert [one.problem for one in found.results] == [None]


async def change(bench: ImportBench, record_id: str, operation: str) -> None:
    """Unpublish or delete a recording in the database, and queue its objects."""
    async with bench.recordings.lock_recordings([record_id], None) as locked:
        for one in locked.recordings:
            if operation == "delete":
                await locked.delete(one)
            else:
                await locked.set_published(one, False)
        await locked.queue_object_work(locked.recordings)


def main(url: str, root: Path, s3: tuple[str, str], operation: str) -> int:
    """Run children that are killed after the first step, after the second, and so on."""
    import boto3  # noqa: F401  # once, not in each child

    for step in range(1, MAX_STEPS):
        child = os.fork()
        if not child:
            trio.run(operate, url, root, s3, operation, step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return step - 1
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    raise SystemExit("there are more steps than MAX_STEPS")


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2]), (sys.argv[3], sys.argv[4]), sys.argv[5]))
