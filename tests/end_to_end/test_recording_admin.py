"""`ctl recordings` against the real process: tars in the spool, a bad one, by hand, too old."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.recording_tars import recording_tar

FORMATS = {"video": {"video.webm": b"v" * 300_000}, "presentation": {"1.svg": b"<svg/>"}}
IMPORT_S = 60.0


@pytest.fixture(scope="module")
def appliance(
    both_stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApplianceProcess]:
    root = tmp_path_factory.mktemp("recording-admin")
    with ApplianceProcess(root, **both_stores, POLL_INTERVAL="600") as started:
        started.wait_event("retention_done", IMPORT_S)
        yield started


def ctl(appliance: ApplianceProcess, *words: str, code: int = 0) -> tuple[str, str]:
    done = appliance.ctl("recordings", *words)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def ctl_json(appliance: ApplianceProcess, *words: str, code: int = 0) -> Any:
    return json.loads(ctl(appliance, *words, "--json", code=code)[0])


def deliver(appliance: ApplianceProcess, tmp_path: Path, record_id: str, **metadata: Any) -> None:
    """Rename a tar into the spool, as rsync does, and wait until it is imported."""
    made = recording_tar(tmp_path, record_id, FORMATS, **metadata)
    spool = appliance.spool
    (spool / f".{made.name}").write_bytes(made.read_bytes())
    (spool / f".{made.name}").rename(spool / made.name)
    appliance.wait_event("recording_imported", IMPORT_S, recordings=[record_id])


def test_recordings_are_listed_and_shown(appliance: ApplianceProcess, tmp_path: Path) -> None:
    for number in range(3):
        deliver(appliance, tmp_path, f"list-{number}", meeting_id="listed", name=f"Week {number}")
    answer = ctl_json(appliance, "list", "--meeting", "listed", "--limit", "2")
    assert (len(answer["recordings"]), answer["count"]) == (2, 3)
    text, _ = ctl(appliance, "list", "--meeting", "listed", "--limit", "2")
    assert text.splitlines()[-1] == "1 more; --limit shows more of them"
    shown, _ = ctl(appliance, "show", "list-1")
    published = appliance.directory("publish")
    assert f"{published}/video/list-1: 2 files, 29" in shown
    assert "\tName: Week 1" in shown
    assert "list-1.tar (done)" in shown
    _, error = ctl(appliance, "show", "nothing", code=1)
    assert error == "no recording with id nothing\n"


def test_bad_tar_is_journalled_and_tried_again(appliance: ApplianceProcess) -> None:
    spool = appliance.spool
    (spool / "failed").mkdir(exist_ok=True)
    (spool / "failed" / "bad.tar").write_bytes(b"x" * 2000)
    (spool / "failed" / "bad.tar.error").write_text("not a tar\n")
    text, _ = ctl(appliance, "imports")
    assert "\tbad.tar, 2.0 KiB: not a tar" in text.splitlines()
    text, _ = ctl(appliance, "retry", "bad.tar")
    assert text == "bad.tar: back in the spool, with new attempts\n"
    appliance.wait_event("recording_import_failed", IMPORT_S, file="bad.tar")
    found = {one["file"]: one for one in ctl_json(appliance, "imports")["imports"]}["bad.tar"]
    assert (found["state"], found["attempts"], found["running"]) == ("waiting", 1, False)
    assert found["error"]
    _, error = ctl(appliance, "retry", "bad.tar", "gone.tar", code=1)
    assert error.splitlines() == [
        "bad.tar: it is in the spool already, and tried again by itself",
        "gone.tar: no such file in failed/ any more: have its BBB server send it again",
    ]
    (spool / "bad.tar").unlink()


def test_file_is_imported_by_hand_and_left_alone(
    appliance: ApplianceProcess, tmp_path: Path
) -> None:
    appliance.expected_errors.add("recording_import_given_up")
    made = recording_tar(tmp_path, "by-hand", FORMATS)
    text, _ = ctl(appliance, "import", os.path.relpath(made, Path.cwd()))
    assert text.splitlines()[-1].endswith("by-hand.tar: imported, by-hand")
    assert made.exists()
    assert (appliance.directory("publish") / "video/by-hand/video.webm").stat().st_size == 300_000

    (tmp_path / "broken.tar").write_bytes(b"x" * 3000)
    _, error = ctl(appliance, "import", str(tmp_path / "broken.tar"), str(made), code=1)
    assert len(error.splitlines()) == 1
    assert error.startswith(f"{tmp_path}/broken.tar: ")
    assert (tmp_path / "broken.tar").exists()
    failed = ctl_json(appliance, "imports", "--failed")["imports"]
    assert [one["file"] for one in failed] == [str(tmp_path / "broken.tar")]
    _, error = ctl(appliance, "import", "/nowhere/x.tar", code=1)
    assert error == "/nowhere/x.tar: no file /nowhere/x.tar on the appliance's machine\n"


def test_deleted_recording_comes_back_only_on_wish(
    appliance: ApplianceProcess, tmp_path: Path
) -> None:
    appliance.expected_errors.add("recording_import_given_up")
    made = recording_tar(tmp_path, "undeleted", FORMATS)
    ctl(appliance, "import", str(made))
    deleted = appliance.front.get("deleteRecordings", recordID="undeleted")
    assert deleted.text("deleted") == "true"
    _, error = ctl(appliance, "import", str(made), code=1)
    assert "was deleted; `ctl recordings import --undelete` brings it back" in error
    assert ctl_json(appliance, "show", "undeleted")["state"] == "deleted"
    ctl(appliance, "import", "--undelete", str(made))
    assert ctl_json(appliance, "show", "undeleted")["state"] == "published"


def test_recordings_are_changed_and_put_right(appliance: ApplianceProcess, tmp_path: Path) -> None:
    deliver(appliance, tmp_path, "changed", metadata={"course": "Maths", "draft": "yes"})
    text, _ = ctl(
        appliance,
        "update",
        "changed",
        "--unpublish",
        "--meta",
        "course=Physics",
        "--meta",
        "draft=",
    )
    assert text == "1 recording changed\n"
    unpublished = appliance.directory("unpublish") / "video/changed"
    published = appliance.directory("publish") / "video/changed"
    assert (unpublished.is_dir(), published.is_dir()) == (True, False)
    shown = ctl_json(appliance, "show", "changed")
    assert shown["metadata"] == {"course": "Physics"}
    assert shown["changed_by_users"] == {"published": True, "removed_metadata": ["draft"]}
    unpublished.rename(published)
    text, _ = ctl(appliance, "update", "--dry-run")
    assert "in the wrong place: changed/video" in text.splitlines()
    done = appliance.ctl("recordings:update")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (unpublished.is_dir(), published.is_dir()) == (True, False)


def test_import_whose_appliance_was_killed_is_seen_and_can_be_begun_anew(
    appliance: ApplianceProcess, tmp_path: Path
) -> None:
    made = recording_tar(tmp_path, "cut-off", {"video": {"video.webm": bytes(200 << 20)}})
    one = appliance.control.post("importRecording", {"path": str(made)})

    def state() -> str:
        return str(appliance.control.get("getImport", id=str(one["id"]))["state"])

    wait_for(lambda: state() == "extracting", IMPORT_S, "it is under way")
    appliance.kill()
    _, error = ctl(appliance, "imports", code=3)
    assert error.startswith("the appliance is not running")
    appliance.start()
    appliance.wait_event("database_ready", IMPORT_S)
    wait_for(lambda: state() == "interrupted", IMPORT_S, "nobody is at it")
    assert "cut-off.tar" in ctl(appliance, "imports")[0]
    ctl(appliance, "import", str(made))
    published = appliance.directory("publish") / "video/cut-off/video.webm"
    assert published.stat().st_size == 200 << 20
    work = appliance.directory("work")
    wait_for(lambda: not list(work.glob("*import*")), IMPORT_S, "no leftovers")


def test_old_recordings_are_deleted_by_age(appliance: ApplianceProcess, tmp_path: Path) -> None:
    deliver(appliance, tmp_path, "old")
    _, error = ctl(appliance, "prune", "--dry-run", code=1)
    assert error.startswith("no retention time is set")
    listed = [one["record_id"] for one in ctl_json(appliance, "list")["recordings"]]
    would = ctl_json(appliance, "prune", "--dry-run", "--days", "30")
    assert sorted(one["record_id"] for one in would["recordings"]) == sorted(listed)
    assert ctl_json(appliance, "prune", "--days", "90000")["deleted"] == []
    pruned = ctl_json(appliance, "prune", "--days", "30")
    assert sorted(pruned["deleted"]) == sorted(listed)
    assert not list(appliance.directory("publish").glob("video/*"))
    assert ctl_json(appliance, "show", "old")["state"] == "deleted"
