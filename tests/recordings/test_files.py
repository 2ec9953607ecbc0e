"""Files of recordings move as wholes, over file systems too, and half-made moves are mended."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.recordings.files import INCOMING, REMOVED, RecordingFiles
from appliance.recordings.storage import Transfer
from appliance.recordings.text_tracks.caption_files import CaptionFiles
from appliance.recordings.text_tracks.rules import TextTrack
from tests.doubles.import_tools import recording_settings

OTHER_DISK = Path("/dev/shm")


@pytest.fixture(params=["same", "other"])
def roots(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Path, Path]]:
    """Give published and unpublished directories, on one file system or on two."""
    if request.param == "same":
        yield tmp_path / "published", tmp_path / "unpublished"
        return
    assert OTHER_DISK.stat().st_dev != tmp_path.stat().st_dev
    other = OTHER_DISK / f"sl-{uuid.uuid4().hex}"
    other.mkdir()
    try:
        yield tmp_path / "published", other / "unpublished"
    finally:
        shutil.rmtree(other)


@pytest.fixture
def files(roots: tuple[Path, Path], tmp_path: Path) -> RecordingFiles:
    settings = recording_settings(tmp_path)
    return RecordingFiles(replace(settings, publish_dir=roots[0], unpublish_dir=roots[1]))


def write(directory: Path, **content: str) -> Path:
    for name, text in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def read(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}


def test_publish_and_unpublish_move_a_format(
    files: RecordingFiles, roots: tuple[Path, Path]
) -> None:
    published, unpublished = (root / "video/r1" for root in roots)
    write(unpublished, a="1")
    assert files.publish("r1", "video")
    assert (read(published), unpublished.exists()) == ({"a": "1"}, False)
    assert files.publish("r1", "video")  # again: nothing to do
    assert files.is_published("video", "r1")
    assert files.unpublish("r1", "video")
    assert (read(unpublished), published.exists()) == ({"a": "1"}, False)
    assert files.find("video", "r1") == unpublished
    assert not files.is_published("video", "r1")


@pytest.mark.parametrize(
    ("source", "target", "kept"),
    [
        ({"a": "123", "b": "4"}, {"a": "1"}, {"a": "123", "b": "4"}),
        ({"a": "1"}, {"a": "123", "b": "4"}, {"a": "123", "b": "4"}),
        ({"a": "new"}, {"a": "old"}, {"a": "new"}),
    ],
)
def test_publish_mends_a_move_that_was_cut_off(
    files: RecordingFiles,
    roots: tuple[Path, Path],
    source: dict[str, str],
    target: dict[str, str],
    kept: dict[str, str],
) -> None:
    published, unpublished = (root / "video/r1" for root in roots)
    write(unpublished, **source)
    write(published, **target)
    assert files.publish("r1", "video")
    assert (read(published), unpublished.exists()) == (kept, False)


@pytest.mark.parametrize(("record_id", "format"), [("r1", "video"), ("../r1", "v"), ("r1", "..")])
def test_publish_says_what_is_nowhere(files: RecordingFiles, record_id: str, format: str) -> None:
    assert not files.publish(record_id, format)
    assert not files.unpublish(record_id, format)
    assert files.find(format, record_id) is None


def test_place_replaces_what_is_there_wherever_it_is(
    files: RecordingFiles, roots: tuple[Path, Path], tmp_path: Path
) -> None:
    for published in (True, True, False, True):
        root, other = roots if published else reversed(roots)
        source = write(tmp_path / "work", a=str(published))
        source.chmod(0o700)
        files.place(str(source), "r1", "video", published=published)
        assert read(root / "video/r1") == {"a": str(published)}
        assert not (other / "video/r1").exists()
        assert not source.exists()
        assert (root / "video/r1").stat().st_mode & 0o777 == 0o755
        assert (root / "video/r1/a").stat().st_mode & 0o777 == 0o644
        assert (root / "video").stat().st_mode & 0o777 == 0o755


def test_place_replaces_a_link_and_leaves_what_it_leads_to(
    files: RecordingFiles, roots: tuple[Path, Path], tmp_path: Path
) -> None:
    elsewhere = write(tmp_path / "elsewhere", a="old")
    place = roots[0] / "video/r1"
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)

    files.place(str(write(tmp_path / "new", a="new")), "r1", "video", published=True)
    files.empty_trash()

    assert (place.is_symlink(), read(place), read(elsewhere)) == (False, {"a": "new"}, {"a": "old"})
    assert list((roots[0] / ".removed").iterdir()) == []


@pytest.mark.parametrize("published", [True, False])
def test_staged_files_are_placed_wherever_they_belong_by_then(
    files: RecordingFiles, roots: tuple[Path, Path], tmp_path: Path, published: bool
) -> None:
    source = write(tmp_path / "work", a="1")
    source.chmod(0o500)
    staged = Path(files.stage(str(source), "r1", "video", published=False, transfer=Transfer()))
    assert read(staged) == {"a": "1"}
    assert staged.stat().st_dev == roots[1].stat().st_dev
    assert files.where("r1") == {}

    files.place(str(staged), "r1", "video", published=published)

    assert read(roots[0 if published else 1] / "video/r1") == {"a": "1"}
    assert not staged.exists()


def test_staged_files_that_are_not_wanted_are_gone(files: RecordingFiles, tmp_path: Path) -> None:
    source = write(tmp_path / "work", a="1")
    staged = files.stage(str(source), "r1", "video", published=False, transfer=Transfer())
    files.unstage(staged)
    files.unstage(staged)
    assert not Path(staged).exists()


def test_place_keeps_captions_that_users_have_added(
    files: RecordingFiles, roots: tuple[Path, Path], tmp_path: Path
) -> None:
    write(roots[1] / "presentation/r1", a="old")
    track = TextTrack("de", "Deutsch", "captions", "upload")
    CaptionFiles().write_track(roots[1] / "presentation/r1", track, b"WEBVTT\n")
    source = write(tmp_path / "new", a="new")

    files.place(str(source), "r1", "presentation", published=True)

    placed = roots[0] / "presentation/r1"
    assert CaptionFiles().read_tracks(placed) == [track]
    assert (placed / "a").read_text() == "new"
    assert not (roots[1] / "presentation/r1").exists()


def test_remove_takes_every_copy_and_trash_is_emptied(
    files: RecordingFiles, roots: tuple[Path, Path]
) -> None:
    for root in roots:
        for format in ("video", "notes"):
            write(root / format / "r1", a="1")
            write(root / format / "r2", a="1")
    assert set(files.where("r1")) == {"video", "notes"}
    files.remove("r1")
    files.remove("r1")
    assert files.where("r1") == {}
    assert set(files.where("r2")) == {"video", "notes"}
    assert len(list((roots[0] / REMOVED).iterdir())) == 2
    files.empty_trash()
    assert list((roots[0] / REMOVED).iterdir()) == []


def test_empty_trash_leaves_copies_alone_that_are_under_way(
    files: RecordingFiles, roots: tuple[Path, Path]
) -> None:
    copy = write(roots[0] / INCOMING / "video.r1.x", a="1")
    files.empty_trash()
    assert copy.exists()
    files.empty_trash(abandoned_s=-1)
    assert not copy.exists()
