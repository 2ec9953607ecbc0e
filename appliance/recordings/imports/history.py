"""The journal of imports for operators: finished, waiting and failed imports.

Never changes an import in progress. Whether an import is running is known from the advisory locks
that journal.py takes.
"""

from __future__ import annotations

from appliance.postgres.database import Database, Record
from appliance.recordings.imports.journal import LOCK_CLASS
from appliance.recordings.imports.model import ImportState, SpooledTar
from appliance.recordings.summary import ImportRecord

FORGET_DEADLINE_S = 60.0

# For a lock on two integers, objid is the second one, unsigned (PostgreSQL manual, pg_locks).
_ROWS = f"""
SELECT i.id, file, size_bytes, mtime_ns, inode, state, error, attempts, undelete, record_ids,
    created_at, started_at, finished_at, next_try_at, wait_reason, uploaded_bytes, upload_bytes,
    EXISTS (
        SELECT FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = {LOCK_CLASS}
            AND l.objid::bigint = hashtext(i.file)::bigint & 4294967295
            AND l.database = (
                SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()
            )
    ) AS running
FROM appliance.imports i
"""
_WANTED = "WHERE (NOT $1 OR state = 'failed') AND ($2::text IS NULL OR $2 = ANY(record_ids))"
_LIST = f"{_ROWS}{_WANTED} ORDER BY i.created_at DESC, i.id DESC LIMIT $3"
_COUNT = f"SELECT count(*) FROM appliance.imports {_WANTED}"
_FIND_TAR = f"""{_ROWS}
WHERE i.file = $1 AND i.size_bytes = $2 AND i.mtime_ns = $3 AND i.inode = $4
"""
_RESTART = """
UPDATE appliance.imports SET state = 'waiting', attempts = 0, error = NULL, undelete = $2,
    record_ids = '{}', created_at = now(), started_at = NULL, finished_at = NULL,
    next_try_at = NULL, wait_reason = NULL, uploaded_bytes = NULL, upload_bytes = NULL
WHERE id = $1
"""
# A tar in a spool is tried again after minutes, or hours if large ones are before it. One whose
# appliance was stopped for longer gets a new row, which would lose `undelete`.
_FORGET = f"""
DELETE FROM appliance.imports
WHERE state = 'done' AND finished_at < now() - $1::float8 * interval '1 second'
    OR id IN (
        SELECT r.id FROM ({_ROWS}) r WHERE state NOT IN ('done', 'failed') AND NOT undelete
            AND COALESCE(next_try_at, started_at, created_at) < now() - interval '1 day'
            AND NOT running
    )
"""


class ImportHistory:
    """The rows. Every method raises DatabaseDown, and DatabaseRefused if a statement is wrong."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def list_imports(
        self, *, limit: int, failed: bool = False, record_id: str | None = None
    ) -> tuple[list[ImportRecord], int]:
        """Return the newest rows, newest first, and the number of all rows."""
        rows = await self._store.fetch(_LIST, failed, record_id, limit)
        if len(rows) < limit:
            return [_record_of(row) for row in rows], len(rows)
        count = await self._store.fetchrow(_COUNT, failed, record_id)
        assert count is not None
        return [_record_of(row) for row in rows], count["count"]

    async def find_import(self, import_id: int) -> ImportRecord | None:
        """Return one row."""
        row = await self._store.fetchrow(f"{_ROWS} WHERE i.id = $1", import_id)
        return None if row is None else _record_of(row)

    async def find_tar(self, tar: SpooledTar) -> ImportRecord | None:
        """Return the row of this version of a tar."""
        row = await self._store.fetchrow(_FIND_TAR, tar.name, tar.size, tar.mtime_ns, tar.inode)
        return None if row is None else _record_of(row)

    async def restart(self, import_id: int, *, undelete: bool) -> None:
        """Reset a row; the caller has claimed its tar."""
        await self._store.execute(_RESTART, import_id, undelete)

    async def forget_old(self, older_than_s: float) -> int:
        """Remove the rows of successful imports, and those of tars that no appliance has found in
        its spool for a day; return how many. Failed ones stay.
        """
        word = await self._store.execute(_FORGET, older_than_s, deadline_s=FORGET_DEADLINE_S)
        return int(word.rpartition(" ")[2])


def _record_of(row: Record) -> ImportRecord:
    return ImportRecord(
        id=row["id"],
        tar=SpooledTar(row["file"], row["size_bytes"], row["mtime_ns"], row["inode"]),
        state=ImportState(row["state"]),
        error=row["error"],
        attempts=row["attempts"],
        undelete=row["undelete"],
        record_ids=tuple(row["record_ids"]),
        running=row["running"],
        created_ms=round(row["created_at"].timestamp() * 1000),
        started_ms=_ms(row, "started_at"),
        finished_ms=_ms(row, "finished_at"),
        next_try_ms=_ms(row, "next_try_at"),
        wait_reason=row["wait_reason"] if row["state"] == ImportState.WAITING else None,
        uploaded=row["uploaded_bytes"],
        upload_size=row["upload_bytes"],
    )


def _ms(row: Record, column: str) -> int | None:
    time = row[column]
    return None if time is None else round(time.timestamp() * 1000)
