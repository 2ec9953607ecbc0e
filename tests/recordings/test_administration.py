"""An operator's work on recordings: all or nothing, logged, and nobody's change undone."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.recordings import administration as admin
from appliance.recordings.changes import RecordingChanges
from appliance.recordings.summary import RecordingQuery
from tests.doubles.features import rewire
from tests.doubles.recording_admin_bench import RecordingAdminBench
from tests.doubles.recordings import make_format, make_recording

pytest_plugins = ["tests.doubles.recording_admin_bench_fixtures"]

NOTHING = RecordingChanges()


async def test_disabled_recordings_are_refused(opened: RecordingAdminBench) -> None:
    with pytest.raises(Refused, match="recordings are disabled here"):
        await admin.list_recordings(
            rewire(opened.res, recordings__admin=None).recordings, RecordingQuery()
        )


async def test_recording_is_shown_with_its_files(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"))
    details = await admin.show_recording(opened.res.recordings, "r1")
    assert [(one.format, one.published, one.size) for one in details.files] == [
        ("presentation", True, 2)
    ]
    with pytest.raises(Refused, match="no recording with id r2"):
        await admin.show_recording(opened.res.recordings, "r2")


async def test_changes_reach_all_recordings_or_none(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"), make_recording("r2"))
    changes = RecordingChanges((("course", "x"), ("empty", "")), protected=True)
    with pytest.raises(Refused) as refused:
        await admin.change_recordings(opened.res.recordings, "me", ["r1", "nope"], changes, False)
    assert refused.value.kind is RefusalKind.NOT_FOUND
    assert not (await opened.find("r1")).protected

    changed = await admin.change_recordings(
        opened.res.recordings, "me", ["r1", "r2"], changes, False
    )
    for one in changed:
        assert (one.published, one.state, one.publish_updated) == (False, "unpublished", True)
        assert one.protected
        assert dict(one.metadata) == {"bbb-origin": "greenlight", "course": "x"}
    assert not list((opened.bench.root / "published/presentation").iterdir())
    assert opened.log.named("recordings_changed") == [
        {"by": "me", "record_ids": ["r1", "r2"], "publish": False, "protect": True,
         "metadata": ["course", "empty"]}
    ]  # fmt: skip
    with pytest.raises(Refused, match="nothing to change"):
        await admin.change_recordings(opened.res.recordings, "me", ["r1"], NOTHING, None)


async def test_missing_files_undo_the_whole_change(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"))
    (opened.bench.root / "published/presentation/r1/index.html").unlink()
    (opened.bench.root / "published/presentation/r1").rmdir()
    changes = RecordingChanges((("course", "x"),))
    with pytest.raises(Refused, match="files are missing"):
        await admin.change_recordings(opened.res.recordings, "me", ["r1"], changes, False)
    found = await opened.find("r1")
    assert (found.published, dict(found.metadata).get("course")) == (True, None)
    assert [name for name, _ in opened.log.errors] == ["recording_files_missing"]


async def test_recordings_are_given_to_a_tenant(opened: RecordingAdminBench) -> None:
    await opened.set_retention("t1", "0")
    await opened.set_retention("t2", "0")
    await opened.add(*(make_recording(f"r{number}") for number in range(3)))

    async def assign(tenant: str, *ids: str, force: bool = False) -> int:
        return await admin.assign_recordings(opened.res.recordings, "me", tenant, ids, force=force)

    for tenant, reason in (("", "is missing"), ("t9", r"with id t9 \(--force")):
        with pytest.raises(Refused, match=reason):
            await assign(tenant)
    assert await assign("t1", "r0") == 1
    assert await assign("t2") == 2
    assert await assign("t2") == 0
    with pytest.raises(Refused, match=r"another tenant's: r0 \(t1\)"):
        await assign("t2", "r0", "r1")
    assert await assign("t2", "r0", "r1", force=True) == 1
    assert await assign("t9", "r0", force=True) == 1
    with pytest.raises(Refused, match="no recording with id nope"):
        await assign("t1", "nope")
    owners = [(await opened.find(f"r{number}")).tenant_id for number in range(3)]
    assert owners == ["t9", "t2", "t2"]


async def repair(opened: RecordingAdminBench, *ids: str, **options: Any) -> admin.Repair:
    values: dict[str, Any] = {"after": 0, "dry_run": False, **options}
    return await admin.repair_recordings(opened.res.recordings, "me", record_ids=ids, **values)


async def test_files_in_the_wrong_place_are_moved(opened: RecordingAdminBench) -> None:
    formats = (make_format("presentation"), make_format("video"))
    await opened.add(make_recording("right", formats=formats))
    await opened.add(make_recording("wrong", formats=formats), wrong=True)
    hidden = make_recording("hidden", published=False, state="unpublished")
    await opened.add(hidden, wrong=True)
    # Half a move, and a format that the rows do not know.
    both = opened.bench.root / "unpublished/video/right"
    both.mkdir(parents=True)
    stray = opened.bench.root / "unpublished/notes/right"
    stray.mkdir(parents=True)
    expected = ["hidden/presentation", "right/notes", "right/video"]
    expected += ["wrong/presentation", "wrong/video"]

    seen = await repair(opened, dry_run=True)
    assert (seen.checked, sorted(seen.moved), seen.next_after) == (3, expected, None)
    assert (await repair(opened, "hidden", dry_run=True)).moved == ["hidden/presentation"]
    assert both.is_dir()
    assert not opened.log.named("recordings_repaired")

    done = await repair(opened)
    assert (sorted(done.moved), done.missing, done.failed) == (expected, [], [])
    assert {one for one in opened.bench.tree() if "index.html" in one} == {
        "published/presentation/right/index.html", "published/video/right/index.html",
        "published/presentation/wrong/index.html", "published/video/wrong/index.html",
        "unpublished/presentation/hidden/index.html",
    }  # fmt: skip
    assert not both.exists()
    assert (await repair(opened)).moved == []


async def test_repair_goes_in_steps_and_names_what_has_no_files(
    opened: RecordingAdminBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "REPAIR_ROWS", 2)
    await opened.add(*(make_recording(f"r{number}") for number in range(3)), wrong=True)
    (opened.bench.root / "unpublished/presentation/r2/index.html").unlink()
    (opened.bench.root / "unpublished/presentation/r2").rmdir()
    first = await repair(opened)
    assert (first.checked, first.moved) == (2, ["r0/presentation", "r1/presentation"])
    assert first.next_after is not None
    second = await repair(opened, after=first.next_after)
    assert (second.checked, second.moved, second.next_after) == (1, [], None)
    assert second.missing == ["r2/presentation"]


async def test_files_that_cannot_be_moved_are_named(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"), make_recording("r2"), wrong=True)
    (opened.bench.root / "published").mkdir(exist_ok=True)
    (opened.bench.root / "published/presentation").write_text("no directory")
    done = await repair(opened)
    assert done.moved == []
    assert [text.partition(":")[0] for text in done.failed] == ["r1", "r2"]
