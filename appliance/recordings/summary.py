"""Values of the operator's views of recordings and imports. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.recordings.imports.model import ImportState, SpooledTar
from appliance.recordings.recording import Recording


@dataclass(frozen=True, slots=True)
class RecordingQuery:
    """Conditions of a listing; None is no condition."""

    meeting_id: str | None = None
    state: str | None = None
    """None: any except deleted."""
    tenant_id: str | None = None
    limit: int = 50
    any_state: bool = False
    """Include deleted recordings."""


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """A recording in a listing."""

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
    size: int | None = None
    """Bytes of all files; None: not measured yet."""


@dataclass(frozen=True, slots=True)
class FormatFiles:
    """The directory of one format of a recording."""

    format: str
    path: str
    published: bool
    """Whether it is in the directory of published recordings."""
    files: int
    size: int
    """Total size in bytes."""


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """An entry of the import journal."""

    id: int
    tar: SpooledTar
    state: ImportState
    error: str | None
    attempts: int
    undelete: bool
    record_ids: tuple[str, ...]
    running: bool
    """Whether an appliance is importing it."""
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    next_try_ms: int | None
    wait_reason: str | None = None
    """Why it waits for a storage: `disk`, or the error code of the bucket."""
    uploaded: int | None = None
    """Bytes stored in the bucket so far; None: nothing was uploaded yet."""
    upload_size: int | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the appliance that imported it has died; a tar in the spool is imported again."""
        busy = self.state in (ImportState.EXTRACTING, ImportState.PLACING)
        return busy and not self.running


@dataclass(frozen=True, slots=True)
class FailedTar:
    """A tar in `failed/`."""

    tar: SpooledTar
    reason: str | None


@dataclass(frozen=True, slots=True)
class RecordingDetails:
    """All details of one recording."""

    recording: Recording
    files: tuple[FormatFiles, ...]
    removed_metadata: tuple[str, ...]
    """Keys that users removed, which imports do not restore."""
    imports: tuple[ImportRecord, ...]
