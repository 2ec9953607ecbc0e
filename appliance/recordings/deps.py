"""Dependencies of the use cases in recordings/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.callbacks.deps import CallbackDeps
from appliance.fault_log import FaultLog
from appliance.log import Log
from appliance.pool.deps import PoolDeps
from appliance.recordings.admin_store import RecordingTable
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.imports.deps import Importer
from appliance.recordings.imports.history import ImportHistory
from appliance.recordings.imports.model import ManualImport
from appliance.recordings.imports.spool import Spool
from appliance.recordings.imports.spool_admin import SpoolAdmin
from appliance.recordings.jobs import RecordingJobs
from appliance.recordings.objects.move_model import Move
from appliance.recordings.objects.work import ObjectWork
from appliance.recordings.playback.from_bucket import ObjectPlayback
from appliance.recordings.playback.served_files import ServedFiles
from appliance.recordings.playback.tokens import PlaybackTokens
from appliance.recordings.player.source import PlayerSource
from appliance.recordings.storage import Storage
from appliance.recordings.store import RecordingStore
from appliance.recordings.uploads.refused import RefusedUploads
from appliance.settings import Settings
from appliance.system.threads import run_abandonable
from appliance.tenants.deps import TenantDeps

_STORAGE_THREADS = 32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordingAdmin:
    """Dependencies of the administration of recordings and imports."""

    table: RecordingTable
    history: ImportHistory
    spool: SpoolAdmin
    importer: Importer
    jobs: RecordingJobs
    moves: dict[bool, Move] = field(default_factory=dict)
    """The newest move of this process, and the newest dry run (True)."""
    under_way: dict[int, ManualImport] = field(default_factory=dict)
    """Running manual imports, by import id."""


@dataclass(frozen=True, slots=True)
class RecordingDeps:
    """Dependencies of imports, calls and playback. None: disabled by the configuration."""

    settings: Settings
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    later: Callable[[Callable[..., Awaitable[Any]], *tuple[Any, ...]], None]
    """Run a function in the background."""
    pool: PoolDeps
    tenants: TenantDeps
    callbacks: CallbackDeps
    refused: RefusedUploads
    store: RecordingStore | None = None
    """None: DB_DISABLED or RECORDING_DISABLED."""
    files: Storage | None = None
    work: ObjectWork | None = None
    """None: recordings are not stored in a bucket."""
    objects: ObjectPlayback | None = None
    """None: as `work`."""
    change_notes: ChangeNotes | None = None
    tokens: PlaybackTokens | None = None
    spool: Spool | None = None
    """None: imports are disabled."""
    admin: RecordingAdmin | None = None
    served: ServedFiles | None = None
    """None: playback is disabled."""
    player: PlayerSource | None = None
    """BBB servers' players. None: only in tests."""
    secret_key_base: str = field(default="", repr=False)
    """Signs the cookies of protected recordings; from the settings or generated in STATE_DIR."""
    error_texts: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    """Texts of the error pages by language."""
    threads: trio.CapacityLimiter = field(
        default_factory=lambda: trio.CapacityLimiter(_STORAGE_THREADS)
    )
    """For the storage, so that one that hangs does not delay other calls."""

    def require_stores(self) -> tuple[RecordingStore, Storage]:
        """Return the stores of the calls. Raises ApiError (notFound): recordings are disabled."""
        if self.store is None or self.files is None:
            raise ApiError(errors.RECORDINGS_NOT_FOUND)
        return self.store, self.files

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call of the storage."""
        return await run_abandonable(call, self.threads)
