"""Where the files of recordings are."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.recordings.file_locations import FileLocations
from tests.doubles.import_tools import recording_settings


@pytest.fixture
def places(tmp_path: Path) -> FileLocations:
    for path in (
        "published/video/r1/a", "published/video/r1/deep/b", "unpublished/video/r1/a",
        "unpublished/notes/r1/a", "published/.removed/r1.1/a", "published/video/r2/a",
    ):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"123")
    return FileLocations(recording_settings(tmp_path))


def test_places_are_found(places: FileLocations) -> None:
    assert places.where("r1") == {"video": (True, True), "notes": (False, True)}
    assert places.where("r2") == {"video": (True, False)}
    assert places.where("r3") == {}


def test_sizes_are_told(places: FileLocations, tmp_path: Path) -> None:
    found = [(one.path, one.published, one.files, one.size) for one in places.locate("r1")]
    assert found == [
        (str(tmp_path / "unpublished/notes/r1"), False, 1, 3),
        (str(tmp_path / "published/video/r1"), True, 2, 6),
        (str(tmp_path / "unpublished/video/r1"), False, 1, 3),
    ]


@pytest.mark.parametrize("record_id", ["..", ".", "", "a/b", "../video/r1"])
def test_what_is_no_record_id_is_nowhere(places: FileLocations, record_id: str) -> None:
    assert places.where(record_id) == {}
    assert places.locate(record_id) == []


def test_directories_that_are_not_there_hold_nothing(tmp_path: Path) -> None:
    assert FileLocations(recording_settings(tmp_path / "none")).where("r1") == {}
