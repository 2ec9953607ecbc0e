"""What the recording operations need of the world, as Protocols; adapters implement them.

Every method of the store raises DatabaseDown, every method of the tokens StoreDown. Methods of the
files block: they are called in threads.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from appliance.recordings.changes import ChangeNote
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.recording import Recording
from appliance.recordings.text_track_rules import TextTrack


class Listing(Protocol):
    """A listing under way."""

    async def next_chunk(self) -> list[Recording]:
        """Return the next recordings, none at the end."""


class LockedRecordings(Protocol):
    """Recordings whose rows are locked until the block ends; then the changes are committed."""

    recordings: tuple[Recording, ...]
    notes: list[str]
    """What is noted on the disk of the changes; forgotten when they are committed."""

    async def set_published(self, recording: Recording, published: bool) -> None:
        """Record what a user decided."""

    async def update(
        self,
        recording: Recording,
        *,
        metadata: Sequence[tuple[str, str]],
        protected: bool | None,
    ) -> None:
        """Set metadata (an empty value removes) and, if given, the protection."""

    async def delete(self, recording: Recording) -> None:
        """Delete the rows of formats and metadata and keep the recording's as deleted."""


class RecordingStore(Protocol):
    """The recordings in PostgreSQL."""

    async def ping(self) -> None:
        """Return when the database has answered."""

    def open_listing(self, wanted: RecordingFilter) -> AbstractAsyncContextManager[Listing]:
        """Start a listing, the newest first: one SQL statement."""

    def lock_recordings(
        self, record_ids: Sequence[str], tenant_id: str | None
    ) -> AbstractAsyncContextManager[LockedRecordings]:
        """Lock the recordings of these ids that are the tenant's and not deleted."""

    async def find_recording(self, record_id: str) -> Recording | None:
        """Return one recording in whatever state."""


class RecordingFiles(Protocol):
    """The published and unpublished files. Everything blocks; OSError if the disk does not do."""

    def publish(self, record_id: str, format: str) -> bool:
        """Move a format to the published ones; False: it is nowhere."""

    def unpublish(self, record_id: str, format: str) -> bool:
        """Move a format to the unpublished ones; False: it is nowhere."""

    def remove(self, record_id: str) -> None:
        """Rename every copy of every format aside; they are removed by `empty_trash`."""

    def empty_trash(self) -> None:
        """Remove what was renamed aside."""

    def is_published(self, format: str, record_id: str) -> bool:
        """Whether a format stands among the published ones."""

    def find(self, format: str, record_id: str) -> Path | None:
        """Return the directory of a format, published or not."""


class ChangeNotes(Protocol):
    """What is noted on the disk while files are ahead of their rows. Blocks; raises OSError."""

    def write(self, record_ids: Sequence[str], *, delete: bool) -> str:
        """Note that files are about to be moved, or removed; return the note's name."""

    def remove(self, names: Collection[str]) -> None:
        """Remove notes."""

    def read(self, *, older_than_s: float) -> list[ChangeNote]:
        """Return the notes that are so old."""


class CaptionFiles(Protocol):
    """The captions in the directory of a recording. Everything blocks; raises OSError."""

    def read_tracks(self, directory: Path) -> list[TextTrack]:
        """Return the tracks that are there."""

    def write_track(self, directory: Path, track: TextTrack, webvtt: bytes) -> None:
        """Add a track or replace the one of its language."""


class PlaybackTokens(Protocol):
    """One-time tokens of protected playback."""

    async def issue_tokens(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Return a fresh token for each (recordID, format)."""

    async def consume_token(self, token: str) -> tuple[str, str] | None:
        """Take a token: return its (recordID, format), None if it is unknown, used or too old."""
