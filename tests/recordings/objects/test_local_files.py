"""Which files of a directory can be objects: links and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.recordings.imports.model import BrokenTar
from appliance.recordings.objects.local_files import local_files

PREFIX = "published/video/r1/"


def make(tmp_path: Path) -> Path:
    folder = tmp_path / "video" / "r1"
    folder.mkdir(parents=True)
    (folder / "v.webm").write_bytes(b"v")
    return folder


def test_links_inside_a_recording_are_followed(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "w.webm").symlink_to("v.webm")
    (folder / "nothing").symlink_to("gone")
    (tmp_path / "linked").symlink_to(folder)

    found = local_files(str(tmp_path / "linked"), PREFIX)

    assert [(one.key, one.size) for one in found] == [
        (f"{PREFIX}v.webm", 1),
        (f"{PREFIX}w.webm", 1),
    ]


def test_links_out_of_it_and_to_directories_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (tmp_path / "secret").write_bytes(b"s")
    (folder / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(BrokenTar, match="leads out of the recording: 'out'"):
        local_files(str(folder), PREFIX)
    (folder / "out").unlink()
    (folder / "real").mkdir()
    (folder / "alias").symlink_to("real")
    with pytest.raises(BrokenTar, match="link to a directory cannot be stored: 'alias'"):
        local_files(str(folder), PREFIX)


@pytest.mark.parametrize(
    "name", ["a\u00a0b", "a\u202fb", "\u06a9\u200c", "a\u200db", "\uf8ff", "ü"]
)
def test_any_character_is_stored_but_control_characters(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path)
    (folder / name).write_bytes(b"x")
    assert f"{PREFIX}{name}" in {one.key for one in local_files(str(folder), PREFIX)}
    (folder / f"{name}\x85").write_bytes(b"x")
    with pytest.raises(BrokenTar, match="cannot be that of an object"):
        local_files(str(folder), PREFIX)


@pytest.mark.parametrize(("length", "fits"), [(1022, True), (1023, False)])
def test_keys_fit_also_when_they_are_unpublished(tmp_path: Path, length: int, fits: bool) -> None:
    folder = make(tmp_path)
    left = length - len(f"{PREFIX}{'d' * 250}/{'d' * 250}/{'d' * 250}/")
    path = folder / ("d" * 250) / ("d" * 250) / ("d" * 250) / ("e" * left)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    if fits:
        assert len(local_files(str(folder), PREFIX)) == 2
    else:
        with pytest.raises(BrokenTar, match="cannot be that of an object"):
            local_files(str(folder), PREFIX)
