"""The survey of the directories of recordings."""

from __future__ import annotations

import os
import time
from pathlib import Path

from appliance.takeover.file_survey import FileSurvey
from tests.doubles.import_tools import recording_settings
from tests.doubles.scalelite_files import PUBLISHED, UNPUBLISHED, add_format, make_scalelite_files


def test_state_of_directories_is_read_and_none_is_made(tmp_path: Path) -> None:
    files = FileSurvey(recording_settings(tmp_path / "volume"))

    assert [one.exists for one in files.directories()] == [False] * 4
    assert (files.tars(), files.failed_tars(), files.folders()) == ({}, [], [])
    assert files.where(["r"]) == {"r": {}}
    assert not (tmp_path / "volume").exists()

    make_scalelite_files(tmp_path / "volume")
    (tmp_path / "volume" / "work").rmdir()
    (tmp_path / "volume" / "work").write_text("a file")

    found = {one.purpose: one for one in files.directories()}
    assert [one.writable for one in found.values()] == [True, True, True, False]
    owner = f"{os.getuid()}:{(tmp_path / 'volume').stat().st_gid}"
    assert found["RECORDING_PUBLISH_DIR"].owner == owner
    assert len({one.device for one in found.values()}) == 1


def test_places_of_files_are_found(tmp_path: Path) -> None:
    make_scalelite_files(tmp_path)
    add_format(tmp_path, "published", "video", UNPUBLISHED)
    (tmp_path / "published" / ".removed").mkdir()

    found = FileSurvey(recording_settings(tmp_path)).where([UNPUBLISHED, PUBLISHED, "../x", "no"])

    assert found == {
        UNPUBLISHED: {"presentation": (False, True), "video": (True, True)},
        PUBLISHED: {"podcast": (True, False), "presentation": (True, False)},
        "no": {},
    }


def test_folders_and_their_recordings_are_listed(tmp_path: Path) -> None:
    make_scalelite_files(tmp_path)
    (tmp_path / "published" / "podcast" / ".hidden").mkdir()
    files = FileSurvey(recording_settings(tmp_path))

    folders = files.folders()

    assert [str(Path(folder).relative_to(tmp_path)) for folder in folders] == [
        *("published/podcast", "published/presentation"),
        *("unpublished/presentation", "unpublished/video"),
    ]
    assert files.recordings_in(folders[0]) == [PUBLISHED]
    assert files.recordings_in(str(tmp_path / "gone")) == []


def test_tars_are_listed_with_their_age(tmp_path: Path) -> None:
    make_scalelite_files(tmp_path)
    old = tmp_path / "spool" / "old.tar"
    for path in (old, tmp_path / "spool" / "new.tar.gz", tmp_path / "spool" / ".part.tar"):
        path.write_bytes(b"")
    os.utime(old, (time.time() - 1000, time.time() - 1000))
    (tmp_path / "spool" / "failed").mkdir()
    (tmp_path / "spool" / "failed" / "bad.tar").write_bytes(b"")
    (tmp_path / "spool" / "failed" / "bad.tar.error").write_text("broken")
    files = FileSurvey(recording_settings(tmp_path))

    ages = files.tars()

    assert set(ages) == {"old.tar", "new.tar.gz"}
    assert 990 < ages["old.tar"] < 1100
    assert ages["new.tar.gz"] < 100
    assert files.failed_tars() == ["bad.tar"]
