"""What an operator sees of recordings and imports, as values.

Holds data only. Truth: the tables of recordings and imports, and the directories of the files.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.recordings.import_model import ImportState, SpooledTar
from appliance.recordings.recording import Recording


@dataclass(frozen=True, slots=True)
class RecordingQuery:
    """Which recordings are to be listed; None is no restriction."""

    meeting_id: str | None = None
    state: str | None = None
    """None: every one but the deleted."""
    tenant_id: str | None = None
    limit: int = 50
    any_state: bool = False
    """The deleted ones, too."""


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """A line of a listing."""

    id: int
    record_id: str
    meeting_id: str | None
    name: str | None
    state: str | None
    published: bool
    protected: bool
    tenant_id: str | None
    start_ms: int | None
    end_ms: int | None
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FormatFiles:
    """The directory of one format of a recording."""

    format: str
    path: str
    published: bool
    """Whether it stands among the published ones."""
    files: int
    size: int
    """Bytes of all files together."""


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """A line of the journal of imports, with what became of it."""

    id: int
    tar: SpooledTar
    state: ImportState
    error: str | None
    attempts: int
    undelete: bool
    record_ids: tuple[str, ...]
    running: bool
    """Whether an appliance is at it."""
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    next_try_ms: int | None

    @property
    def interrupted(self) -> bool:
        """Whether the appliance that was at it is gone; a tar in the spool is begun anew."""
        busy = self.state in (ImportState.EXTRACTING, ImportState.PLACING)
        return busy and not self.running


@dataclass(frozen=True, slots=True)
class FailedTar:
    """A tar in `failed/`."""

    tar: SpooledTar
    reason: str | None


@dataclass(frozen=True, slots=True)
class RecordingDetails:
    """Everything about one recording."""

    recording: Recording
    files: tuple[FormatFiles, ...]
    removed_metadata: tuple[str, ...]
    """Keys that users removed, which no import brings back."""
    imports: tuple[ImportRecord, ...]
