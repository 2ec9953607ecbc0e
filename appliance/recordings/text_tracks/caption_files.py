"""The caption files in the directory of a recording: `captions.json` and `caption_{locale}.vtt`.

The rules are in rules.py. Everything blocks and is called in threads; a writer holds the
recording's lock.

Source: bbb-playback, which reads these files.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from appliance.recordings.text_tracks.rules import (
    TextTrack,
    add_track,
    is_uploaded,
    parse_index,
    render_index,
)
from appliance.system.new_file import new_file

INDEX = "captions.json"
_FILE_MODE = 0o644
"""Readable by nginx."""


class CaptionFiles:
    """Reads and writes text tracks. Every method raises OSError."""

    def read_tracks(self, directory: Path) -> list[TextTrack]:
        """Return the tracks of the index whose files exist."""
        return [one for one in _index(directory) if (directory / one.file_name).is_file()]

    def write_track(self, directory: Path, track: TextTrack, webvtt: bytes) -> None:
        """Add a track or replace the one of its kind and language.

        The file is written before the index.
        """
        tracks = add_track(_index(directory), track)
        index = render_index(tracks)
        _replace(directory / tracks[-1].file_name, webvtt)
        _replace(directory / INDEX, index)

    def carry_over(self, old: Path, new: Path) -> None:
        """Copy the tracks that users added to a directory into the one that replaces it."""
        for track in self.read_tracks(old):
            if is_uploaded(track):
                with suppress(IsADirectoryError, NotADirectoryError):  # not a file
                    self.write_track(new, track, (old / track.file_name).read_bytes())


def _index(directory: Path) -> list[TextTrack]:
    """Read the index; a missing or broken one has no tracks."""
    with suppress(FileNotFoundError):
        return parse_index((directory / INDEX).read_bytes())
    return []


def _replace(path: Path, content: bytes) -> None:
    with new_file(path, _FILE_MODE) as file:
        file.write(content)
