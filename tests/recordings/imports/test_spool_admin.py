"""Tars wherever they lie: named by where they are, and left alone outside of the spool."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.recordings.imports.spool_admin import SpoolAdmin
from tests.doubles.import_tools import recording_settings
from tests.doubles.recording_tars import recording_tar


@pytest.fixture
def desk(tmp_path: Path) -> SpoolAdmin:
    (tmp_path / "spool/failed").mkdir(parents=True)
    return SpoolAdmin(recording_settings(tmp_path))


def test_file_is_named_by_where_it_lies(desk: SpoolAdmin, tmp_path: Path) -> None:
    names = {"spool/a.tar": "a.tar", "spool/failed/b.tar": "failed/b.tar"}
    names["spool/.temporary.tar"] = str(tmp_path / "spool/.temporary.tar")
    names |= {
        "c.tar": str(tmp_path / "c.tar"),
        "spool/failed/x/d": str(tmp_path / "spool/failed/x/d"),
    }
    for path, name in names.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"1234")
        assert desk.find_file(str(tmp_path / path)).name == name
    os.symlink(tmp_path / "spool/a.tar", tmp_path / "link.tar")
    found = desk.find_file(str(tmp_path / "link.tar"))
    assert (found.name, found.size) == ("a.tar", 4)


def test_file_that_cannot_be_imported_is_refused(desk: SpoolAdmin, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        desk.find_file(str(tmp_path / "none.tar"))
    with pytest.raises(OSError, match="not a regular file"):
        desk.find_file(str(tmp_path))


def test_failed_tars_are_listed_with_the_reason(desk: SpoolAdmin, tmp_path: Path) -> None:
    failed = tmp_path / "spool/failed"
    for name, content in {"a.tar": b"12", "a.tar.error": b"broken \xff\n", "b.tar": b""}.items():
        (failed / name).write_bytes(content)
    found = [(one.tar.name, one.tar.size, one.reason) for one in desk.list_failed()]
    assert found == [("a.tar", 2, "broken \ufffd"), ("b.tar", 0, None)]
    assert desk.scan() == []
    assert desk.failed_path("a.tar") == str(failed / "a.tar")
    assert desk.failed_path("c.tar") is None


def test_spool_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    desk = SpoolAdmin(recording_settings(tmp_path / "other"))
    assert (desk.scan(), desk.list_failed()) == ([], [])


def test_file_is_unpacked_where_it_lies_and_left_alone(desk: SpoolAdmin, tmp_path: Path) -> None:
    made = recording_tar(tmp_path, "r1", {"video": {"a": b"x" * 3_000_000}})
    pieces: list[int] = []
    spool = desk.one_file(pieces.append, None)
    tar = desk.find_file(str(made))
    assert spool.look(tar.name) == tar
    work = spool.new_work(1)
    (found,) = spool.unpack(tar, work, lambda: False)
    assert (found.format, found.record_id) == ("video", "r1")
    assert sum(pieces) >= 3_000_000
    spool.discard(work)
    spool.accept(tar)
    spool.reject(tar, "no")
    assert made.exists()
    assert not list((tmp_path / "work").iterdir())
    made.unlink()
    assert spool.look(tar.name) is None
