"""Finds the files of recordings, published or not, and their sizes; moves nothing.

Everything blocks, is called in threads and raises OSError.
"""

from __future__ import annotations

import os
from pathlib import Path

from appliance.recordings.recording import is_format, is_record_id
from appliance.recordings.summary import FormatFiles
from appliance.settings.model import RecordingSettings


class FileLocations:
    """The directories of published and unpublished files."""

    def __init__(self, settings: RecordingSettings) -> None:
        self._roots = ((settings.publish_dir, True), (settings.unpublish_dir, False))

    def locate(self, record_id: str) -> list[FormatFiles]:
        """Return the directories of a recording; a format may have one in both places."""
        found = []
        for format, places in sorted(self.where(record_id).items()):
            for (root, published), there in zip(self._roots, places, strict=True):
                if there:
                    path = root / format / record_id
                    files, size = _measure(path)
                    found.append(FormatFiles(format, str(path), published, files, size))
        return found

    def where(self, record_id: str) -> dict[str, tuple[bool, bool]]:
        """Return for each format with files whether they are published, and whether unpublished."""
        if not is_record_id(record_id):
            return {}
        names = {name for root, _ in self._roots for name in _formats_below(root)}
        found = {}
        for name in names:
            published, unpublished = ((root / name / record_id).is_dir() for root, _ in self._roots)
            if published or unpublished:
                found[name] = (published, unpublished)
        return found


def _formats_below(root: Path) -> list[str]:
    try:
        return [name for name in os.listdir(root) if is_format(name)]
    except FileNotFoundError:
        return []


def _measure(directory: Path) -> tuple[int, int]:
    """Return the number of files below a directory and their total size in bytes."""
    files, size = 0, 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size += (Path(folder) / name).lstat().st_size
            except FileNotFoundError:  # moved or replaced in the meantime
                continue
            files += 1
    return files, size
