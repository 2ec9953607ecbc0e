"""Captions on the disk, as the BBB player reads them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from appliance.recordings.text_tracks.caption_files import INDEX, CaptionFiles
from appliance.recordings.text_tracks.rules import TextTrack

ENGLISH = TextTrack("en-US", "English", "subtitles", "upload")
FILES = CaptionFiles()


def test_track_is_written_with_its_index(tmp_path: Path) -> None:
    FILES.write_track(tmp_path, ENGLISH, b"WEBVTT\n")
    FILES.write_track(tmp_path, TextTrack("de", "Größe", "captions", "upload"), b"WEBVTT\n")
    FILES.write_track(tmp_path, ENGLISH, b"WEBVTT\n\nnew\n")

    assert (tmp_path / "caption_en-US.vtt").read_bytes() == b"WEBVTT\n\nnew\n"
    index = json.loads((tmp_path / INDEX).read_bytes())
    assert [(one["locale"], one["localeName"]) for one in index] == [
        ("de", "Größe"),
        ("en-US", "English"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "caption_de.vtt",
        "caption_en-US.vtt",
        "captions.json",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o644}


def test_tracks_of_bbb_itself_are_read(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text('[{"localeName": "English", "locale": "en"}, {"locale": "fr"}]')
    (tmp_path / "caption_en.vtt").write_text("WEBVTT")

    assert FILES.read_tracks(tmp_path) == [TextTrack("en", "English")]


@pytest.mark.parametrize("index", [None, "", "{", "7", "[7]", "[" * 100_000])
def test_broken_index_names_no_tracks_and_is_replaced(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / INDEX).write_text(index)
    assert FILES.read_tracks(tmp_path) == []

    FILES.write_track(tmp_path, ENGLISH, b"WEBVTT\n")
    assert FILES.read_tracks(tmp_path) == [ENGLISH]


def test_uploaded_tracks_are_carried_over_and_no_others(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for directory in (old, new):
        directory.mkdir()
    FILES.carry_over(tmp_path / "nowhere", new)
    FILES.write_track(old, ENGLISH, b"WEBVTT\n\nmine\n")
    FILES.write_track(old, TextTrack("fr", "Live"), b"WEBVTT\n")
    FILES.write_track(new, TextTrack(ENGLISH.lang, "Live", ENGLISH.kind), b"WEBVTT\n")
    FILES.write_track(new, TextTrack("de", "Live"), b"WEBVTT\n")

    FILES.carry_over(old, new)

    assert {one.lang: one.source for one in FILES.read_tracks(new)} == {
        ENGLISH.lang: "upload",
        "de": "live",
    }
    assert (new / ENGLISH.file_name).read_bytes() == b"WEBVTT\n\nmine\n"


def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / ENGLISH.file_name).mkdir()
    with pytest.raises(OSError, match="directory"):
        FILES.write_track(tmp_path, ENGLISH, b"WEBVTT\n")
    assert [path.name for path in tmp_path.iterdir()] == [ENGLISH.file_name]
