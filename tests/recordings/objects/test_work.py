"""Objects follow the rows; what is killed meanwhile is in test_objects_killed.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import trio
import trio.testing

from appliance.fault_log import FaultLog
from appliance.faults import DatabaseDown
from appliance.recordings.calls import publish_locked
from appliance.recordings.objects.bucket_client import BucketFault
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.objects.work import ObjectWork
from appliance.recordings.storage import NewObjects
from tests.doubles.features import EventBook, now_ms
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
                nursery.start_soon(bench.work.wait_for_objects, ["r1"])
                await trio.testing.wait_all_tasks_blocked()
                await bench.work.work_once()


class Failing(RecordingObjects):
    """Objects that cannot be moved, for a reason that is not the bucket's."""

    error: Exception

    def publish(self, record_id: str, format: str) -> bool:
        """Fail."""
        raise self.error


@pytest.mark.parametrize("error", [DatabaseDown("away"), RuntimeError("a defect")])
async def test_call_does_not_wait_for_work_that_failed(
    error: Exception, database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with imported(database_url, tmp_path, s3) as (bench, _):
        work = bench.work
        assert work is not None
        objects = work.objects = Failing(work.objects.bucket, work.objects.keys)
        objects.error = error
        await work.journal.queue(["r1"])
        with trio.fail_after(4):
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(work.wait_for_objects, ["r1"])
                await trio.testing.wait_all_tasks_blocked()
                await work.work_once()


async def test_call_keeps_nothing_when_another_appliance_does_its_work(
    autojump_clock: object,
) -> None:
    unused: Any = None
    work = ObjectWork(unused, unused, unused, unused, unused, 10.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.wait_for_objects, ["r1"])
        await trio.testing.wait_all_tasks_blocked()
        assert set(work.awaited) == {"r1"}
    assert not work.awaited


class Denied(RecordingObjects):
    """Objects of which those of r1 may not be deleted."""

    def discard(self, new: NewObjects) -> None:
        """Fail for r1."""
        if new.record_id == "r1":
            raise BucketFault("AccessDenied", "")
        super().discard(new)


async def test_sweeper_goes_on_after_a_recording_that_fails(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with imported(database_url, tmp_path, s3) as (bench, bucket):
        work = bench.work
        assert work is not None
        before = s3.keys(bucket)
        for record_id in ("r1", "r2"):
            await work.journal.note_uploads(
                7, NewObjects(record_id, "video", False, ("video.webm",))
            )
            put(s3, bucket, f"unpublished/video/{record_id}/video.webm")
        work.objects = Denied(work.objects.bucket, work.objects.keys)

        with pytest.raises(BucketFault):
            await work.sweep()

        assert s3.keys(bucket) - before == {"unpublished/video/r1/video.webm"}
        assert await work.journal.recordings_with_uploads() == ["r1"]
        work.objects.bucket.name = f"{bucket}-gone"
        with pytest.raises(BucketFault, match="NoSuchBucket"):
            await work.sweep()


class FailingWork(ObjectWork):
    """A sweeper whose rounds fail."""

    rounds: ClassVar[list[float]] = []

    async def sweep(self) -> int:
        """Fail."""
        self.rounds.append(trio.current_time())
        raise OSError


@pytest.mark.parametrize(("interval_s", "wait_s"), [(3600.0, 60.0), (10.0, 10.0)])
async def test_sweeper_tries_again_soon_after_a_round_that_failed(
    interval_s: float, wait_s: float, autojump_clock: object
) -> None:
    unused: Any = None
    log: Any = EventBook()
    work = FailingWork(unused, unused, unused, log, FaultLog(log, now_ms), interval_s)
    work.rounds.clear()
    with trio.move_on_after(wait_s * 1.5):
        await work.sweep_forever()
    assert work.rounds[1] - work.rounds[0] == pytest.approx(wait_s)
