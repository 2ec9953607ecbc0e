"""Files that are served, on a real disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.http.file_response import OpenedFile
from appliance.recordings.playback.rules import NotAFile
from appliance.recordings.playback.served_files import ServedFiles, open_inside
from tests.doubles.settings import settings_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a directory with a recording, a neighbour, and a secret outside."""
    inside = tmp_path / "video" / "rec-1"
    (inside / "sub").mkdir(parents=True)
    (inside / "a.txt").write_bytes(b"0123456789")
    (inside / "index.html").write_bytes(b"index")
    (inside / "sub" / "b.txt").write_bytes(b"b")
    (tmp_path / "video" / "rec-10").mkdir()
    (tmp_path / "video" / "rec-10" / "c.txt").write_bytes(b"neighbour")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return tmp_path / "video"


def opened(root: Path, *names: str) -> bytes | NotAFile:
    """Return the content of a file of rec-1."""
    file = open_inside(root, ("rec-1",), names)
    if isinstance(file, NotAFile):
        return file
    try:
        return file.read(0, file.size)
    finally:
        file.close()


def test_files_are_found(root: Path) -> None:
    assert opened(root, "a.txt") == b"0123456789"
    assert opened(root, "sub", "b.txt") == b"b"
    assert opened(root, "") == b"index"
    assert opened(root, "sub") is NotAFile.DIRECTORY
    for names in (("sub", ""), ("x",), ("a.txt", "x"), ("a.txt", ""), ("x" * 300,), ("\udcff",)):
        assert opened(root, *names) is NotAFile.MISSING


def test_links_that_leave_the_directory_are_not_followed(root: Path) -> None:
    inside = root / "rec-1"
    (inside / "near").symlink_to("sub/b.txt")
    (inside / "far").symlink_to(root.parent / "secret.txt")
    (inside / "neighbour").symlink_to("../rec-10/c.txt")
    (inside / "up").symlink_to("..")
    (inside / "loop").symlink_to("loop")
    (root / "rec-2").symlink_to(root / "rec-10")

    assert opened(root, "near") == b"b"
    for names in (("far",), ("neighbour",), ("up", "rec-10", "c.txt"), ("up",), ("loop",)):
        assert opened(root, *names) is NotAFile.MISSING
    assert open_inside(root, ("rec-2",), ("c.txt",)) is NotAFile.MISSING


def test_operator_may_link_the_directory_itself(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)

    assert opened(link, "a.txt") == b"0123456789"


def test_what_is_no_file_is_not_opened(root: Path) -> None:
    os.mkfifo(root / "rec-1" / "pipe")

    assert opened(root, "pipe") is NotAFile.MISSING


def test_open_file_outlives_its_name_and_tells_its_end(root: Path) -> None:
    file = open_inside(root, ("rec-1",), ("a.txt",))
    assert isinstance(file, OpenedFile)
    (root / "rec-1").rename(root / "gone")
    assert (file.name, file.size, file.read(2, 3)) == ("a.txt", 10, b"234")
    os.truncate(root / "gone" / "a.txt", 4)
    assert file.read(0, 10) == b"0123"
    file.close()
    file.close()
    with pytest.raises(OSError, match="Bad file"):
        file.read(0, 1)


def test_published_and_player_files_have_their_directories(tmp_path: Path) -> None:
    settings = settings_of(
        RECORDING_PUBLISH_DIR=str(tmp_path / "published"), PLAYBACK_DIR=str(tmp_path / "player")
    )
    for path in ("published/video/rec-1/a", "player/presentation/2.3/a"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(path.encode())
    files = ServedFiles(settings.recordings)
    for file in (
        files.open_published("video", "rec-1", ("a",)),
        files.open_player(("presentation", "2.3", "a")),
    ):
        assert isinstance(file, OpenedFile)
        file.close()
    assert files.open_published("video", "rec-2", ("a",)) is NotAFile.MISSING
