"""An importer on a real database and on directories below one of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from appliance.fault_log import FaultLog
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import Database, open_postgres_store
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.files import RecordingFiles
from appliance.recordings.imports.deps import Importer, RetryIntervals
from appliance.recordings.imports.importer import import_tar
from appliance.recordings.imports.journal import ImportJournal
from appliance.recordings.imports.merge import ImportRules
from appliance.recordings.imports.model import SpooledTar
from appliance.recordings.imports.spool import Spool
from appliance.recordings.objects.journal import ObjectJournal
from appliance.recordings.objects.mixed_storage import MixedStorage
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.objects.work import ObjectWork
from appliance.recordings.recording import Recording
from appliance.recordings.storage import Storage
from appliance.recordings.store import RecordingStore
from appliance.settings.model import RecordingSettings
from tests.doubles.features import EventBook, now_ms
from tests.doubles.settings import settings_of

READY_S = 40.0
NO_PAUSES = RetryIntervals(busy_s=0.05, database_s=0.1, retry_s=0.0, disk_s=0.05, bucket_s=0.05)


def recording_settings(root: Path, **variables: str) -> RecordingSettings:
    """Return settings whose directories are all below `root`."""
    return settings_of(
        **{
            "RECORDING_SPOOL_DIR": str(root / "spool"),
            "RECORDING_WORK_DIR": str(root / "work"),
            "RECORDING_PUBLISH_DIR": str(root / "published"),
            "RECORDING_UNPUBLISH_DIR": str(root / "unpublished"),
            **variables,
        }
    ).recordings


@dataclass(slots=True)
class ImportBench:
    """An importer, its stores and its directories."""

    root: Path
    database: Database
    recordings: RecordingStore
    journal: ImportJournal
    spool: Spool
    files: Storage
    tools: Importer
    log: EventBook
    work: ObjectWork | None = None
    """None: recordings are stored on the disk."""

    @property
    def settings(self) -> RecordingSettings:
        """Return the settings, whose directories are below `root`."""
        return recording_settings(self.root)

    def tar(self, name: str) -> SpooledTar:
        """Return a tar in the spool."""
        found = self.spool.look(name)
        assert found is not None, name
        return found

    async def run(self, name: str) -> float | None:
        """Try once to import a tar of the spool."""
        return await import_tar(self.tools, self.tar(name))

    async def find(self, record_id: str) -> Recording | None:
        """Return a recording, or None."""
        return await self.recordings.find_recording(record_id)

    def tree(self) -> set[str]:
        """Return all published and unpublished files, such as `published/video/r1/metadata.xml`."""
        return {
            str(path.relative_to(self.root))
            for top in ("published", "unpublished")
            for path in (self.root / top).rglob("*")
            if path.is_file() and not {".removed", ".incoming", ".changes"} & set(path.parts)
        }


@asynccontextmanager
async def open_import_bench(
    database_url: str,
    root: Path,
    rules: ImportRules | None = None,
    *,
    objects: RecordingObjects | None = None,
    **variables: str,
) -> AsyncIterator[ImportBench]:
    """Open and migrate the database, and create the directories.

    objects: the bucket that recordings are imported into; None: the disk.
    """
    log: Any = EventBook()
    settings = recording_settings(root, **variables)
    spool = Spool(settings, worker=None if objects is None else objects.worker)
    files = storage_of(settings, objects)
    spool.make()
    async with (
        open_asyncio_loop(tuned=True),
        open_postgres_store(database_url, log=log) as database,
    ):
        with trio.fail_after(READY_S):
            await database.wait_ready()
        recordings = RecordingStore(database)
        journal = ImportJournal(database, recordings, log)
        tools = Importer(
            journal=journal,
            recordings=recordings,
            spool=spool,
            files=files,
            rules=rules or ImportRules(),
            log=log,
            retry_intervals=NO_PAUSES,
            notes=ChangeNotes(settings),
            in_bucket=objects is not None,
        )
        work = None if objects is None else open_object_work(database, objects, log)
        yield ImportBench(root, database, recordings, journal, spool, files, tools, log, work)


def storage_of(settings: RecordingSettings, objects: RecordingObjects | None) -> Storage:
    """Return the storage of an appliance with these directories."""
    disk = RecordingFiles(settings)
    return disk if objects is None else MixedStorage(objects, disk)


def open_object_work(database: Database, objects: RecordingObjects, log: Any) -> ObjectWork:
    """Return the worker for objects; tests run its steps."""
    return ObjectWork(
        journal=ObjectJournal(database),
        recordings=RecordingStore(database),
        objects=objects,
        log=log,
        faults=FaultLog(log, now_ms),
        sweep_interval_s=3600.0,
    )
