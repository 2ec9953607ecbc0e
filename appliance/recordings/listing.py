"""Listings of recordings: by which index they are found, how many match, and reading them.

A condition on metadata can match ten recordings or all of a million. PostgreSQL keeps one plan for
both, so it is decided here, after counting the matches up to FEW: few are found by their metadata
and sorted, of many the newest recordings are read until a page is full. docs/recordings.md has the
plans and what they take.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

import trio

from appliance.postgres.database import Connection, Database, Record
from appliance.postgres.transaction import Transaction
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.recording import Recording
from appliance.recordings.rows import (
    FEW,
    By,
    Place,
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
_FAR = 1_000
"""Offset from which on the place of a page is remembered."""
_PLACES = 1_000
_PLACE_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How the recordings of a listing are found."""

    by: By
    fallback: By | None = None
    """If `by` is `time` since very many match: how they are found if the newest do not do."""


async def plan_listing(database: Database, wanted: RecordingFilter) -> Plan:
    """Decide how to find the recordings of a listing. Takes a round trip for metadata."""
    if wanted.names_recordings:
        return Plan("names")
    if wanted.metadata is None and wanted.tenant_id is None:
        return Plan("time")
    sql, args = probe_sql(wanted)
    row = await database.fetchrow(sql, *args)
    assert row is not None
    counts: dict[By, int] = {}
    if wanted.metadata is not None:
        counts["metadata"] = row["metadata"]
    if wanted.tenant_id is not None:
        counts["tenant"] = row["tenant"]
    by = min(counts, key=lambda one: counts[one])
    return Plan(by) if counts[by] <= FEW else Plan("time", by)


async def count_listed(database: Database, wanted: RecordingFilter, plan: Plan) -> tuple[int, bool]:
    """Return how many recordings match on all pages, and whether that is exact."""
    if plan.fallback is not None:
        found = await _estimate(database, wanted)
        if found is not None:
            return found[0], False
    sql, args = count_sql(wanted, plan.fallback or plan.by)
    row = await database.fetchrow(sql, *args, deadline_s=LISTING_DEADLINE_S)
    assert row is not None
    return row["count"], True


async def _estimate(database: Database, wanted: RecordingFilter) -> tuple[int, float] | None:
    """Return about how many match, and their share of the table; None: it is small, or unknown."""
    sql, args = estimate_sql(wanted)

    async def work(connection: Connection) -> Record | None:
        if not database.prepared_statements:  # in a transaction then
            await connection.execute("SET LOCAL jit = off")
        return await connection.fetchrow(sql, *args)

    row = await database.run(work, deadline_s=LISTING_DEADLINE_S)
    if row is None or row["total"] <= _EXACT or not row["sampled"]:
        return None
    share = row["found"] / row["sampled"]
    return max(round(share * row["total"]), FEW + 1), share


class PagePlaces:
    """Where pages have ended lately, so that the next one need not be counted off from the start.

    A page that follows one of the last minute begins behind its last recording.
    """

    def __init__(self, now_s: Callable[[], float] = trio.current_time) -> None:
        self._now_s = now_s
        self._places: OrderedDict[tuple[RecordingFilter, int], tuple[float, Place]] = OrderedDict()

    def find(self, wanted: RecordingFilter) -> Place | None:
        """Return where the page before ended, None if it is not known."""
        found = self._places.get((_every_page(wanted), wanted.offset))
        return found[1] if found and self._now_s() - found[0] < _PLACE_S else None

    def note(self, wanted: RecordingFilter, rows: Sequence[Record]) -> None:
        """Remember where a page ended, if the next one is far from the start."""
        end = wanted.offset + len(rows)
        if wanted.limit != len(rows) or end < _FAR or rows[-1]["starttime"] is None:
            return
        key = _every_page(wanted), end
        self._places[key] = self._now_s(), (rows[-1]["starttime"], rows[-1]["id"])
        self._places.move_to_end(key)
        if len(self._places) > _PLACES:
            self._places.popitem(last=False)

    def clear(self) -> None:
        """Forget all, because recordings were changed."""
        self._places.clear()


def _every_page(wanted: RecordingFilter) -> RecordingFilter:
    return replace(wanted, offset=0, limit=None, paged=False)


async def read_short(
    database: Database, wanted: RecordingFilter, plan: Plan, places: PagePlaces
) -> ShortListing | None:
    """Read a listing in one query; None: it is, or may be, longer than a chunk.

    A cursor needs a transaction and so three round trips, which take longer than reading the
    recordings of one course.
    """
    size = wanted.limit or CHUNK_ROWS + 1
    if not (wanted.names_recordings or size <= CHUNK_ROWS) or not database.prepared_statements:
        return None
    after = places.find(wanted)
    begin = 0 if after else wanted.offset
    newest = _NEWEST + 2 * (begin + size) if plan.fallback else None
    rows = await _fetch(database, wanted, plan.by, after, newest)
    if plan.fallback and len(rows) < size:
        rows = await _fetch(database, wanted, plan.fallback, after)
    if len(rows) > CHUNK_ROWS:
        return None
    places.note(wanted, rows)
    return ShortListing([recording_of(row) for row in rows], plan)


async def _fetch(
    database: Database,
    wanted: RecordingFilter,
    by: By,
    after: Place | None,
    newest: int | None = None,
) -> list[Record]:
    sql, args = listing_sql(wanted, CHUNK_ROWS + 1, by=by, after=after, newest=newest)
    return await database.fetch(sql, *args, deadline_s=LISTING_DEADLINE_S)


async def plan_stream(database: Database, wanted: RecordingFilter, plan: Plan) -> By:
    """Decide how to read a listing of any length."""
    if plan.fallback is None:
        return plan.by
    found = await _estimate(database, wanted)
    return "time" if found is not None and found[1] >= _SHARE else plan.fallback


class RecordingListing:
    """One listing: a cursor on one statement, read in chunks."""

    def __init__(
        self,
        transaction: Transaction,
        wanted: RecordingFilter,
        plan: Plan,
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

    def __init__(self, recordings: list[Recording], plan: Plan) -> None:
        self.plan = plan
        self._recordings = recordings

    async def next_chunk(self) -> list[Recording]:
        """Return all recordings, then none."""
        chunk, self._recordings = self._recordings, []
        return chunk
