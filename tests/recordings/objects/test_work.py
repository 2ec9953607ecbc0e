"""Objects follow the rows; what is killed meanwhile is in test_objects_killed.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

from appliance.recordings.calls import publish_locked
from appliance.recordings.storage import NewObjects
from tests.doubles.import_tools import ImportBench, open_import_bench
from tests.doubles.recording_tars import recording_tar
from tests.doubles.s3 import S3Server, open_objects
from tests.doubles.s3_proxy import faulty_proxy
from tests.recordings.objects.test_moving import FORMATS, imported, move, put


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


async def test_publishing_locks_no_row_while_the_bucket_hangs(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    with faulty_proxy(s3.url) as proxy:
        bucket = s3.make_bucket()
        objects = open_objects(proxy.url, bucket)
        async with open_import_bench(database_url, tmp_path, objects=objects) as bench:
            tar = recording_tar(tmp_path, "r1", FORMATS)
            tar.rename(tmp_path / "spool" / tar.name)
            assert await bench.run(tar.name) is None
            deps: Any = SimpleNamespace(change_notes=None, work=bench.work)
            proxy.fault = "hang"

            with trio.fail_after(1):
                async with bench.recordings.lock_recordings(["r1"], None) as locked:
                    assert await publish_locked(deps, bench.files, locked, publish=False)

            proxy.fault = ""
            found = await bench.find("r1")
            assert found is not None
            assert not found.published
            assert bench.work is not None
            await bench.work.work_once()
            assert {key.partition("/")[0] for key in s3.keys(bucket)} == {"unpublished"}


async def test_call_does_not_wait_for_a_bucket_that_refuses(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with imported(database_url, tmp_path, s3) as (bench, bucket):
        assert bench.work is not None
        bench.work.objects = open_objects(s3.url, f"{bucket}-gone")
        await bench.work.journal.queue(["r1"])
        with trio.fail_after(2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bench.work.settle, ["r1"])
                await trio.testing.wait_all_tasks_blocked()
                await bench.work.work_once()
