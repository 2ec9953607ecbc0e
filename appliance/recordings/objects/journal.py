"""The tables of object storage: locks of recordings, work on their objects, uploads under way.

An import or a move writes which objects it is going to make before it makes the first, and deletes
that with its commit. What is left of a dead one is found here and nowhere else, so objects of other
programs are never touched. Source: docs/object-storage.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from appliance.faults import DatabaseDown
from appliance.postgres.database import Connection, Database
from appliance.postgres.transaction import Transaction, open_transaction
from appliance.recordings.storage import NewObjects

LOCK_CLASS = 0x5CA20
"""First half of the key of an advisory lock on a recording's objects; the other is a hash."""
HOLD_S = 24 * 3600.0
LEASE_S = 60.0
"""Until work that was begun by an appliance that died is begun again."""
MOVE = 0
"""The import id of a move."""

_LOCK = "SELECT pg_try_advisory_xact_lock($1::int, hashtext($2))"
_QUEUE = """
INSERT INTO appliance.object_work AS known (record_id) SELECT unnest($1::text[])
ON CONFLICT (record_id) DO UPDATE
SET generation = known.generation + 1, next_try_at = now(), error = NULL
"""
# What is due further ahead than any delay is due, too: the clock was set back.
_DUE = f"""
UPDATE appliance.object_work SET next_try_at = now() + {LEASE_S} * interval '1 second'
WHERE record_id IN (
    SELECT record_id FROM appliance.object_work
    WHERE next_try_at <= now() OR next_try_at > now() + interval '10 minutes'
    ORDER BY queued_at LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING record_id, generation
"""
_DONE = "DELETE FROM appliance.object_work WHERE record_id = $1 AND generation = $2"
_LATER = """
UPDATE appliance.object_work SET error = $3, next_try_at = now() + $4::float8 * interval '1 second'
WHERE record_id = $1 AND generation = $2
"""
_NOTE_UPLOADS = """
INSERT INTO appliance.object_uploads AS known (import_id, record_id, format, published, names)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (record_id, format, published, import_id) DO UPDATE
SET names = ARRAY(SELECT unnest(known.names) UNION SELECT unnest(EXCLUDED.names))
"""
_FORGET_UPLOADS = """
DELETE FROM appliance.object_uploads WHERE record_id = $1 AND format = ANY($2::text[])
RETURNING import_id, format
"""
_LIST_UPLOADS = """
SELECT format, published, names FROM appliance.object_uploads WHERE record_id = $1
"""


@dataclass(frozen=True, slots=True)
class DueWork:
    """A recording whose objects do not match its row."""

    record_id: str
    generation: int
    """Counts the changes of the row."""


async def lock_objects(transaction: Transaction, record_ids: Iterable[str]) -> bool:
    """Lock the objects of recordings until the end of a transaction; False: not all are free."""

    async def work(connection: Connection) -> bool:
        for record_id in sorted(set(record_ids)):
            if not await connection.fetchval(_LOCK, LOCK_CLASS, record_id):
                return False
        return True

    return await transaction.run(work)


async def queue_object_work(connection: Connection, record_ids: Sequence[str]) -> None:
    """Queue recordings whose rows the same transaction changes."""
    await connection.execute(_QUEUE, list(record_ids))


async def complete_uploads(
    connection: Connection, import_id: int, record_id: str, formats: Collection[str]
) -> None:
    """Forget the uploads of formats that the same transaction commits.

    Raises DatabaseDown: they were forgotten meanwhile, so the objects may have been removed.
    """
    rows = await connection.fetch(_FORGET_UPLOADS, record_id, list(formats))
    if {row["format"] for row in rows if row["import_id"] == import_id} != set(formats):
        raise DatabaseDown("the claim on the objects of the recording was lost")


@dataclass(frozen=True, slots=True)
class Claim:
    """The objects of a recording are locked, as long as the transaction lives."""

    record_id: str
    transaction: Transaction

    async def confirm(self) -> None:
        """Raise DatabaseDown if the lock was lost, so that an import may have replaced objects."""
        await lock_objects(self.transaction, [self.record_id])


class ObjectJournal:
    """The tables. Every method raises DatabaseDown, and DatabaseRefused for a defect."""

    def __init__(self, store: Database) -> None:
        self._store = store

    @asynccontextmanager
    async def claim(self, record_id: str) -> AsyncIterator[Claim | None]:
        """Lock the objects of a recording during the block; None: an import or a move has them."""
        async with open_transaction(self._store, hold_s=HOLD_S) as transaction:
            free = await lock_objects(transaction, [record_id])
            yield Claim(record_id, transaction) if free else None

    async def take_due(self, limit: int) -> list[DueWork]:
        """Take work that is due; no other appliance gets it for LEASE_S."""
        rows = await self._store.fetch(_DUE, limit)
        return [DueWork(row["record_id"], row["generation"]) for row in rows]

    async def queue(self, record_ids: Sequence[str]) -> None:
        """Queue recordings."""
        await self._store.execute(_QUEUE, list(record_ids))

    async def finish(self, work: DueWork) -> None:
        """Remove work that was done, unless the row has changed again."""
        await self._store.execute(_DONE, work.record_id, work.generation)

    async def postpone(self, work: DueWork, error: str, *, wait_s: float) -> None:
        """Record why work could not be done, and when it is due again."""
        await self._store.execute(_LATER, work.record_id, work.generation, error, wait_s)

    async def note_uploads(self, import_id: int, new: NewObjects) -> None:
        """Record which objects are going to be made."""
        await self._store.execute(
            *(_NOTE_UPLOADS, import_id, new.record_id, new.format, new.published),
            list(new.names),
        )

    async def complete_uploads(
        self, import_id: int, record_id: str, formats: Collection[str]
    ) -> None:
        """Forget uploads that are complete. Raises DatabaseDown: see the function."""

        async def work(connection: Connection) -> None:
            await complete_uploads(connection, import_id, record_id, formats)

        await self._store.run(work, transaction=True)

    async def recordings_with_uploads(self) -> list[str]:
        """Return the recordings with uploads that are under way or were left by a dead import."""
        sql = "SELECT DISTINCT record_id FROM appliance.object_uploads ORDER BY 1"
        return [row["record_id"] for row in await self._store.fetch(sql)]

    async def list_uploads(self, record_id: str) -> list[NewObjects]:
        """Return the uploads of a recording."""
        rows = await self._store.fetch(_LIST_UPLOADS, record_id)
        return [
            NewObjects(record_id, row["format"], row["published"], tuple(row["names"]))
            for row in rows
        ]

    async def forget_uploads(self, record_id: str) -> None:
        """Forget the uploads of a recording, whose objects were removed."""
        sql = "DELETE FROM appliance.object_uploads WHERE record_id = $1"
        await self._store.execute(sql, record_id)
