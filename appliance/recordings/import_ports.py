"""What imports need of the world, as Protocols; adapters implement them.

Methods of the journal raise DatabaseDown. Methods of the spool and the files block and raise
OSError: they are called in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from appliance.recordings.import_model import ImportEntry, ImportState, SpooledTar, UnpackedFormat
from appliance.recordings.merge import ImportResult, ImportRules
from appliance.recordings.recording import Recording


class ImportJournal(Protocol):
    """The journal of imports."""

    def claim(self, tar: SpooledTar) -> AbstractAsyncContextManager[ImportEntry | None]:
        """Give the tar's line and keep others off it; None: another import has it."""

    def claim_work(self, import_id: int) -> AbstractAsyncContextManager[bool]:
        """Give whether nobody works on this import."""

    async def begin(self, import_id: int) -> None:
        """Note that the tar is being unpacked."""

    async def note(self, import_id: int, state: ImportState) -> None:
        """Note where an import stands."""

    async def write_recording(
        self, import_id: int, recording: Recording, rules: ImportRules, *, state: ImportState
    ) -> ImportResult:
        """Write a recording's rows and the state in one transaction."""

    async def retry_later(self, import_id: int, error: str, *, wait_s: float, counts: bool) -> None:
        """Note why an import ended, and when it is tried again."""

    async def give_up(self, import_id: int, error: str) -> None:
        """Note that an import failed for good."""

    async def forgive(self, tar: SpooledTar, *, undelete: bool = False) -> None:
        """Give a tar that failed new tries."""


class Spool(Protocol):
    """The tars, and what is unpacked of them."""

    def look(self, name: str) -> SpooledTar | None:
        """Return a tar as it is now."""

    def new_work(self, import_id: int) -> str:
        """Return a fresh name for a work directory."""

    def unpack(self, tar: SpooledTar, work: str, stop: Callable[[], bool]) -> list[UnpackedFormat]:
        """Unpack a tar. Raises HostileTar, BrokenTar, DiskFull, Stopped."""

    def show(self, unpacked: UnpackedFormat, metadata_xml: bytes) -> None:
        """Write another metadata.xml in the place of what was unpacked."""

    def discard(self, work: str) -> None:
        """Remove what an import has unpacked."""

    def leftovers(self) -> list[tuple[int, str]]:
        """Return the imports that have work directories, and those."""

    def accept(self, tar: SpooledTar) -> None:
        """Remove a tar that was imported."""

    def reject(self, tar: SpooledTar, reason: str) -> None:
        """Move a tar to the failed ones."""

    def look_failed(self, name: str) -> SpooledTar | None:
        """Return a tar among the failed ones."""

    def restore(self, name: str) -> None:
        """Move a tar from the failed ones back into the spool."""


class ImportFiles(Protocol):
    """Where the files of recordings go."""

    def stage(self, source: str, record_id: str, format: str, *, published: bool) -> str:
        """Bring an unpacked format near its place, and return where it is then; may take long."""

    def unstage(self, staged: str) -> None:
        """Remove what was brought there."""

    def place(self, source: str, record_id: str, format: str, *, published: bool) -> None:
        """Move an unpacked format to its place."""

    def publish(self, record_id: str, format: str) -> bool:
        """Move a format to the published ones."""

    def unpublish(self, record_id: str, format: str) -> bool:
        """Move a format to the unpublished ones."""

    def remove(self, record_id: str) -> None:
        """Rename every copy of every format aside."""


class ImportNotes(Protocol):
    """What is noted while files are ahead of their rows. Blocks; raises OSError."""

    def write(self, record_ids: Sequence[str], *, delete: bool) -> str:
        """Note that files may not be where the rows say; return the note's name."""

    def remove(self, names: Collection[str]) -> None:
        """Remove notes."""

    def forget_deletion(self, record_id: str) -> None:
        """Remove what is noted about the deletion of a recording."""


class Upload(Protocol):
    """A tar on its way into the spool; what blocks raises OSError."""

    def write(self, chunk: bytes) -> None:
        """Append. Raises DiskFull."""

    def finish(self) -> None:
        """Let the watcher have it."""

    def abort(self) -> None:
        """Remove what came so far."""


class Uploads(Protocol):
    """Where tars that come over HTTP are written to."""

    def open_upload(self, record_id: str) -> Upload:
        """Begin one."""


class WaitingTars(Protocol):
    """What waits to be imported; it blocks."""

    def scan(self) -> list[SpooledTar]:
        """Return the tars that are there, the oldest first. Raises OSError."""
