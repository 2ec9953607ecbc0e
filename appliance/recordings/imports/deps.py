"""The dependencies of imports; importer.py is the import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from appliance.instruments import Metrics
from appliance.log import Log
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.imports.journal import ImportJournal
from appliance.recordings.imports.merge import ImportRules
from appliance.recordings.imports.model import MAX_ATTEMPTS, SpooledTar
from appliance.recordings.imports.spool import Spool
from appliance.recordings.storage import Storage
from appliance.recordings.store import RecordingStore
from appliance.system.threads import run_abandonable

MAX_CONCURRENCY = 4
"""Each import holds a connection to PostgreSQL, two while it moves files; the pool has 10."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryIntervals:
    """Seconds until the next attempt at a tar."""

    busy_s: float = 5.0
    """Another appliance imports it and may die."""
    database_s: float = 10.0
    retry_s: float = 60.0
    """After a failure; doubled after the second."""
    disk_s: float = 300.0
    """After an error that the tar did not cause. It is retried without limit and not counted."""
    bucket_s: float = 20.0
    """After an error of the object store; neither is that counted."""


@dataclass(frozen=True, slots=True)
class Importer:
    """Dependencies of imports."""

    journal: ImportJournal
    recordings: RecordingStore
    spool: Spool
    files: Storage
    rules: ImportRules
    log: Log
    retry_intervals: RetryIntervals = RetryIntervals()
    max_attempts: int = MAX_ATTEMPTS
    notes: ChangeNotes | None = None
    metrics: Metrics = field(default_factory=Metrics)
    in_bucket: bool = False
    """Whether files go to a bucket, which needs a lock of the objects besides the claim."""
    threads: trio.CapacityLimiter = field(
        default_factory=lambda: trio.CapacityLimiter(MAX_CONCURRENCY + 1)
    )
    """Separate threads, so that a hanging disk blocks nothing else."""
    stuck: set[SpooledTar] = field(default_factory=set)
    """Finished tars that could not be removed from the spool, which was logged."""
    interrupted: set[int] = field(default_factory=set)
    """Imports that the loss of the database interrupted here; their next attempt does not count."""

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call; on cancellation its thread is abandoned, which calls tolerate."""
        return await run_abandonable(call, self.threads)
