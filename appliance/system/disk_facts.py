"""What is found where a directory should be, for doctor: writable, room, which file system.

Judges nothing (doctor/directory_findings.py does). Blocks, so it is called in a thread: a
directory on NFS may hang.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from appliance.doctor.directory_findings import DirectoryFacts

_PREFIX = ".appliance-doctor-"
"""A dot in front, so that nobody takes it for a recording (recordings/spool.py)."""


def look_at_directory(path: Path, *, write: bool = True) -> DirectoryFacts:
    """Look at a directory; with `write`, by writing a file there and removing it."""
    try:
        if not path.is_dir():
            if os.path.lexists(path):
                return DirectoryFacts(str(path), "no directory")
            return DirectoryFacts(str(path), "missing", creatable=_may_make(path))
        if write:
            _try_to_write(path)
        room = os.statvfs(path)
        return DirectoryFacts(
            path=str(path),
            device=path.stat().st_dev,
            free_bytes=room.f_bavail * room.f_frsize,
            size_bytes=room.f_blocks * room.f_frsize,
            # File systems without a fixed number of inodes say 0 of 0.
            free_inodes=room.f_favail / room.f_files if room.f_files else 1.0,
        )
    except OSError as error:
        return DirectoryFacts(str(path), error.strerror or type(error).__name__)


def _may_make(path: Path) -> bool:
    above = next(parent for parent in path.absolute().parents if parent.exists())
    return above.is_dir() and os.access(above, os.W_OK | os.X_OK)


def _try_to_write(path: Path) -> None:
    with tempfile.NamedTemporaryFile(prefix=_PREFIX, dir=path) as file:
        file.write(b"1")
        file.flush()
