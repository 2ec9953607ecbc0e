"""The data of an import: the archive in the spool, its row in the journal, and the errors that
unpacking ends with.

Pure. What each error leads to is described in docs/recordings.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum

MAX_ATTEMPTS = 3
"""A tar whose import failed this often is moved to `failed/`."""
UPLOAD_SUFFIX = ".upload.tar"
"""Of a tar that a BBB server uploaded: `{recordID}.upload.tar`."""
MAX_NAME_ID = 100
"""Characters of a recordID in the name of an upload; BBB's have 54."""
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst")


class BrokenTar(Exception):
    """The file is not a complete tar archive. The text is safe to log."""


class HostileTar(Exception):
    """The archive holds what no BBB server puts into one. The text is safe to log."""


class DiskFull(Exception):
    """There is no room on the disk for the archive now. The text is safe to log."""


class Stopped(Exception):
    """Unpacking was asked to stop."""


class ImportState(StrEnum):
    """The step an import has reached; each is written before the step that it names."""

    WAITING = "waiting"
    EXTRACTING = "extracting"
    PLACING = "placing"
    DONE = "done"
    """The rows are committed, in the same transaction; the tar may still have to be removed."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SpooledTar:
    """One version of a tar in the spool; another upload with this name differs in another field."""

    name: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, name: str, status: os.stat_result) -> SpooledTar:
        """Return the version of a file with this status."""
        return cls(name, status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class ImportEntry:
    """A row of the journal."""

    id: int
    tar: SpooledTar
    state: ImportState
    error: str | None = None
    attempts: int = 0
    undelete: bool = False
    """The operator asked to restore a recording that a user deleted."""
    wait_s: float = 0.0
    """Time until the next attempt."""


@dataclass(frozen=True, slots=True)
class UnpackedFormat:
    """The directory `{format}/{recordID}` of an unpacked tar."""

    format: str
    record_id: str
    path: str
    metadata_xml: bytes | None
    """None: there is no such file."""
    shown_xml: bytes | None = None
    """A replacement for viewers, without private metadata; None: the file is served as it is."""


@dataclass(slots=True)
class ManualImport:
    """Progress of a manual import that runs in this process, in bytes."""

    size: int
    """Size of the tar."""
    unpacked: int = 0


def may_hold(name: str, record_id: str) -> bool:
    """Return whether a tar of this name may hold this recording.

    An upload may hold the one that its sender was authorized for. A dot separates it from what was
    put before or after it to make the name unique; no recordID has one.
    """
    stem = name.rpartition("/")[2].removesuffix(UPLOAD_SUFFIX)
    return not name.endswith(UPLOAD_SUFFIX) or record_id[:MAX_NAME_ID] in stem.split(".")


def is_tar_name(name: str) -> bool:
    """Return whether a name is that of a finished tar; temporary names begin with a dot."""
    return not name.startswith(".") and name.endswith(TAR_SUFFIXES)
