"""What an import is: the tar in the spool, its line in the journal, and the rules of trying again.

Pure. Truth: spec (recordings, Watcher and importer).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_ATTEMPTS = 3
"""A tar that failed so often goes to `failed/`."""
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst")


class ImportState(StrEnum):
    """Where an import stands; each is written before the step that it names."""

    WAITING = "waiting"
    EXTRACTING = "extracting"
    PLACING = "placing"
    DONE = "done"
    """The rows are committed, in the same transaction; the tar may still have to be removed."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SpooledTar:
    """One version of a tar in the spool: another upload of the same name differs in the rest."""

    name: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class ImportEntry:
    """A line of the journal."""

    id: int
    tar: SpooledTar
    state: ImportState
    error: str | None = None
    attempts: int = 0
    undelete: bool = False
    """The operator wants the recording back that a user had deleted."""
    wait_s: float = 0.0
    """Seconds until the next try is due."""


@dataclass(frozen=True, slots=True)
class UnpackedFormat:
    """The directory `{format}/{recordID}` of an unpacked tar."""

    format: str
    record_id: str
    path: str
    metadata_xml: bytes | None
    """None: there is no such file."""
    shown_xml: bytes | None = None
    """What is to stand in its place, among the files that viewers get; None: it stays."""


def is_tar_name(name: str) -> bool:
    """Whether a name in the spool is a finished tar's; temporary names begin with a dot."""
    return not name.startswith(".") and name.endswith(TAR_SUFFIXES)
