"""The recordings in PostgreSQL: listing, finding, and changes by users and imports.

Every change of a recording locks its row first, in the order of the row ids. Source: Scalelite's
tables (docs/stores.md), which a Scalelite on the same database reads and writes too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from appliance.faults import DatabaseDown
from appliance.postgres.database import POOL_SIZE, Connection, Database
from appliance.postgres.transaction import Transaction, open_transaction
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.imports.merge import ImportResult, ImportRules, state_of
from appliance.recordings.imports.upsert import upsert_recording
from appliance.recordings.listing import (
    CHUNK_ROWS,
    ListingPlan,
    RecordingListing,
    ShortListing,
    count_listed,
    plan_listing,
    plan_stream,
    read_short,
)
from appliance.recordings.objects.journal import lock_objects, queue_object_work
from appliance.recordings.recent_listings import RecentListings
from appliance.recordings.recording import Recording, RecordingStates
from appliance.recordings.rows import READ_ONE, READ_SOME, recording_of
from appliance.tenants.params import TENANT_KEY

LISTING_HOLD_S = 900.0
LISTINGS_AT_ONCE = POOL_SIZE // 2
"""A slow client occupies a connection; the others are reserved for everything else."""
LISTING_WAIT_S = 5.0
CHANGE_HOLD_S = 1800.0
"""While the row is locked, files may have to be copied to another file system."""
_OBJECTS_WAIT_S, _OBJECTS_POLL_S = 10.0, 0.25

AlsoWrite = Callable[[Connection, ImportResult], Awaitable[None]]


class LockedRecordings:
    """Recordings whose rows are locked. Every method raises DatabaseDown."""

    def __init__(self, transaction: Transaction, recordings: tuple[Recording, ...]) -> None:
        self._transaction = transaction
        self.recordings = recordings
        self.notes: list[str] = []
        self.moving: list[str] = []
        """Recordings whose objects follow the change of their rows (objects/work.py), which the
        caller waits for."""

    async def queue_object_work(
        self, recordings: Sequence[Recording], *, awaited: bool = False
    ) -> None:
        """Have the objects of recordings follow the changes of their rows after the commit."""
        record_ids = [one.record_id for one in recordings]

        async def work(connection: Connection) -> None:
            await queue_object_work(connection, record_ids)

        await self._transaction.run(work)
        self.moving += record_ids if awaited else []

    async def lock_objects(self, record_id: str) -> bool:
        """Lock the objects of a recording, too; False: they are being moved or replaced."""
        return await lock_objects(self._transaction, [record_id])

    async def wait_for_objects(self, record_id: str) -> bool:
        """Wait until the objects of a recording are locked; False: it takes too long."""
        with trio.move_on_after(_OBJECTS_WAIT_S):
            # Another process may hold them, whose end is no event here.
            while not await self.lock_objects(record_id):  # noqa: ASYNC110
                await trio.sleep(_OBJECTS_POLL_S)
            return True
        return False

    async def set_published(self, recording: Recording, published: bool) -> None:
        """Record that a user published or unpublished a recording."""

        async def work(connection: Connection) -> None:
            await connection.execute(
                "UPDATE public.recordings SET published = $2, publish_updated = true, state = $3"
                " WHERE id = $1",
                recording.id,
                published,
                state_of(published),
            )

        await self._transaction.run(work)

    async def update(
        self, recording: Recording, *, metadata: Sequence[tuple[str, str]], protected: bool | None
    ) -> None:
        """Set metadata (an empty value removes a key) and, if given, the protection."""
        kept = [(key, value) for key, value in metadata if value]
        removed = [key for key, value in metadata if not value]
        keys = [key for key, _ in kept]

        async def work(connection: Connection) -> None:
            row_id = recording.id
            await connection.execute(_SET_METADATA, row_id, keys, [value for _, value in kept])
            await connection.execute(_REMOVE_METADATA, row_id, removed)
            await connection.execute(_NOTE_REMOVED, row_id, removed)
            await connection.execute(_FORGET_REMOVED, row_id, keys)
            if protected is not None:
                await connection.execute(
                    "UPDATE public.recordings SET protected = $2 WHERE id = $1", row_id, protected
                )

        await self._transaction.run(work)

    async def delete(self, recording: Recording) -> None:
        """Delete the rows of formats and metadata but the tenant's, and mark the recording."""

        async def work(connection: Connection) -> None:
            for sql in _DELETE:
                await connection.execute(sql, recording.id)

        await self._transaction.run(work)


class RecordingStore:
    """The recordings. Every method raises DatabaseDown, and DatabaseRefused for a defect."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._listings = trio.Semaphore(LISTINGS_AT_ONCE)
        self._recent = RecentListings()
        self.change_count = 0
        """Number of changes that were made through this object; what was read before is stale."""

    async def ping(self) -> None:
        """Check that the database answers."""
        await self._store.ping()

    @asynccontextmanager
    async def open_listing(
        self, wanted: RecordingFilter
    ) -> AsyncIterator[RecordingListing | ShortListing]:
        """Start a listing, newest first, with one SQL statement for any number of recordings."""
        plan = await plan_listing(self._store, wanted)
        short = await read_short(self._store, wanted, plan, self._recent)
        if short is not None:
            yield short
            return
        by = await plan_stream(self._store, wanted, plan, self._recent)
        with trio.move_on_after(LISTING_WAIT_S) as deadline:
            await self._listings.acquire()
        if deadline.cancelled_caught:
            raise DatabaseDown("too many listings at once")
        try:
            async with open_transaction(self._store, hold_s=LISTING_HOLD_S) as transaction:
                own_session = self._store.prepared_statements
                yield RecordingListing(transaction, wanted, plan, by, own_session=own_session)
        finally:
            self._listings.release()

    async def count_listed(
        self, wanted: RecordingFilter, plan: ListingPlan | None = None, first: int | None = None
    ) -> int:
        """Return the number of recordings that match, on all pages; of very many an estimate.

        `plan` is that of the page, `first` the number of recordings in its first chunk.
        """
        end = wanted.offset + (first or 0)
        is_last = first is not None and first < min(wanted.limit or CHUNK_ROWS, CHUNK_ROWS)
        if is_last and (first or not wanted.offset):
            return end
        every_page = replace(wanted, offset=0, limit=None)
        plan = plan or await plan_listing(self._store, every_page)
        count, exact = await count_listed(self._store, every_page, plan, self._recent)
        return count if exact or is_last else max(count, end + 1)

    @asynccontextmanager
    async def lock_recordings(
        self, record_ids: Sequence[str], tenant_id: str | None
    ) -> AsyncIterator[LockedRecordings]:
        """Lock the recordings with these ids, except deleted ones and those of other tenants.

        `tenant_id` None means any tenant. The changes of the block are committed at its end, or
        rolled back if it fails.
        """

        async def work(connection: Connection) -> tuple[Recording, ...]:
            rows = await connection.fetch(_LOCK, list(record_ids), RecordingStates.DELETED)
            found = await connection.fetch(READ_SOME, [row["id"] for row in rows])
            recordings = [recording_of(row) for row in found]
            return tuple(
                one for one in recordings if tenant_id is None or one.tenant_id == tenant_id
            )

        try:
            async with open_transaction(self._store, hold_s=CHANGE_HOLD_S) as transaction:
                yield LockedRecordings(transaction, await transaction.run(work))
        finally:
            # After an error, too: the commit may have been made.
            self.change_count += 1
            self._recent.clear()

    async def has_deleted(self, record_ids: Sequence[str], tenant_id: str | None) -> bool:
        """Return whether one of these recordings was deleted; `tenant_id` as lock_recordings."""
        return await self._store.fetchrow(_DELETED, list(record_ids), tenant_id) is not None

    async def find_recording(self, record_id: str) -> Recording | None:
        """Return one recording in any state, None if it does not exist."""
        if "\0" in record_id:  # text in PostgreSQL cannot contain NUL
            return None
        row = await self._store.fetchrow(READ_ONE, record_id)
        return None if row is None else recording_of(row)

    async def upsert_recording(
        self, recording: Recording, rules: ImportRules, also: AlsoWrite | None = None
    ) -> ImportResult:
        """Write an imported recording; `also` writes more rows in the same transaction."""

        async def work(connection: Connection) -> ImportResult:
            result = await upsert_recording(connection, recording, rules)
            if also is not None:
                await also(connection, result)
            return result

        try:
            return await self._store.run(work, transaction=True)
        finally:
            self._recent.clear_counts()


_LOCK = """
SELECT id FROM public.recordings WHERE record_id = ANY($1::text[]) AND state IS DISTINCT FROM $2
ORDER BY id FOR UPDATE
"""
_DELETED = f"""
SELECT 1 FROM public.recordings r
WHERE record_id = ANY($1::text[]) AND state = '{RecordingStates.DELETED}'
    AND ($2::text IS NULL OR EXISTS (
        SELECT 1 FROM public.metadata
        WHERE recording_id = r.id AND key = '{TENANT_KEY}' AND value = $2
    ))
LIMIT 1
"""
_SET_METADATA = """
INSERT INTO public.metadata (recording_id, key, value)
SELECT $1, pair.key, pair.value FROM unnest($2::text[], $3::text[]) AS pair (key, value)
ON CONFLICT (recording_id, key) DO UPDATE SET value = EXCLUDED.value
"""
_REMOVE_METADATA = "DELETE FROM public.metadata WHERE recording_id = $1 AND key = ANY($2::text[])"
_NOTE_REMOVED = """
INSERT INTO appliance.removed_metadata (recording_id, key) SELECT $1, unnest($2::text[])
ON CONFLICT DO NOTHING
"""
_FORGET_REMOVED = (
    "DELETE FROM appliance.removed_metadata WHERE recording_id = $1 AND key = ANY($2::text[])"
)
_DELETE = (
    "DELETE FROM public.thumbnails WHERE playback_format_id IN"
    " (SELECT id FROM public.playback_formats WHERE recording_id = $1)",
    "DELETE FROM public.playback_formats WHERE recording_id = $1",
    # The tenant stays, to which the deleted recording is listed, and which may delete it again.
    f"DELETE FROM public.metadata WHERE recording_id = $1 AND key <> '{TENANT_KEY}'",
    "DELETE FROM appliance.removed_metadata WHERE recording_id = $1",
    f"UPDATE public.recordings SET state = '{RecordingStates.DELETED}' WHERE id = $1",
)
