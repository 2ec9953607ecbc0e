"""What the administration of recordings needs of the world, as Protocols; adapters implement them.

Methods of the database raise DatabaseDown; those of the disk block and raise OSError: they are
called in threads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from appliance.recordings.import_model import SpooledTar
from appliance.recordings.import_ports import Spool
from appliance.recordings.importer import Importer
from appliance.recordings.ports import LockedRecordings
from appliance.recordings.retention_rules import RetentionRules
from appliance.recordings.summary import (
    FailedTar,
    FormatFiles,
    ImportRecord,
    RecordingQuery,
    RecordingSummary,
)


class RecordingTable(Protocol):
    """The recordings in the database, as an operator works on them."""

    async def list_summaries(self, query: RecordingQuery) -> tuple[list[RecordingSummary], int]:
        """Return the newest, and how many there are in all."""

    async def page(self, after: int, limit: int) -> list[RecordingSummary]:
        """Return recordings that are not deleted, by their row's id."""

    async def count(self) -> int:
        """Return how many recordings are not deleted."""

    async def removed_metadata(self, row_id: int) -> tuple[str, ...]:
        """Return the metadata keys that users removed from a recording."""

    async def assign_all(self, tenant_id: str) -> int:
        """Give every recording that is nobody's to a tenant; return how many."""

    async def list_expired(
        self, rules: RetentionRules, *, now_ms: int, after: int, limit: int
    ) -> list[RecordingSummary]:
        """Return recordings that are too old, by their row's id."""

    def lock_expired(
        self, rules: RetentionRules, *, now_ms: int, after: int, limit: int
    ) -> AbstractAsyncContextManager[LockedRecordings]:
        """Lock recordings that are too old, but for those that somebody else has locked."""

    def claim_daily(self, name: str, interval_s: float) -> AbstractAsyncContextManager[bool]:
        """Give whether a work is due and ours; it is noted as done if the block succeeds."""


class ImportHistory(Protocol):
    """The journal of imports, as an operator reads it."""

    async def list_imports(
        self, *, limit: int, failed: bool = False, record_id: str | None = None
    ) -> tuple[list[ImportRecord], int]:
        """Return the newest, and how many there are in all."""

    async def find_import(self, import_id: int) -> ImportRecord | None:
        """Return one line."""

    async def find_tar(self, tar: SpooledTar) -> ImportRecord | None:
        """Return the line of this version of a tar."""

    async def restart(self, import_id: int, *, undelete: bool) -> None:
        """Make a line as new."""

    async def forget_done(self, older_than_s: float) -> int:
        """Remove lines of imports that went well; return how many."""


class SpoolDesk(Protocol):
    """The tars, wherever they lie."""

    def scan(self) -> list[SpooledTar]:
        """Return the tars in the spool."""

    def list_failed(self) -> list[FailedTar]:
        """Return the tars in `failed/` with the reason."""

    def find_file(self, path: str) -> SpooledTar:
        """Return a file anywhere, named by its path; one in the spool by its name alone."""

    def failed_path(self, name: str) -> str | None:
        """Return the path of a tar in `failed/`."""

    def one_file(self, progress: Callable[[int], None]) -> Spool:
        """Return a spool for files anywhere, which are left alone whatever comes."""


class RecordingPlaces(Protocol):
    """Where the files of recordings are."""

    def locate(self, record_id: str) -> list[FormatFiles]:
        """Return the directories of a recording, with their sizes."""

    def where(self, record_id: str) -> dict[str, tuple[bool, bool]]:
        """Return of each format whether it is published, and whether unpublished; no sizes."""


@dataclass(slots=True)
class HandImport:
    """An import by hand that is under way in this process."""

    size: int
    """Of the tar."""
    unpacked: int = 0
    """Bytes so far."""


@dataclass(frozen=True, slots=True)
class RecordingDesk:
    """What an operator's work on recordings needs."""

    table: RecordingTable
    history: ImportHistory
    spool: SpoolDesk
    places: RecordingPlaces
    importer: Importer
    start: Callable[[Callable[[], Awaitable[object]]], None]
    """Runs a job to its end, however long it takes, one at a time."""
    under_way: dict[int, HandImport] = field(default_factory=dict)
    """By the id of the import."""
