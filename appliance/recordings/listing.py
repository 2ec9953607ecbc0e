"""Listings of recordings: by which index they are found, how many match, and reading them.

A condition on metadata can match ten recordings or all of a million. PostgreSQL keeps one plan for
both, so it is decided here, after counting the matches up to FEW: few are found by their metadata
and sorted, of many the newest recordings are read until a page is full. docs/recordings.md has the
plans and what they take.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from appliance.postgres.database import Connection, Database, Record
from appliance.postgres.transaction import Transaction
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.recent_listings import RecentListings, every_page
from appliance.recordings.recording import Recording
from appliance.recordings.rows import (
    FEW,
    By,
    Start,
    count_sql,
    estimate_sql,
    listing_sql,
    probe_sql,
    recording_of,
)

CHUNK_ROWS = 250
"""About 600 kB of XML, which a listing holds in memory at a time."""
LISTING_DEADLINE_S = 30.0
"""For what may read the whole table: a page far behind, a value that only old recordings have."""
_NEWEST = 20_000
"""Recordings that are read for a page before its matches are found by their metadata instead."""
_SHARE = 0.2
"""From this share of the table on, a whole listing reads all of it in order."""
_EXACT = 20_000
"""Recordings in a table that are counted, not estimated."""


@dataclass(frozen=True, slots=True)
class ListingPlan:
    """How the recordings of a listing are found."""

    by: By
    fallback: By | None = None
    """If `by` is `time` since very many match: how they are found if the newest do not do."""


async def plan_listing(database: Database, wanted: RecordingFilter) -> ListingPlan:
    """Decide how to find the recordings of a listing. Takes a round trip for metadata."""
    if wanted.names_recordings:
        return ListingPlan("names")
    if wanted.metadata is None and wanted.tenant_id is None:
        return ListingPlan("time")
    sql, args = probe_sql(wanted)
    row = await database.fetchrow(sql, *args)
    assert row is not None
    counts: dict[By, int] = {}
    if wanted.metadata is not None:
        counts["metadata"] = row["metadata"]
    if wanted.tenant_id is not None:
        counts["tenant"] = row["tenant"]
    by = min(counts, key=lambda one: counts[one])
    return ListingPlan(by) if counts[by] <= FEW else ListingPlan("time", by)


async def count_listed(
    database: Database, wanted: RecordingFilter, plan: ListingPlan, recent: RecentListings
) -> tuple[int, bool]:
    """Return how many recordings match on all pages, and whether that is exact.

    Up to a minute old if there are very many.
    """
    if plan.fallback is not None:
        found = await _estimate(database, wanted, recent)
        if found is not None:
            return found[0], False
    key = every_page(wanted)
    count = recent.counts.get(key)
    if count is None:
        sql, args = count_sql(wanted, plan.fallback or plan.by)
        row = await database.fetchrow(sql, *args, deadline_s=LISTING_DEADLINE_S)
        assert row is not None
        count = int(row["count"])
        if count > _EXACT:
            recent.counts.put(key, count)
    return count, True


async def _estimate(
    database: Database, wanted: RecordingFilter, recent: RecentListings
) -> tuple[int, float] | None:
    """Return about how many match, and their share of the table; None: it is small, or unknown."""
    key = every_page(wanted)
    known = recent.estimates.get(key)
    if known is not None:
        return known
    sql, args = estimate_sql(wanted)

    async def work(connection: Connection) -> Record | None:
        if not database.prepared_statements:  # in a transaction then
            await connection.execute("SET LOCAL jit = off")
        return await connection.fetchrow(sql, *args)

    row = await database.run(work, deadline_s=LISTING_DEADLINE_S)
    if row is None or row["total"] <= _EXACT or not row["sampled"]:
        return None
    share = row["found"] / row["sampled"]
    found = max(round(share * row["total"]), FEW + 1), share
    recent.estimates.put(key, found)
    return found


async def read_short(
    database: Database, wanted: RecordingFilter, plan: ListingPlan, recent: RecentListings
) -> ShortListing | None:
    """Read a listing in one query; None: it is, or may be, longer than a chunk.

    A cursor needs a transaction and so three round trips, which take longer than reading the
    recordings of one course.
    """
    size = wanted.limit or CHUNK_ROWS + 1
    if not (wanted.names_recordings or size <= CHUNK_ROWS) or not database.prepared_statements:
        return None
    start = recent.find_start(wanted)
    rows = await _read_page(database, wanted, plan, start, recent)
    if start.backward and len(rows) < size:  # newer ones are missing that have no start
        rows = await _read_page(database, wanted, plan, Start(None, wanted.offset), recent)
    if len(rows) > CHUNK_ROWS:
        return None
    recent.note_page(wanted, rows)
    return ShortListing([recording_of(row) for row in rows], plan)


async def _read_page(
    database: Database,
    wanted: RecordingFilter,
    plan: ListingPlan,
    start: Start,
    recent: RecentListings,
) -> list[Record]:
    if plan.fallback is None or start.skip > _NEWEST:
        by = await plan_stream(database, wanted, plan, recent)
        return await _fetch(database, wanted, by, start)
    size = wanted.limit or CHUNK_ROWS + 1
    examined = _NEWEST + 2 * (start.skip + size)
    rows = await _fetch(database, wanted, plan.by, start, examined)
    if len(rows) >= size:
        return rows
    return await _fetch(database, wanted, plan.fallback, start)


async def _fetch(
    database: Database,
    wanted: RecordingFilter,
    by: By,
    start: Start,
    examined: int | None = None,
) -> list[Record]:
    sql, args = listing_sql(wanted, CHUNK_ROWS + 1, by=by, start=start, examined=examined)
    return await database.fetch(sql, *args, deadline_s=LISTING_DEADLINE_S)


async def plan_stream(
    database: Database, wanted: RecordingFilter, plan: ListingPlan, recent: RecentListings
) -> By:
    """Decide how to read a listing of any length."""
    if plan.fallback is None:
        return plan.by
    found = await _estimate(database, wanted, recent)
    return "time" if found is not None and found[1] >= _SHARE else plan.fallback


class RecordingListing:
    """One listing: a cursor on one statement, read in chunks."""

    def __init__(
        self,
        transaction: Transaction,
        wanted: RecordingFilter,
        plan: ListingPlan,
        by: By,
        *,
        own_session: bool,
    ) -> None:
        self.plan = plan
        self._by = by
        self._transaction = transaction
        self._own_session = own_session
        self._wanted = wanted
        self._ended = False
        self._rows: AsyncIterator[Record] | None = None

    async def next_chunk(self) -> list[Recording]:
        """Return the next recordings; an empty list at the end, when the connection is released."""
        if self._ended:
            return []
        chunk = await self._transaction.run(self._read, deadline_s=LISTING_DEADLINE_S)
        if len(chunk) < CHUNK_ROWS:
            self._ended = True
            await self._transaction.commit()
        return chunk

    async def _read(self, connection: Connection) -> list[Recording]:
        if self._rows is None:
            if not self._own_session:
                await connection.execute("SET LOCAL jit = off")
            if self._by == "time":
                # A cursor of the protocol is planned as if all rows were wanted at once.
                await connection.execute(
                    "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off"
                )
            sql, args = listing_sql(self._wanted, by=self._by)
            # Iterating over a cursor saves one round trip.
            self._rows = aiter(connection.cursor(sql, *args, prefetch=CHUNK_ROWS))
        chunk = []
        async for row in self._rows:
            chunk.append(recording_of(row))
            if len(chunk) == CHUNK_ROWS:
                break
        return chunk


class ShortListing:
    """A listing that was read in one query."""

    def __init__(self, recordings: list[Recording], plan: ListingPlan) -> None:
        self.plan = plan
        self._recordings = recordings

    async def next_chunk(self) -> list[Recording]:
        """Return all recordings, then none."""
        chunk, self._recordings = self._recordings, []
        return chunk
