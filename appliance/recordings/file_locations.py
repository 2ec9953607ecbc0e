"""Looks where the files of recordings are, and how large they are; moves nothing.

Truth: the directories of published and unpublished files. Everything blocks and is called in
threads; raises OSError.
"""

from __future__ import annotations

import os
from pathlib import Path

from appliance.recordings.recording import is_format, is_record_id
from appliance.recordings.summary import FormatFiles
from appliance.settings.model import RecordingSettings


class FileLocations:
    """The two directories of these settings."""

    def __init__(self, settings: RecordingSettings) -> None:
        self._roots = ((settings.publish_dir, True), (settings.unpublish_dir, False))

    def locate(self, record_id: str) -> list[FormatFiles]:
        """Return the directories of a recording; one format may have two."""
        found = []
        for format, places in sorted(self.where(record_id).items()):
            for (root, published), there in zip(self._roots, places, strict=True):
                if there:
                    path = root / format / record_id
                    files, size = _measure(path)
                    found.append(FormatFiles(format, str(path), published, files, size))
        return found

    def where(self, record_id: str) -> dict[str, tuple[bool, bool]]:
        """Return of each format that has files whether it is among the published ones, and whether
        among the unpublished."""
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
    """Return how many files there are below a directory, and their bytes."""
    files, size = 0, 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size += (Path(folder) / name).lstat().st_size
            except FileNotFoundError:  # moved or replaced meanwhile
                continue
            files += 1
    return files, size
