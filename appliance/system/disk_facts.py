"""Inspect a directory: is it writable, how much room is left, on which file system is it?

Judges nothing: doctor/directory_findings.py does. Blocks, so it runs in a thread: a directory on
NFS may hang.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

MISSING = "missing"
NOT_A_DIRECTORY = "not a directory"

_PREFIX = ".appliance-doctor-"
"""Starts with a dot, so that recordings/imports/spool.py does not take the file for a recording."""


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """State of a path that should be a directory."""

    path: str
    problem: str = ""
    """MISSING, NOT_A_DIRECTORY, or the error of the attempt to write; empty: none."""
    creatable: bool = False
    """Missing, but this process can make it."""
    device: int = 0
    free_bytes: int = 0
    size_bytes: int = 0
    free_inodes: float = 1.0
    """Fraction of all inodes."""


def inspect_directory(path: Path, write: bool = True) -> DirectoryFacts:
    """Inspect a directory; with `write`, write a file there and remove it."""
    try:
        if not path.is_dir():
            if os.path.lexists(path):
                return DirectoryFacts(str(path), NOT_A_DIRECTORY)
            return DirectoryFacts(str(path), MISSING, creatable=_is_creatable(path))
        if write:
            _try_to_write(path)
        room = os.statvfs(path)
        return DirectoryFacts(
            path=str(path),
            device=path.stat().st_dev,
            free_bytes=room.f_bavail * room.f_frsize,
            size_bytes=room.f_blocks * room.f_frsize,
            # File systems without a fixed number of inodes report 0 of 0.
            free_inodes=room.f_favail / room.f_files if room.f_files else 1.0,
        )
    except OSError as error:
        return DirectoryFacts(str(path), error.strerror or type(error).__name__)


def _is_creatable(path: Path) -> bool:
    above = next(parent for parent in path.absolute().parents if parent.exists())
    return above.is_dir() and os.access(above, os.W_OK | os.X_OK)


def _try_to_write(path: Path) -> None:
    with tempfile.NamedTemporaryFile(prefix=_PREFIX, dir=path) as file:
        file.write(b"1")
        file.flush()
