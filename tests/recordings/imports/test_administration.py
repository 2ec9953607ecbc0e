"""Imports by hand and tries again, on real stores and directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from appliance.admin_calls.refusal import Refused
from appliance.recordings.imports import administration as admin
from appliance.recordings.imports.model import ImportState
from appliance.recordings.summary import ImportRecord
from tests.doubles.recording_admin_bench import RecordingAdminBench
from tests.doubles.recording_tars import recording_tar

pytest_plugins = ["tests.doubles.recording_admin_bench_fixtures"]

DEADLINE_S = 40.0
TICK_S = 0.01


async def import_file(
    opened: RecordingAdminBench, path: Path, *, undelete: bool = False
) -> ImportRecord:
    """Import a file by hand and wait until nobody is at it any more."""
    import_id = await admin.start_import(opened.res.recordings, "me", str(path), undelete=undelete)
    with trio.fail_after(DEADLINE_S):
        while True:
            _, under_way = await admin.find_import(opened.res.recordings, import_id)
            if under_way is None:
                return (await admin.find_import(opened.res.recordings, import_id))[0]
            await trio.sleep(TICK_S)


async def test_file_outside_is_imported_again_and_again_and_left_alone(
    opened: RecordingAdminBench,
) -> None:
    made = recording_tar(opened.bench.root, "r1")
    for _ in range(2):
        found = await import_file(opened, made)
        assert (found.state, found.record_ids, found.tar.name) == (
            ImportState.DONE, ("r1",), str(made),
        )  # fmt: skip
        assert (await opened.find("r1")).published
    assert made.exists()
    assert opened.bench.tree() >= {"published/presentation/r1/slides.svg"}
    assert not list((opened.bench.root / "work").iterdir())
    assert opened.log.named("import_by_hand")[0]["by"] == "me"
    (_, count) = await opened.admin.history.list_imports(limit=9)
    assert count == 1


async def test_bad_file_outside_fails_at_once_and_is_left_alone(
    opened: RecordingAdminBench,
) -> None:
    bad = opened.bench.root / "bad.tar"
    bad.write_bytes(b"x" * 2000)
    found = await import_file(opened, bad)
    assert (found.state, found.attempts, found.next_try_ms) == (ImportState.FAILED, 1, None)
    assert bad.exists()
    assert not (opened.bench.root / "spool/failed").exists()


async def test_file_that_is_gone_when_its_turn_comes_has_failed(
    opened: RecordingAdminBench,
) -> None:
    made = recording_tar(opened.bench.root, "r1")
    release = trio.Event()
    opened.admin.jobs.run_next(release.wait, "broke")  # one at a time
    import_id = await admin.start_import(opened.res.recordings, "me", str(made), undelete=False)
    made.write_bytes(b"another")
    release.set()
    with trio.fail_after(DEADLINE_S):
        while (await admin.find_import(opened.res.recordings, import_id))[1] is not None:
            await trio.sleep(TICK_S)
    found, _ = await admin.find_import(opened.res.recordings, import_id)
    assert (found.state, found.error) == (
        ImportState.FAILED, "the file was changed or removed meanwhile",
    )  # fmt: skip


async def test_file_that_another_appliance_has_taken_is_left_to_it(
    opened: RecordingAdminBench,
) -> None:
    made = recording_tar(opened.bench.root, "r1")
    release = trio.Event()
    opened.admin.jobs.run_next(release.wait, "broke")  # one at a time
    import_id = await admin.start_import(opened.res.recordings, "me", str(made), undelete=False)
    async with opened.bench.journal.claim(opened.admin.spool.find_file(str(made))):
        release.set()
        with trio.fail_after(DEADLINE_S):
            while (await admin.find_import(opened.res.recordings, import_id))[1] is not None:
                await trio.sleep(TICK_S)
        found, _ = await admin.find_import(opened.res.recordings, import_id)
    assert (found.state, found.running) == (ImportState.WAITING, True)


async def test_name_of_a_failed_tar_gets_a_hint(opened: RecordingAdminBench) -> None:
    failed = opened.bench.root / "spool/failed/r1.tar"
    failed.parent.mkdir()
    failed.write_bytes(b"1")
    with pytest.raises(Refused, match=f"do you mean {failed}"):
        await admin.start_import(opened.res.recordings, "me", "/elsewhere/r1.tar", undelete=False)


async def test_file_in_the_spool_is_removed_when_it_was_imported(
    opened: RecordingAdminBench,
) -> None:
    made = recording_tar(opened.bench.root, "r1")
    spooled = made.rename(opened.bench.root / "spool" / made.name)
    found = await import_file(opened, spooled)
    assert (found.state, found.tar.name) == (ImportState.DONE, "r1.tar")
    assert not spooled.exists()


async def test_file_in_failed_goes_through_the_spool(opened: RecordingAdminBench) -> None:
    failed = opened.bench.root / "spool/failed"
    failed.mkdir()
    made = recording_tar(opened.bench.root, "r1")
    rejected = made.rename(failed / made.name)
    (failed / "r1.tar.error").write_text("once\n")
    found = await import_file(opened, rejected)
    assert (found.state, found.tar.name) == (ImportState.DONE, "r1.tar")
    assert list(failed.iterdir()) == []
    assert opened.bench.spool.scan() == []


async def test_deleted_recording_is_refused_with_a_hint_and_brought_back_on_wish(
    opened: RecordingAdminBench,
) -> None:
    made = recording_tar(opened.bench.root, "r1")
    await import_file(opened, made)
    async with opened.bench.recordings.lock_recordings(["r1"], None) as locked:
        opened.bench.files.remove("r1")
        await locked.delete(locked.recordings[0])
    refused = await import_file(opened, made)
    assert refused.state is ImportState.FAILED
    assert "import --undelete` brings it back" in (refused.error or "")
    assert (await import_file(opened, made, undelete=True)).state is ImportState.DONE
    assert (await opened.find("r1")).state == "published"
    # The wish was for that once.
    async with opened.bench.recordings.lock_recordings(["r1"], None) as locked:
        await locked.delete(locked.recordings[0])
    assert (await import_file(opened, made)).state is ImportState.FAILED


async def test_file_that_is_being_imported_is_that_import(opened: RecordingAdminBench) -> None:
    made = recording_tar(opened.bench.root, "r1")
    tar = opened.admin.spool.find_file(str(made))
    async with opened.bench.journal.claim(tar) as entry:
        assert entry is not None
        again = await admin.start_import(opened.res.recordings, "me", str(made), undelete=False)
        assert again == entry.id
        with pytest.raises(Refused, match="is being imported now"):
            await admin.start_import(opened.res.recordings, "me", str(made), undelete=True)
    assert not opened.log.named("import_by_hand")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("r1.tar", "not the absolute path"),
        ("", "not the absolute path"),
        ("/x\udcff.tar", "not the absolute path"),
        ("/x\0.tar", "not the absolute path"),
        ("/nowhere/r1.tar", "no file /nowhere/r1.tar on the appliance's machine"),
        ("/tmp", "not a regular file"),
    ],
)
async def test_path_that_is_no_file_is_refused(
    opened: RecordingAdminBench, path: str, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        await admin.start_import(opened.res.recordings, "me", path, undelete=False)
    with pytest.raises(Refused, match="no import with id 77"):
        await admin.find_import(opened.res.recordings, 77)


async def test_overview_shows_the_disk_beside_the_journal(opened: RecordingAdminBench) -> None:
    spool = opened.bench.root / "spool"
    (spool / "failed").mkdir()
    (spool / "waits.tar").write_bytes(b"1")
    (spool / ".temporary.tar").write_bytes(b"1")
    (spool / "failed/bad.tar").write_bytes(b"12")
    (spool / "failed/bad.tar.error").write_text("broken\n")
    overview = await admin.show_imports(opened.res.recordings, limit=9, failed=False)
    assert [tar.name for tar in overview.spool] == ["waits.tar"]
    assert [(one.tar.name, one.reason) for one in overview.failed] == [("bad.tar", "broken")]
    assert (overview.imports, overview.count) == ((), 0)


async def test_reason_comes_from_the_journal_if_the_name_is_too_long_for_one_beside_it(
    opened: RecordingAdminBench,
) -> None:
    name = f"{'n' * 251}.tar"
    (opened.bench.root / "spool" / name).write_bytes(b"x" * 2000)
    await import_file(opened, opened.bench.root / "spool" / name)
    for _ in range(2):
        await opened.bench.database.execute("UPDATE appliance.imports SET next_try_at = NULL")
        await opened.bench.run(name)
    overview = await admin.show_imports(opened.res.recordings, limit=9, failed=False)
    assert [(one.tar.name, one.reason) for one in overview.failed] == [
        (name, overview.imports[0].error)
    ]
    assert overview.failed[0].reason


async def test_failed_files_are_tried_again(opened: RecordingAdminBench) -> None:
    spool = opened.bench.root / "spool"
    (spool / "failed").mkdir()
    for name in ("a.tar", "b.tar", "c.tar"):
        (spool / "failed" / name).write_bytes(b"1")
    (spool / "b.tar").write_bytes(b"another")

    async def retry(*files: str) -> list[tuple[str, str | None]]:
        found = await admin.retry_imports(opened.res.recordings, "me", files)
        return [(one.file, one.problem) for one in found]

    assert await retry("a.tar", "a.tar") == [("a.tar", None)]
    assert await retry("a.tar", "gone.tar", "/x/failed/c.tar") == [
        ("a.tar", "it is in the spool already, and tried again by itself"),
        ("gone.tar", "no such file in failed/ any more: have its BBB server send it again"),
        ("/x/failed/c.tar", None),
    ]
    assert await retry("/srv/by-hand.tar") == [
        (
            "/srv/by-hand.tar",
            "not a file of failed/; `recordings import` imports files from anywhere",
        )
    ]
    assert await retry() == [
        ("b.tar", "the spool has another tar of this name; rename one of the two")
    ]
    (spool / "b.tar").unlink()
    assert await retry() == [("b.tar", None)]
    assert await retry() == []
    assert sorted(tar.name for tar in opened.bench.spool.scan()) == ["a.tar", "b.tar", "c.tar"]


async def test_failed_file_of_any_name_is_tried_again(opened: RecordingAdminBench) -> None:
    failed = opened.bench.root / "spool" / "failed"
    failed.mkdir()
    name = os.fsdecode(b"two\nlines-\xff.tar")
    (failed / name).write_bytes(b"1")

    assert await admin.retry_imports(opened.res.recordings, "me", []) == [
        admin.RetryResult(name, None)
    ]
    assert [tar.name for tar in opened.bench.spool.scan()] == [name]
    (refused,) = await admin.retry_imports(opened.res.recordings, "me", ["a\0.tar"])
    assert refused.problem == "no such file in failed/"
