"""A program that imports, unpublishes, deletes or moves recordings in a bucket, killed midway.

There is a recording (`r1`, `r2`, …) for each step that changes the bucket, the database or a file:
a child process does the operation and kills itself with SIGKILL after that step. Arguments:
database URL, directory, S3 URL, bucket, operation. Prints the number of kills.
"""

from __future__ import annotations

import sys
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
from tests.doubles.deadly import Deadly, KillAt, kill_at_each_step
from tests.doubles.import_tools import ImportBench, open_import_bench, open_object_work, storage_of
from tests.doubles.recording_tars import recording_tar
from tests.doubles.s3 import s3_settings

FORMATS = {"video": {"video.webm": b"v" * 5000}}
"""One format: each more adds ten steps."""
MAX_STEPS = 60
BUCKET_STEPS = ("put", "upload", "copy", "download", "delete", "abort_uploads")
_STEPS = (
    *BUCKET_STEPS,
    *("begin", "note", "note_uploads", "write_recording", "finish", "complete_uploads"),
    *("lock_objects", "forget_uploads"),  # of the journal
    *("unpack", "discard", "accept", "place", "remove"),  # of the files
)


async def put_recording(bench: ImportBench, record_id: str) -> None:
    """Import a recording."""
    tar = recording_tar(bench.root, record_id, FORMATS, metadata={"a": "1"})
    tar.rename(bench.root / "spool" / tar.name)
    assert await bench.run(tar.name) is None


async def operate(url: str, root: Path, bucket: Bucket, operation: str, last: int) -> None:
    """Do an operation, and kill this process after the step `last`."""
    point = KillAt(last)
    record_id = f"r{last}"
    keys = ObjectKeys("")
    deadly = RecordingObjects(cast(Any, Deadly(bucket, _STEPS, point)), keys)
    async with open_import_bench(url, root, objects=RecordingObjects(bucket, keys)) as bench:
        if operation == "import":
            tar = recording_tar(root, record_id, FORMATS, metadata={"a": "1"})
            tar.rename(root / "spool" / tar.name)
            tools = replace(
                bench.tools,
                journal=cast(Any, Deadly(bench.journal, _STEPS, point)),
                spool=cast(Any, Deadly(bench.spool, _STEPS, point)),
                files=storage_of(bench.settings, deadly),
            )
            assert await import_tar(tools, bench.tar(tar.name)) is None
            return
        await put_recording(bench, record_id)
        work = open_object_work(bench.database, deadly, bench.log)
        work.journal = cast(Any, Deadly(work.journal, _STEPS, point))
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
    bucket = Bucket(s3_settings(*s3))
    bucket._client()  # half a second, once and not in each child
    return kill_at_each_step(
        lambda step: trio.run(operate, url, root, bucket, operation, step), MAX_STEPS
    )


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2]), (sys.argv[3], sys.argv[4]), sys.argv[5]))
