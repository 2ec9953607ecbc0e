"""The storage of recordings: a disk (files.py) or a bucket (objects/), under one contract.

With S3_RECORDING imports are stored in the bucket, and files that are on the disk already stay
there until `ctl recordings move`. Everything blocks, is called in threads and raises OSError.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from appliance.recordings.summary import FormatFiles
from appliance.recordings.text_tracks.rules import TextTrack

METADATA = "metadata.xml"

Rewrite = Callable[[bytes], bytes | None]
"""Returns the new content of a file; None: it stays as it is."""


@dataclass(slots=True)
class Transfer:
    """The progress of a transfer, and the request to stop it. Shared by threads."""

    total_bytes: int = 0
    done_bytes: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        """Count bytes that were transferred."""
        with self._lock:
            self.done_bytes += count

    def expect(self, count: int) -> None:
        """Count bytes that will be transferred."""
        with self._lock:
            self.total_bytes += count


@dataclass(frozen=True, slots=True)
class NewObjects:
    """The objects of a format that an import or move is going to make; journalled before it."""

    record_id: str
    format: str
    published: bool
    names: tuple[str, ...]
    """Paths below the directory of the format, except of those that exist."""


class Storage(Protocol):
    """The published and unpublished files of recordings.

    Callers hold the row lock or the import lock of a recording, so calls for one recording do not
    overlap.
    """

    def publish(self, record_id: str, format: str) -> bool:
        """Move a format to the published files; False: no files. Completes interrupted moves."""

    def unpublish(self, record_id: str, format: str) -> bool:
        """Move a format to the unpublished files; False: no files. Completes interrupted moves."""

    def has(self, format: str, record_id: str) -> bool:
        """Return whether a format has files, published or not."""

    def where(self, record_id: str) -> dict[str, tuple[bool, bool]]:
        """Return for each format with files whether they are published, and whether unpublished."""

    def locate(self, record_id: str) -> list[FormatFiles]:
        """Return the files of a recording; a format may have some in both places."""

    def check(self) -> None:
        """Raise BucketFault if a bucket cannot be reached now."""

    def new_objects(
        self, source: str, record_id: str, format: str, *, published: bool
    ) -> NewObjects | None:
        """Return the objects that `stage` would leave after a crash; None: there are none."""

    def stage(
        self, source: str, record_id: str, format: str, *, published: bool, transfer: Transfer
    ) -> str:
        """Do what is slow before `place`; return what `place` needs. May take `source` away."""

    def unstage(self, staged: str) -> None:
        """Undo `stage` for a format that will not be placed."""

    def place(self, staged: str, record_id: str, format: str, *, published: bool) -> None:
        """Make a staged directory the files of a format, replacing the present ones.

        Captions that users added are carried over.
        """

    def remove(self, record_id: str, format: str | None = None) -> None:
        """Remove the files of a recording, or of one format, from viewers' reach."""

    def empty_trash(self) -> None:
        """Remove what `remove` and crashes have left."""

    def read_tracks(self, record_id: str, format: str) -> list[TextTrack]:
        """Return the text tracks whose files exist."""

    def read_track(self, record_id: str, format: str, track: TextTrack) -> bytes:
        """Return the file of a text track."""

    def write_track(self, record_id: str, format: str, track: TextTrack, webvtt: bytes) -> bool:
        """Add a text track or replace the one of its kind and language; False: no files."""

    def rewrite_metadata(self, record_id: str, format: str, rewrite: Rewrite) -> None:
        """Change the metadata.xml of a format, published or not. Raises what `rewrite` does."""
