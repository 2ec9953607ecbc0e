"""The journal of imports in PostgreSQL (`appliance.imports`), and the claim on a tar.

importer.py decides which tars are tried again. A claim is an advisory lock in a transaction that
stays open during the import: PostgreSQL releases it as soon as the process ends, so there is no
lease to expire. If the connection is lost, another appliance may run the same import concurrently;
every step of an import can be repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from appliance.callbacks.url_store import CallbackUrls
from appliance.faults import StoreDown
from appliance.log import Log
from appliance.postgres.database import Connection, Database, Record
from appliance.postgres.transaction import Transaction, open_transaction
from appliance.recordings.imports.merge import ImportOutcome, ImportResult, ImportRules
from appliance.recordings.imports.model import ImportEntry, ImportState, SpooledTar
from appliance.recordings.objects.journal import ObjectJournal, complete_uploads, lock_objects
from appliance.recordings.ready_callback import queue_recording_ready
from appliance.recordings.recording import Recording
from appliance.recordings.storage import NewObjects
from appliance.recordings.store import RecordingStore

CLAIM_HOLD_S = 24 * 3600.0
LOCK_CLASS = 0x5CA1E
"""First half of the key of an advisory lock on an import; the other is a hash of the name."""
_MAX_ERROR = 2000

# No attempt is put off for ten minutes: one that lies further ahead is due, the clock was set back.
_COLUMNS = """id, file, size_bytes, mtime_ns, inode, state, error, attempts, undelete,
    CASE WHEN next_try_at < now() + interval '10 minutes'
        THEN GREATEST(0, extract(epoch FROM next_try_at - now())) ELSE 0 END::float8 AS wait_s"""
_LOCK = "SELECT pg_try_advisory_xact_lock($1::int, hashtext($2))"
_FIND = f"""
INSERT INTO appliance.imports (file, size_bytes, mtime_ns, inode) VALUES ($1, $2, $3, $4)
ON CONFLICT (file, size_bytes, mtime_ns, inode) DO UPDATE SET file = EXCLUDED.file
RETURNING {_COLUMNS}
"""
_BEGIN = """
UPDATE appliance.imports SET state = $2, attempts = attempts + $3, error = NULL,
    wait_reason = NULL, uploaded_bytes = NULL, upload_bytes = NULL,
    started_at = COALESCE(started_at, now())
WHERE id = $1
"""
_STATE = "UPDATE appliance.imports SET state = $2 WHERE id = $1"
_DONE = """
UPDATE appliance.imports SET state = $2, error = NULL, finished_at = now(), next_try_at = NULL,
    record_ids = array_append(record_ids, $3)
WHERE id = $1
"""
_RETRY = """
UPDATE appliance.imports SET state = $2, error = $3, attempts = GREATEST(attempts - $4, 0),
    next_try_at = now() + $5::float8 * interval '1 second', wait_reason = $6
WHERE id = $1
"""
_PROGRESS = "UPDATE appliance.imports SET uploaded_bytes = $2, upload_bytes = $3 WHERE id = $1"
_COUNT_WAITING = """
SELECT wait_reason, count(*) FROM appliance.imports
WHERE state = 'waiting' AND wait_reason IS NOT NULL AND next_try_at > now() - interval '10 minutes'
GROUP BY wait_reason
"""
_FAILED = """
UPDATE appliance.imports SET state = $2, error = $3, attempts = GREATEST(attempts, 1),
    finished_at = now(), next_try_at = NULL
WHERE id = $1
"""
_STOPPED = """
UPDATE appliance.imports SET attempts = GREATEST(attempts - 1, 0)
WHERE id = $1 AND state IN ('extracting', 'placing')
"""
# One by hand, named by its path, is ended by its caller, which reports why.
_FORGET = """
DELETE FROM appliance.imports
WHERE id = $1 AND state NOT IN ('done', 'failed') AND NOT undelete AND NOT starts_with(file, '/')
"""
_RESET_ATTEMPTS = """
INSERT INTO appliance.imports (file, size_bytes, mtime_ns, inode) VALUES ($1, $2, $3, $4)
ON CONFLICT (file, size_bytes, mtime_ns, inode) DO UPDATE SET state = 'waiting', attempts = 0,
    error = NULL, created_at = now(), started_at = NULL, next_try_at = NULL, finished_at = NULL
"""


class ImportJournal:
    """The journal. Every method raises DatabaseDown, or DatabaseRefused if a statement is wrong."""

    def __init__(
        self,
        store: Database,
        recordings: RecordingStore,
        log: Log,
        *,
        urls: CallbackUrls | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """`recordings`: the store whose listings an import changes. `urls` may hold URLs that are
        not in the database yet; `wake` is called after a commit that queued a callback."""
        self._store = store
        self._urls = urls
        self._wake = wake
        self._log = log
        self._recordings = recordings
        self._claims: dict[int, Transaction] = {}

    @asynccontextmanager
    async def claim(self, tar: SpooledTar) -> AsyncIterator[ImportEntry | None]:
        """Claim a tar exclusively and yield its row, a new one if there is none.

        None: another import has claimed it.
        """
        async with self._lock(_storable(tar.name)) as claim:
            if claim is None:
                yield None
                return
            entry = await self._find(tar)
            self._claims[entry.id] = claim
            try:
                yield entry
            finally:
                del self._claims[entry.id]

    @asynccontextmanager
    async def _lock(self, name: str) -> AsyncIterator[Transaction | None]:
        async def lock(connection: Connection) -> bool:
            return bool(await connection.fetchval(_LOCK, LOCK_CLASS, name))

        async with open_transaction(self._store, hold_s=CLAIM_HOLD_S) as transaction:
            yield transaction if await transaction.run(lock) else None

    async def lock_objects(self, import_id: int, record_ids: Iterable[str]) -> bool:
        """Lock the objects of recordings as long as the claim is held; False: not all are free."""
        return await lock_objects(self._claims[import_id], record_ids)

    async def note_uploads(self, import_id: int, new: NewObjects) -> None:
        """Record which objects an import is going to make."""
        await ObjectJournal(self._store).note_uploads(import_id, new)

    async def note_progress(self, import_id: int, done_bytes: int, total_bytes: int) -> None:
        """Record how much of an import is uploaded."""
        await self._store.execute(_PROGRESS, import_id, done_bytes, total_bytes)

    async def count_waiting(self) -> dict[str, int]:
        """Return the number of imports that wait for a storage, by reason."""
        rows = await self._store.fetch(_COUNT_WAITING)
        return {row["wait_reason"]: row["count"] for row in rows}

    async def _find(self, tar: SpooledTar) -> ImportEntry:
        row = await self._store.fetchrow(_FIND, *_key_of(tar))
        assert row is not None
        return replace(_entry_of(row), tar=tar)

    @asynccontextmanager
    async def claim_work(self, import_id: int) -> AsyncIterator[bool]:
        """Claim an import whose leftovers are to be removed; yield False if it is running."""
        sql = "SELECT file FROM appliance.imports WHERE id = $1"
        row = await self._store.fetchrow(sql, import_id)
        async with self._lock("" if row is None else row["file"]) as locked:
            yield locked is not None

    async def begin(self, import_id: int, *, counts: bool = True) -> None:
        """Record an attempt before it unpacks the tar, since it may end the process."""
        await self._store.execute(_BEGIN, import_id, ImportState.EXTRACTING, int(counts))

    async def stop(self, import_id: int) -> None:
        """Record that the attempt was cancelled, so that it does not count."""
        await self._store.execute(_STOPPED, import_id)

    async def note(self, import_id: int, state: ImportState) -> None:
        """Record the step that an import has reached."""
        await self._store.execute(_STATE, import_id, state)

    async def write_recording(
        self,
        import_id: int,
        recording: Recording,
        rules: ImportRules,
        *,
        state: ImportState,
        uploaded: Sequence[str] = (),
    ) -> ImportResult:
        """Write a recording's rows and, in the same transaction, the state of the import and the
        recording-ready callback.

        uploaded: formats whose objects this import has made.
        """
        queued = False

        async def also(connection: Connection, result: ImportResult) -> None:
            nonlocal queued
            if result.outcome is ImportOutcome.DELETED:
                return  # the tar must be kept
            if uploaded:
                await complete_uploads(connection, import_id, recording.record_id, uploaded)
            await connection.execute(_DONE, import_id, state, recording.record_id)
            queued = await queue_recording_ready(
                connection, recording, result, import_id, self._log
            )

        if self._urls is not None:
            with suppress(StoreDown):  # a callback may be missed, but not the recording
                await self._urls.flush()
        result = await self._recordings.upsert_recording(recording, rules, also)
        if queued:
            self._wake()
        return result

    async def retry_later(
        self, import_id: int, error: str, *, wait_s: float, counts: bool, reason: str | None = None
    ) -> None:
        """Record why an attempt failed, when the next is due, and whether this one `counts`.

        reason: of an import that waits for a storage, for the metrics.
        """
        text, uncounted = _storable(error), 0 if counts else 1
        values = (ImportState.WAITING, text, uncounted, wait_s, reason)
        await self._store.execute(_RETRY, import_id, *values)

    async def give_up(self, import_id: int, error: str) -> None:
        """Record that an import failed permanently."""
        await self._store.execute(_FAILED, import_id, ImportState.FAILED, _storable(error))

    async def forget(self, import_id: int) -> None:
        """Remove the row of a claimed import that has not ended, whose tar is gone."""
        await self._store.execute(_FORGET, import_id)

    async def reset_attempts(self, tar: SpooledTar) -> None:
        """Reset the attempts of a failed tar, which is due at once."""
        await self._store.execute(_RESET_ATTEMPTS, *_key_of(tar))

    async def list_imports(self, *, limit: int = 100) -> list[ImportEntry]:
        """Return the newest rows, newest first."""
        sql = f"SELECT {_COLUMNS} FROM appliance.imports ORDER BY created_at DESC, id DESC LIMIT $1"
        return [_entry_of(row) for row in await self._store.fetch(sql, limit)]


def _key_of(tar: SpooledTar) -> tuple[str, int, int, int]:
    return _storable(tar.name), tar.size, tar.mtime_ns, tar.inode


def _entry_of(row: Record) -> ImportEntry:
    return ImportEntry(
        id=row["id"],
        tar=SpooledTar(row["file"], row["size_bytes"], row["mtime_ns"], row["inode"]),
        state=ImportState(row["state"]),
        error=row["error"],
        attempts=row["attempts"],
        undelete=row["undelete"],
        wait_s=row["wait_s"] or 0.0,
    )


def _storable(text: str) -> str:
    """Return a text that PostgreSQL accepts, whatever names the tar has."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()[:_MAX_ERROR]
