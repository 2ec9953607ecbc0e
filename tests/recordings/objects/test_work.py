"""Objects follow the rows; what is killed meanwhile is in test_objects_killed.py."""

from __future__ import annotations

from pathlib import Path

from appliance.recordings.storage import NewObjects
from tests.doubles.import_tools import ImportBench
from tests.doubles.s3 import S3Server
from tests.recordings.objects.test_moving import imported, move, put


async def publish(bench: ImportBench, published: bool) -> None:
    """Publish or unpublish r1, and have its objects follow."""
    assert bench.work is not None
    async with bench.recordings.lock_recordings(["r1"], None) as locked:
        for one in locked.recordings:
            await locked.set_published(one, published)
        await locked.queue_object_work(locked.recordings)
    await bench.work.work_once()


async def test_objects_of_a_move_that_failed_are_not_moved_to_the_other_state(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with imported(database_url, tmp_path, s3) as (bench, bucket):
        assert await move(bench, "disk") == [None]
        assert bench.work is not None
        await bench.work.journal.note_uploads(0, NewObjects("r1", "video", True, ("video.webm",)))
        put(s3, bucket, "published/video/r1/video.webm")

        await publish(bench, False)
        await bench.work.sweep()

        assert s3.keys(bucket) == set()


async def test_sweeper_spares_objects_that_took_the_place_of_unfinished_ones(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with imported(database_url, tmp_path, s3) as (bench, bucket):
        assert bench.work is not None
        before = s3.keys(bucket)
        await publish(bench, False)
        await bench.work.journal.note_uploads(77, NewObjects("r1", "video", True, ("video.webm",)))
        put(s3, bucket, "published/video/r1/video.webm")

        await publish(bench, True)
        await bench.work.sweep()

        assert s3.keys(bucket) == before
