"""Notes on changes in progress: recordings whose files are moved or removed before their rows.

If the process ends or the database is lost before the commit, recovery.py reads these notes. They
are files, one per change in `.changes` below the directory of published recordings, because the
files are ahead of the database then, and so that all appliances that share the recordings share
them. Everything blocks and is called in threads.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from appliance.recordings.changes import ChangeNote
from appliance.recordings.recording import is_record_id
from appliance.settings.model import RecordingSettings
from appliance.system.new_file import new_file

CHANGES = ".changes"
_SUFFIX = ".json"


class ChangeNotes:
    """The notes of these settings. Every method raises OSError."""

    def __init__(self, settings: RecordingSettings) -> None:
        self._directory = settings.publish_dir / CHANGES

    def write(self, record_ids: Sequence[str], *, delete: bool) -> str:
        """Write a note that files of recordings will be moved or removed; return its name.

        It survives a power failure from then on.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        text = json.dumps({"record_ids": list(record_ids), "delete": delete})
        with new_file(self._directory / f"{name}{_SUFFIX}", 0o644) as file:
            file.write(text.encode())
        return name

    def remove(self, names: Collection[str]) -> None:
        """Remove notes; missing ones are ignored."""
        for name in names:
            (self._directory / f"{name}{_SUFFIX}").unlink(missing_ok=True)

    def read(self, *, older_than_s: float) -> list[ChangeNote]:
        """Return the notes of at least this age; files that are not notes are removed."""
        found = []
        for path in self._paths():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime < older_than_s:
                    continue
                note = _note_of(path)
                if note is None:  # interrupted before anything was moved
                    path.unlink(missing_ok=True)
                else:
                    found.append(note)
        return found

    def forget_deletion(self, record_id: str) -> None:
        """Remove the note on the deletion of a recording that is imported again."""
        for path in self._paths():
            with suppress(FileNotFoundError):
                note = _note_of(path)
                if note is not None and note.delete and note.record_ids == (record_id,):
                    path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        try:
            return sorted(self._directory.iterdir())
        except FileNotFoundError:
            return []


def _note_of(path: Path) -> ChangeNote | None:
    """Read a note; None: not a note. Raises FileNotFoundError."""
    if path.suffix != _SUFFIX:
        return None
    try:
        content = json.loads(path.read_bytes())
        record_ids = tuple(one for one in content["record_ids"] if is_record_id(one))
        return ChangeNote(path.stem, record_ids, content["delete"] is True)
    except (ValueError, KeyError, TypeError):
        return None
