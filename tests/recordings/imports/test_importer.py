"""Imports: files and rows in their places, users' changes kept, bad tars kept with the reason."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from appliance.faults import DatabaseDown
from appliance.recordings.imports.history import ImportHistory
from appliance.recordings.imports.importer import import_tar, remove_leftovers, retry_import
from appliance.recordings.imports.merge import ImportRules
from appliance.recordings.imports.metadata_xml import parse_metadata_xml
from appliance.recordings.imports.model import ImportState, SpooledTar, Stopped, UnpackedFormat
from appliance.recordings.imports.spool import Spool
from appliance.tenants.scoped_id import scoped_id
from tests.doubles.import_tools import ImportBench, open_import_bench, recording_settings
from tests.doubles.recording_tars import metadata_xml, pack, recording_tar, write_format

VIDEO = {"video": {"video.webm": b"v" * 5000}}
BOTH = {**VIDEO, "presentation": {"slides/1.svg": b"<svg/>"}}


@pytest.fixture
async def bench(database_url: str, tmp_path: Path) -> AsyncIterator[ImportBench]:
    async with open_import_bench(database_url, tmp_path) as opened:
        yield opened


def drop(bench: ImportBench, record_id: str, formats: Any = None, **metadata: Any) -> str:
    """Put a tar into the spool and return its name."""
    made = recording_tar(bench.root, record_id, formats or BOTH, **metadata)
    return made.rename(bench.root / "spool" / made.name).name


async def last_state(bench: ImportBench) -> tuple[ImportState, str | None]:
    entry = (await bench.journal.list_imports())[0]
    return entry.state, entry.error


async def test_import_puts_files_and_rows_in_their_places(bench: ImportBench) -> None:
    name = drop(bench, "r1", name="Ünï & <x>", metadata={"bbb-origin": "", "gl-listed": "tr ue"})
    assert await bench.run(name) is None
    assert bench.tree() == {
        "published/video/r1/video.webm", "published/video/r1/metadata.xml",
        "published/presentation/r1/slides/1.svg", "published/presentation/r1/metadata.xml",
    }  # fmt: skip
    found = await bench.find("r1")
    assert found is not None
    assert (found.name, found.published, found.state) == ("Ünï & <x>", True, "published")
    assert (found.start_ms, found.end_ms, found.participants) == (1647181479536, 1647181557090, 3)
    assert dict(found.metadata) == {"bbb-origin": "", "gl-listed": "tr ue"}
    assert {format.format: format.url for format in found.formats} == {
        "presentation": "/playback/presentation/2.3/r1", "video": "/playback/video/2.3/r1",
    }  # fmt: skip
    assert all(len(format.thumbnails) == 1 and format.length_min == 2 for format in found.formats)


async def test_import_of_a_tenants_recording_knows_the_front_ends_meeting(
    bench: ImportBench,
) -> None:
    long = "x" * 256
    for record_id, kept, more in (
        ("r1", "room~t-1", {}),
        ("r2", scoped_id(long, "t-1"), {"tenant-meeting-id": long}),
    ):
        ours = {"tenant-id": "t-1", "secret-lrs-payload": "U2FsdGVk", **more}
        name = drop(bench, record_id, meeting_id=kept, metadata=ours)
        assert await bench.run(name) is None
    found = [await bench.find(record_id) for record_id in ("r1", "r2")]
    assert [one and one.meeting_id for one in found] == ["room", long]
    assert [one and dict(one.metadata) for one in found] == [{"tenant-id": "t-1"}] * 2
    for record_id, meeting_id in (("r1", "room"), ("r2", long)):
        # Viewers get this file, too.
        text = (bench.root / f"published/presentation/{record_id}/metadata.xml").read_bytes()
        assert parse_metadata_xml(text).recording.meeting_id == meeting_id
        assert not [word for word in (b"~t-1", b"tenant-meeting-id", b"lrs") if word in text]
    assert bench.spool.scan() == []
    assert list((bench.root / "work").iterdir()) == []
    assert await last_state(bench) == (ImportState.DONE, None)


async def test_import_makes_files_that_nginx_can_read(bench: ImportBench) -> None:
    before = os.umask(0o077)
    try:
        await bench.run(drop(bench, "r1"))
    finally:
        os.umask(before)
    for path in (bench.root / "published").rglob("*"):
        if not {".removed", ".incoming"} & set(path.parts):
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


@pytest.mark.parametrize(
    ("rules", "published", "expected"),
    [
        (ImportRules(), True, "published"),
        (ImportRules(), False, "unpublished"),
        (ImportRules(unpublished=True), True, "unpublished"),
    ],
)
async def test_import_publishes_as_settings_and_metadata_say(
    database_url: str, tmp_path: Path, rules: ImportRules, published: bool, expected: str
) -> None:
    async with open_import_bench(database_url, tmp_path, rules) as bench:
        await bench.run(drop(bench, "r1", VIDEO, published=published))
        found = await bench.find("r1")
        assert found is not None
        assert found.state == expected
        assert {path.split("/")[0] for path in bench.tree()} == {expected}


async def test_import_keeps_what_users_changed(bench: ImportBench) -> None:
    await bench.run(drop(bench, "r1", VIDEO, metadata={"a": "1", "b": "1"}))
    async with bench.recordings.lock_recordings(["r1"], None) as locked:
        recording = locked.recordings[0]
        await locked.update(recording, metadata=[("a", "mine"), ("b", "")], protected=True)
        assert bench.files.unpublish("r1", "video")
        await locked.set_published(recording, False)
    await bench.run(drop(bench, "r1", BOTH, metadata={"a": "2", "b": "2", "c": "2"}))
    found = await bench.find("r1")
    assert found is not None
    assert dict(found.metadata) == {"a": "mine", "c": "2"}
    assert (found.published, found.protected, len(found.formats)) == (False, True, 2)
    assert {path.split("/")[0] for path in bench.tree()} == {"unpublished"}


@pytest.mark.parametrize("late", [True, False])
async def test_import_of_a_late_format_takes_the_others_along(
    bench: ImportBench, late: bool
) -> None:
    await bench.run(drop(bench, "r1", VIDEO, published=not late))
    await bench.run(drop(bench, "r1", {"notes": {"notes.pdf": b"%PDF"}}, published=late))
    found = await bench.find("r1")
    assert found is not None
    assert found.published is late
    assert {path.split("/")[0] for path in bench.tree()} == {"published" if late else "unpublished"}
    assert {path.split("/")[1] for path in bench.tree()} == {"video", "notes"}


async def test_import_takes_a_tar_whose_name_is_no_text(bench: ImportBench) -> None:
    name = os.fsdecode(b"r1-\xff.tar")
    (bench.root / "spool" / drop(bench, "r1")).rename(bench.root / "spool" / name)
    assert await bench.run(name) is None
    assert (await last_state(bench), bench.spool.scan()) == ((ImportState.DONE, None), [])
    assert (await bench.journal.list_imports())[0].tar.name == "r1-\\udcff.tar"


async def test_import_replaces_old_files_by_new_ones(bench: ImportBench) -> None:
    await bench.run(drop(bench, "r1", {"video": {"old.webm": b"old", "same": b"1"}}))
    await bench.run(drop(bench, "r1", {"video": {"new.webm": b"new", "same": b"2"}}))
    folder = bench.root / "published/video/r1"
    assert sorted(os.listdir(folder)) == ["metadata.xml", "new.webm", "same"]
    assert (folder / "same").read_bytes() == b"2"
    bench.files.empty_trash()
    assert list((bench.root / "published/.removed").iterdir()) == []


async def test_import_takes_the_good_formats_and_keeps_the_tar_of_a_bad_one(
    bench: ImportBench,
) -> None:
    source = bench.root / "source"
    write_format(source, "r1", "video", {"v": b"1"}, metadata_xml("r1", "video"))
    write_format(source, "r1", "notes", {"n": b"1"}, "<recording><id>r1")
    write_format(source, "r1", "podcast", {"n": b"1"}, None)
    write_format(source, "r1", "screenshare", {}, metadata_xml("other", "screenshare"))
    write_format(source, "r1", "capture", {}, metadata_xml("r1", "video"))
    pack(source, bench.root / "spool/r1.tar")
    assert await bench.run("r1.tar") is None
    found = await bench.find("r1")
    assert found is not None
    assert [format.format for format in found.formats] == ["video"]
    assert bench.spool.failed_names() == ["r1.tar"]
    reason = (bench.root / "spool/failed/r1.tar.error").read_text()
    for part in ("notes/r1: metadata.xml is not well-formed", "podcast/r1: no metadata.xml",
                 "screenshare/r1: metadata.xml is about another recording",
                 "capture/r1: metadata.xml is about another format"):  # fmt: skip
        assert part in reason
    assert await last_state(bench) == (ImportState.FAILED, reason.strip())
    assert [event for event, _ in bench.log.errors] == ["recording_import_given_up"]


async def test_import_of_an_upload_is_bound_to_its_recording(bench: ImportBench) -> None:
    drop(bench, "r1")
    for record_id, uploaded_as in (("r1", "r2"), ("r2", "r2")):
        upload = bench.spool.open_upload(uploaded_as)
        upload.write(recording_tar(bench.root, record_id, VIDEO, name="uploaded").read_bytes())
        upload.finish()
    await bench.run("r1.tar")
    names = [tar.name for tar in bench.spool.scan()]
    for name in names:
        for _ in range(3):
            if bench.spool.look(name) is not None:
                await bench.run(name)

    kept, new = await bench.find("r1"), await bench.find("r2")
    assert kept is not None
    assert kept.name != "uploaded"
    assert new is not None
    assert new.name == "uploaded"
    assert bench.spool.failed_names() == ["r2.upload.tar"]
    reason = (bench.root / "spool/failed/r2.upload.tar.error").read_text()
    assert reason == "video/r1: the upload was authorized for another recording\n"
    bench.log.errors.clear()


async def test_import_gives_up_a_broken_tar_after_three_tries(bench: ImportBench) -> None:
    (bench.root / "spool/r1.tar").write_bytes(b"no tar at all" * 1000)
    assert await bench.run("r1.tar") is not None
    assert await bench.run("r1.tar") is not None
    assert bench.spool.failed_names() == []
    assert await bench.run("r1.tar") is None
    assert bench.spool.scan() == []
    assert "not a tar header" in (bench.root / "spool/failed/r1.tar.error").read_text()
    assert bench.tree() == set()


async def test_import_gives_new_tries_to_a_tar_that_changed(bench: ImportBench) -> None:
    path = bench.root / "spool/r1.tar"
    path.write_bytes(b"half")
    await bench.run("r1.tar")
    await bench.run("r1.tar")
    drop(bench, "r1", VIDEO)
    assert await bench.run("r1.tar") is None
    assert await bench.find("r1") is not None
    assert bench.spool.failed_names() == []


async def test_import_leaves_a_deleted_recording_deleted_until_it_is_told_otherwise(
    bench: ImportBench,
) -> None:
    await bench.run(drop(bench, "r1", VIDEO))
    async with bench.recordings.lock_recordings(["r1"], None) as locked:
        await locked.delete(locked.recordings[0])
        bench.files.remove("r1")
    assert await bench.run(drop(bench, "r1", BOTH)) is None
    found = await bench.find("r1")
    assert found is not None
    assert (found.state, found.formats, bench.tree()) == ("deleted", (), set())
    assert bench.spool.failed_names() == ["r1.tar"]
    assert "was deleted" in (bench.root / "spool/failed/r1.tar.error").read_text()

    assert not await retry_import(bench.tools, "r2.tar")
    assert await retry_import(bench.tools, "r1.tar")
    (entry, *_) = await bench.journal.list_imports()
    await ImportHistory(bench.database).restart(entry.id, undelete=True)
    assert await bench.run("r1.tar") is None
    found = await bench.find("r1")
    assert found is not None
    assert (found.state, len(found.formats)) == ("published", 2)
    assert os.listdir(bench.root / "spool/failed") == []


async def test_retry_gives_a_failed_tar_new_tries(bench: ImportBench) -> None:
    (bench.root / "spool/r1.tar").write_bytes(b"no tar at all" * 1000)
    for _ in range(3):
        await bench.run("r1.tar")
    assert await retry_import(bench.tools, "r1.tar")
    assert await bench.run("r1.tar") is not None
    assert bench.spool.failed_names() == []


async def test_import_waits_without_counting_while_the_disk_is_full(
    database_url: str, tmp_path: Path
) -> None:
    async with open_import_bench(database_url, tmp_path) as bench:
        (bench.root / "published").write_bytes(b"a file where the directory should be")
        name = drop(bench, "r1", VIDEO)
        for _ in range(5):
            assert await bench.run(name) == bench.tools.retry_intervals.disk_s
            await trio.sleep(bench.tools.retry_intervals.disk_s)
        assert len(bench.log.named("recording_import_waits")) == 1
        (bench.root / "published").unlink()
        assert await bench.run(name) is None
        assert len(bench.tree()) == 2


async def test_import_does_not_count_attempts_that_were_stopped(bench: ImportBench) -> None:
    name = drop(bench, "r1", VIDEO)

    class SlowSpool(Spool):
        """A spool that unpacks until it is asked to stop."""

        def unpack(
            self, tar: SpooledTar, work: str, stop: Callable[[], bool]
        ) -> list[UnpackedFormat]:
            trio.from_thread.run_sync(unpacking.set)
            while not stop():
                time.sleep(0.001)
            raise Stopped

    slow = replace(bench.tools, spool=SlowSpool(recording_settings(bench.root)))
    for _ in range(4):
        unpacking = trio.Event()
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(import_tar, slow, bench.tar(name))
                await unpacking.wait()
                nursery.cancel_scope.cancel()
    assert await bench.run(name) is None
    assert len(bench.tree()) == 2


async def test_import_does_not_count_attempts_that_lost_the_database(bench: ImportBench) -> None:
    name = drop(bench, "r1", VIDEO)

    class Failing:
        """A journal whose database is lost in the middle of each attempt."""

        def __getattr__(self, method: str) -> Any:
            return getattr(bench.journal, method)

        async def note(self, import_id: int, state: ImportState) -> None:
            raise DatabaseDown("lost")

    failing: Any = Failing()
    for _ in range(4):
        tools = replace(bench.tools, journal=failing)
        assert await import_tar(tools, bench.tar(name)) == bench.tools.retry_intervals.database_s
    assert await bench.run(name) is None
    assert len(bench.tree()) == 2


async def test_import_leaves_a_tar_alone_that_another_import_has(bench: ImportBench) -> None:
    name = drop(bench, "r1", VIDEO)
    async with bench.journal.claim(bench.tar(name)) as entry:
        assert entry is not None
        assert await bench.run(name) == bench.tools.retry_intervals.busy_s
    assert await bench.run(name) is None


async def test_import_at_once_by_many_is_done_once(bench: ImportBench) -> None:
    name = drop(bench, "r1", VIDEO)
    tar = bench.tar(name)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(import_tar, bench.tools, tar)
    assert len(bench.log.named("recording_imported")) == 1
    assert len(bench.tree()) == 2


async def test_import_removes_a_tar_whose_import_was_done_already(bench: ImportBench) -> None:
    tar = bench.tar(drop(bench, "r1", VIDEO))
    kept = bench.root / "kept"
    os.link(bench.root / "spool" / tar.name, kept)
    assert await import_tar(bench.tools, tar) is None
    os.link(kept, bench.root / "spool" / tar.name)
    assert await import_tar(bench.tools, tar) is None
    assert bench.spool.scan() == []
    assert len(bench.log.named("recording_imported")) == 1


class FullSpool(Spool):
    """A spool whose work directory takes nothing more."""

    code = errno.ENOSPC

    def unpack(self, tar: SpooledTar, work: str, stop: Callable[[], bool]) -> list[UnpackedFormat]:
        """Refuse a file of the directory that is created again for each attempt."""
        raise OSError(self.code, os.strerror(self.code), str(self.make_work(work) / "video/1"))


async def test_import_waits_only_briefly_for_descriptors(bench: ImportBench) -> None:
    spool = FullSpool(recording_settings(bench.root))
    spool.code = errno.EMFILE
    pauses = replace(bench.tools.retry_intervals, busy_s=0.25, disk_s=300.0)
    exhausted = replace(bench.tools, spool=spool, retry_intervals=pauses)

    assert await import_tar(exhausted, bench.tar(drop(bench, "r1", VIDEO))) == 0.25


@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk quota is used up")],
)
async def test_import_that_waits_for_room_says_so_once(
    bench: ImportBench, code: int, reason: str
) -> None:
    spool = FullSpool(recording_settings(bench.root))
    spool.code = code
    full = replace(
        bench.tools, spool=spool, retry_intervals=replace(bench.tools.retry_intervals, disk_s=0.0)
    )
    tar = bench.tar(drop(bench, "r1", VIDEO))

    for _ in range(3):
        assert await import_tar(full, tar) == 0.0

    assert bench.log.named("recording_import_waits") == [{"file": tar.name, "reason": reason}]
    assert await last_state(bench) == (ImportState.WAITING, reason)


class StickySpool(Spool):
    """A spool whose work directories cannot be emptied, as on NFS while somebody reads there."""

    def discard(self, work: str) -> None:
        """Refuse."""
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), work)


@pytest.mark.parametrize(("good", "state"), [(True, ImportState.DONE), (False, ImportState.FAILED)])
async def test_import_ends_as_it_does_when_its_work_directory_stays(
    bench: ImportBench, good: bool, state: ImportState
) -> None:
    sticky = replace(bench.tools, spool=StickySpool(recording_settings(bench.root)), max_attempts=1)
    name = drop(bench, "r1", VIDEO)
    if not good:
        (bench.root / "spool" / name).write_bytes(b"no tar at all" * 1000)

    assert await import_tar(sticky, bench.tar(name)) is None

    assert (await last_state(bench))[0] is state
    assert bench.spool.scan() == []
    (told,) = bench.log.named("import_leftovers_stay")
    assert told["reason"] == "Directory not empty"


class LockedSpool(Spool):
    """A spool of somebody who lets us read, and nothing else."""

    def accept(self, tar: SpooledTar) -> None:
        """Refuse."""
        raise PermissionError(errno.EACCES, "Permission denied", str(self.directory / tar.name))

    def reject(self, tar: SpooledTar, reason: str) -> None:
        """Refuse."""
        self.accept(tar)


@pytest.mark.parametrize(
    ("good", "event", "state"),
    [
        (True, "recording_imported", ImportState.DONE),
        (False, "recording_import_given_up", ImportState.FAILED),
    ],
)
async def test_import_is_done_once_when_its_tar_cannot_be_taken_away(
    bench: ImportBench, good: bool, event: str, state: ImportState
) -> None:
    locked = replace(bench.tools, spool=LockedSpool(recording_settings(bench.root)), max_attempts=1)
    tar = bench.tar(drop(bench, "r1", VIDEO))
    if not good:
        (bench.root / "spool" / tar.name).write_bytes(b"no tar at all" * 1000)
        tar = bench.tar(tar.name)
    for _ in range(3):
        assert await import_tar(locked, tar) == locked.retry_intervals.disk_s
    assert len(bench.log.named(event)) == 1
    assert bench.log.named("recording_tar_stays") == [
        {"file": "r1.tar", "reason": f"Permission denied in {bench.root}/spool"}
    ]
    assert (await last_state(bench))[0] is state
    assert await import_tar(bench.tools, tar) is None
    assert bench.spool.scan() == []
    assert len(bench.log.named(event)) == 1


async def test_tar_that_is_gone_waits_no_longer(bench: ImportBench) -> None:
    path = bench.root / "spool/bad.tar"
    for change in (path.unlink, lambda: path.write_bytes(b"another")):
        path.write_bytes(b"x" * 2000)
        tar = bench.tar(path.name)
        assert await import_tar(bench.tools, tar) is not None
        assert len(await bench.journal.list_imports()) == 1
        change()
        assert await import_tar(bench.tools, tar) is None
        assert await bench.journal.list_imports() == []


async def test_leftovers_are_removed_unless_somebody_works_on_them(bench: ImportBench) -> None:
    tar = bench.tar(drop(bench, "r1", VIDEO))
    async with bench.journal.claim(tar) as entry:
        assert entry is not None
        work = bench.root / f"work/appliance-import-{entry.id}.ab12"
        work.mkdir()
        (bench.root / "work/r1").mkdir()  # a Scalelite's
        left = await remove_leftovers(bench.tools)
        assert work.exists()
    late = work.with_name(f"{work.name}later")
    late.mkdir()
    assert await remove_leftovers(bench.tools, left) == []
    assert (work.exists(), late.exists()) == (False, True)
    assert await remove_leftovers(bench.tools) == []
    assert os.listdir(bench.root / "work") == ["r1"]


async def test_import_goes_on_when_the_database_was_away_in_the_middle(
    bench: ImportBench,
) -> None:
    name = drop(bench, "r1")
    killed = 0

    class Interrupted:
        """The journal; the connections are cut off before the n-th call of each method."""

        def __getattr__(self, method: str) -> Any:
            return partial(self._call, method)

        def claim(self, tar: Any) -> Any:
            return bench.journal.claim(tar)

        async def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
            nonlocal killed
            if method not in hit:
                hit.add(method)
                killed += 1
                sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                sql += " current_database() AND pid <> pg_backend_pid()"
                await bench.database.execute(sql)
                raise DatabaseDown("cut off")
            return await getattr(bench.journal, method)(*args, **kwargs)

    hit: set[str] = set()
    tools = replace(bench.tools, journal=cast(Any, Interrupted()))
    tar = bench.tar(name)
    with trio.fail_after(30):
        while (wait_s := await import_tar(tools, tar)) is not None:
            assert bench.spool.look(name) == tar
            await trio.sleep(wait_s)
    assert killed == 3  # begin, note, write_recording
    assert len(bench.tree()) == 4
    assert (await last_state(bench))[0] is ImportState.DONE
    assert bench.spool.scan() == []
