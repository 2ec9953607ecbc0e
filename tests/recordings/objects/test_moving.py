"""Moves beside imports and after failures; those that are killed are in test_objects_killed.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from appliance.admin_calls.refusal import Refused
from appliance.postgres.database import Database
from appliance.recordings.jobs import RecordingJobs
from appliance.recordings.objects.journal import Claim, ObjectJournal
from appliance.recordings.objects.mixed_storage import MixedStorage
from appliance.recordings.objects.move_model import Move, MoveResult
from appliance.recordings.objects.moving import Mover, read_move, start_move
from appliance.recordings.storage import NewObjects
from tests.doubles.features import EventBook
from tests.doubles.import_tools import ImportBench, open_import_bench
from tests.doubles.recording_tars import recording_tar
from tests.doubles.s3 import S3Server, open_objects

FORMATS = {"video": {"video.webm": b"v" * 1000}}
ON_DISK = {"published/video/r1/metadata.xml", "published/video/r1/video.webm"}
MOVE_S = 30.0


@asynccontextmanager
async def imported(
    database_url: str,
    root: Path,
    s3: S3Server,
    formats: Mapping[str, Mapping[str, bytes]] = FORMATS,
) -> AsyncIterator[tuple[ImportBench, str]]:
    """Give a bench whose bucket has the recording r1, and the bucket."""
    bucket = s3.make_bucket()
    objects = open_objects(s3.url, bucket)
    async with open_import_bench(database_url, root, objects=objects) as bench:
        tar = recording_tar(root, "r1", formats)
        tar.rename(root / "spool" / tar.name)
        assert await bench.run(tar.name) is None
        yield bench, bucket


class WatchedJournal(ObjectJournal):
    """A journal that sets `refused` when the objects that a caller claims are in use."""

    def __init__(self, store: Database) -> None:
        super().__init__(store)
        self.refused = trio.Event()

    @asynccontextmanager
    async def claim(self, record_id: str) -> AsyncIterator[Claim | None]:
        """Claim objects."""
        async with super().claim(record_id) as claim:
            if claim is None:
                self.refused.set()
            yield claim


async def move(
    bench: ImportBench, to: str, journal: ObjectJournal | None = None, *, dry_run: bool = False
) -> list[str | None]:
    """Move r1; return the problems."""
    found = Move(to_bucket=to == "s3", dry_run=dry_run)
    journal = journal or ObjectJournal(bench.database)
    mover = Mover(cast(Any, bench.files), bench.recordings, journal, found, cast(Any, bench.log))
    with trio.fail_after(MOVE_S):
        await mover.run(["r1"])
    return [one.problem for one in found.results]


def put(s3: S3Server, bucket: str, key: str, body: bytes = b"old") -> None:
    s3.client.put_object(Bucket=bucket, Key=key, Body=body)


async def test_move_waits_for_the_sweeper_that_cleans_up_after_a_crash(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with imported(database_url, tmp_path, s3) as (bench, _):
        problems, journal = list[str | None](), WatchedJournal(bench.database)

        async def run() -> None:
            problems.extend(await move(bench, "disk", journal))

        async with (
            trio.open_nursery() as nursery,
            ObjectJournal(bench.database).claim("r1") as free,
        ):
            assert free
            nursery.start_soon(run)
            await journal.refused.wait()
            assert problems == []

        assert problems == [None]
        assert bench.tree() == ON_DISK


async def test_files_on_the_disk_win_over_objects(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    """Those of a move to either side that failed half-way, or older ones."""
    async with imported(database_url, tmp_path, s3) as (bench, bucket):
        assert await move(bench, "disk") == [None]
        for to, left in (("disk", set()), ("s3", {f"{name}" for name in ON_DISK})):
            for key in ("published/video/r1/video.webm", "unpublished/video/r1/metadata.xml"):
                put(s3, bucket, key)

            assert await move(bench, to) == [None]

            assert s3.keys(bucket) == left
            if to == "disk":
                assert bench.tree() == ON_DISK
                video = tmp_path / "published/video/r1/video.webm"
                assert video.read_bytes() == FORMATS["video"]["video.webm"]
        answer = s3.client.get_object(Bucket=bucket, Key="published/video/r1/video.webm")
        assert answer["Body"].read() == FORMATS["video"]["video.webm"]
        assert bench.tree() == set()


async def test_objects_of_an_import_that_waits_are_not_moved(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with imported(database_url, tmp_path, s3) as (bench, bucket):
        put(s3, bucket, "published/notes/r1/notes.pdf")
        noted = NewObjects("r1", "notes", True, ("notes.pdf", "metadata.xml"))
        await ObjectJournal(bench.database).note_uploads(77, noted)

        assert await move(bench, "disk") == [None]

        assert bench.tree() == ON_DISK
        assert s3.keys(bucket) == set()
        assert await bench.database.fetch("SELECT 1 FROM appliance.object_uploads") == []


async def test_import_of_a_recording_that_is_being_moved_waits_seconds(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with imported(database_url, tmp_path, s3) as (bench, _):
        tar = recording_tar(tmp_path, "r1", FORMATS)
        tar.rename(tmp_path / "spool" / tar.name)
        async with ObjectJournal(bench.database).claim("r1"):
            assert await bench.run(tar.name) == bench.tools.retry_intervals.busy_s
        *_, row = await bench.database.fetch("SELECT * FROM appliance.imports ORDER BY id")
        assert (row["state"], row["attempts"], row["wait_reason"]) == ("waiting", 0, "busy")
        assert row["error"] == "the recording is being moved, or imported from another tar"

        await bench.database.execute("UPDATE appliance.imports SET next_try_at = now()")
        assert await bench.run(tar.name) is None


async def test_every_format_of_a_failed_recording_stays(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    formats = {"notes": {"notes.pdf": b"n"}, **FORMATS}
    async with imported(database_url, tmp_path, s3, formats) as (bench, bucket):
        assert await move(bench, "disk") == [None]
        (tmp_path / "published/video/r1/a\nb").write_bytes(b"x")
        before = bench.tree()
        problems = await move(bench, "s3")
        assert "the name of a file cannot be that of an object" in str(problems)
        assert await move(bench, "s3", dry_run=True) == problems
        assert bench.tree() == before

        (tmp_path / "published/video/r1/a\nb").unlink()
        assert await move(bench, "s3", dry_run=True) == [None]
        assert await move(bench, "s3") == [None]
        before = s3.keys(bucket)
        put(s3, bucket, "published/video/r1//no-file")
        assert await move(bench, "disk") != [None]
        assert s3.keys(bucket) == {*before, "published/video/r1//no-file"}
        assert bench.tree() == set()


async def test_empty_directory_replaces_nothing(
    database_url: str, tmp_path: Path, s3: S3Server
) -> None:
    async with imported(database_url, tmp_path, s3) as (bench, bucket):
        (tmp_path / "published/video/r1").mkdir(parents=True)
        before = s3.keys(bucket)
        assert await move(bench, "s3") == [None]
        assert s3.keys(bucket) == before
        assert await move(bench, "disk") == [None]
        assert bench.tree() == ON_DISK
        assert s3.keys(bucket) == set()


def deps_of(files: object) -> Any:
    """Return what starting a move needs; it begins when the jobs run."""
    book = EventBook()
    admin = SimpleNamespace(moves={}, jobs=RecordingJobs(book))
    return SimpleNamespace(store=object(), files=files, admin=admin, log=book)


@pytest.mark.parametrize("to_bucket", [True, False])
async def test_move_without_a_bucket_is_refused(to_bucket: bool) -> None:
    with pytest.raises(Refused, match="set S3_RECORDING=true until everything has been moved"):
        await start_move(deps_of(object()), "me", [], Move(to_bucket, dry_run=False))


async def test_second_move_is_refused_with_the_progress_of_the_first_but_a_dry_run_is_not() -> None:
    deps = deps_of(MixedStorage(cast(Any, None), cast(Any, None)))
    first = Move(to_bucket=True, dry_run=False, total=3, results=[MoveResult("r1", None)])
    await start_move(deps, "me", [], first)

    with pytest.raises(Refused, match=r"moved to s3 already \(1 of 3\); try again when"):
        await start_move(deps, "me", [], Move(to_bucket=False, dry_run=False))
    dry_run = await start_move(deps, "me", [], Move(to_bucket=False, dry_run=True))

    assert read_move(deps, dry_run=False) is first
    assert read_move(deps, dry_run=True) is dry_run
    first.running = False
    await start_move(deps, "me", [], Move(to_bucket=False, dry_run=False))


async def test_defect_of_a_move_is_logged_as_one_and_ends_it() -> None:
    deps = deps_of(MixedStorage(cast(Any, None), cast(Any, None)))
    deps.work = SimpleNamespace(journal=None)
    move = Move(to_bucket=True, dry_run=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(deps.admin.jobs.run)
        await start_move(deps, "me", [], move)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not move.running
    assert [name for name, _ in deps.log.errors] == ["recordings_moving_broke"]
