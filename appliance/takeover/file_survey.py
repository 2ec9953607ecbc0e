"""Read the directories of recordings. Changes nothing.

Everything blocks and runs in threads; may raise OSError.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from appliance.recordings.imports.model import is_tar_name
from appliance.recordings.imports.spool import FAILED
from appliance.recordings.recording import is_format, is_record_id
from appliance.settings.model import RecordingSettings
from appliance.takeover.recording_findings import DirectoryState, Places


class FileSurvey:
    """Reads the directories that the settings name."""

    def __init__(self, settings: RecordingSettings) -> None:
        self._roots = ((settings.publish_dir, True), (settings.unpublish_dir, False))
        self._spool = settings.spool_dir
        self._directories = (
            ("RECORDING_PUBLISH_DIR", settings.publish_dir),
            ("RECORDING_UNPUBLISH_DIR", settings.unpublish_dir),
            ("RECORDING_SPOOL_DIR", settings.spool_dir),
            ("RECORDING_WORK_DIR", settings.work_dir),
        )

    def directories(self) -> list[DirectoryState]:
        """Return the state of the directories, and of samples below them that are not writable."""
        found = [_inspect(purpose, path) for purpose, path in self._directories]
        for purpose, root in self._directories[:2]:
            found += [
                one
                for path in self._samples(root)
                if (one := _inspect(purpose, path)).exists and not one.writable
            ]
        return found

    def _samples(self, root: Path) -> list[Path]:
        """Return the directory of each format below a root, and that of one recording in it.

        Moving a directory requires write access to it.
        """
        paths = []
        for name in _formats(root):
            paths.append(root / name)
            paths += [root / name / one for one in self.recordings_in(str(root / name))[:1]]
        return paths

    def tars(self) -> dict[str, float]:
        """Return the tars in the spool and their age in seconds."""
        now_s = time.time()
        found = {}
        for name in _names(self._spool):
            if is_tar_name(name):
                try:
                    found[name] = now_s - (self._spool / name).stat().st_mtime
                except FileNotFoundError:  # imported meanwhile
                    continue
        return found

    def failed_tars(self) -> list[str]:
        """Return the tars whose import failed."""
        return sorted(name for name in _names(self._spool / FAILED) if is_tar_name(name))

    def where(self, record_ids: Iterable[str]) -> dict[str, Places]:
        """Return for each recording the places of its files, by format."""
        folders = [
            (root / name, name, published)
            for root, published in self._roots
            for name in _formats(root)
        ]
        found: dict[str, Places] = {}
        for record_id in record_ids:
            if not is_record_id(record_id):
                continue
            there = {(name, at) for path, name, at in folders if (path / record_id).is_dir()}
            found[record_id] = {
                name: ((name, True) in there, (name, False) in there) for name, _ in there
            }
        return found

    def folders(self) -> list[str]:
        """Return the directories of formats, in a stable order."""
        return [str(root / name) for root, _ in self._roots for name in _formats(root)]

    def recordings_in(self, folder: str) -> list[str]:
        """Return the recordings that have files in a directory of a format."""
        return sorted(name for name in _names(Path(folder)) if is_record_id(name))


def _inspect(purpose: str, path: Path) -> DirectoryState:
    try:
        found = path.stat()
    except OSError:  # missing, or below a directory without access
        return DirectoryState(purpose, str(path), exists=False)
    writable = path.is_dir() and os.access(path, os.R_OK | os.W_OK | os.X_OK)
    owner = f"{found.st_uid}:{found.st_gid}"
    return DirectoryState(purpose, str(path), True, writable, found.st_dev, owner)


def _formats(root: Path) -> list[str]:
    return sorted(name for name in _names(root) if is_format(name))


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
