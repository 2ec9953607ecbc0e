"""The recordings in PostgreSQL as an operator works on them: lists, tenants, what is too old.

Which recordings are too old is decided by one statement here (`_EXPIRED`), under the row locks when
they are to be deleted. Source: Scalelite's tables; `appliance.daily_work` says what was done when.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from appliance.postgres.database import CALL_DEADLINE_S, Connection, Database, Record
from appliance.postgres.transaction import open_transaction
from appliance.recordings.recording import RecordingStates
from appliance.recordings.rows import READ_SOME, ms_of, recording_of, timestamp_of
from appliance.recordings.store import CHANGE_HOLD_S, LockedRecordings
from appliance.recordings.summary import RecordingQuery, RecordingSummary
from appliance.tenants.params import TENANT_KEY
from appliance.tenants.retention import RetentionRules

LONG_S = 120.0
"""For statements that read whole tables: once a day, or an operator waits for them."""
DAILY_HOLD_S = 12 * 3600.0
LOCK_CLASS = 0x5CA1F
"""First half of the key of the advisory locks on daily work; the other is a hash of the name."""
ASSIGN_ROWS = 10_000

_TENANT = f"""
LEFT JOIN LATERAL (
    SELECT NULLIF(value, '') AS tenant FROM public.metadata
    WHERE recording_id = r.id AND key = '{TENANT_KEY}' LIMIT 1
) t ON true
"""
_COLUMNS = """
SELECT r.id, r.record_id, r.meeting_id, r.name, r.state, r.published, r.protected, r.starttime,
    r.endtime, t.tenant, ARRAY(
        SELECT format FROM public.playback_formats WHERE recording_id = r.id ORDER BY format
    )::text[] AS formats, (
        SELECT sum(bytes) FROM appliance.recording_sizes WHERE record_id = r.record_id
    )::bigint AS size
FROM public.recordings r
"""
_NOT_DELETED = f"r.state IS DISTINCT FROM '{RecordingStates.DELETED}'"
_WANTED = f"""
WHERE ($1::text IS NULL OR r.meeting_id = $1) AND ($2::text IS NULL OR r.state = $2)
    AND ($3::text IS NULL OR t.tenant = $3) AND ($4 OR $2 IS NOT NULL OR {_NOT_DELETED})
"""
_LIST = f"""{_COLUMNS}{_TENANT}{_WANTED}
ORDER BY r.starttime DESC, r.id DESC LIMIT $5
"""
_COUNT = f"SELECT count(*) FROM public.recordings r {_TENANT}{_WANTED}"
_COUNT_OF_ALL_TENANTS = f"""
SELECT count(*) FROM public.recordings r, (SELECT NULL::text AS tenant) t {_WANTED}
"""
_PAGE = f"{_COLUMNS}{_TENANT} WHERE r.id > $1 AND {_NOT_DELETED} ORDER BY r.id LIMIT $2"

# Two clocks must agree, so that one that is wrong deletes nothing. A tenant without a setting has
# no row in `own`; one that keeps everything has one without days, and nothing is older than null.
_EXPIRED = f"""
LEFT JOIN unnest($2::text[], $3::float8[]) AS own (tenant, days) ON own.tenant = t.tenant
WHERE r.id > $5 AND {_NOT_DELETED} AND COALESCE(r.endtime, r.starttime)
    < LEAST($1::timestamp, now() AT TIME ZONE 'UTC') - interval '1 day'
        * CASE WHEN own.tenant IS NULL THEN $4::float8 ELSE own.days END
ORDER BY r.id LIMIT $6
"""
_LIST_EXPIRED = f"{_COLUMNS}{_TENANT}{_EXPIRED}"
_LOCK_EXPIRED = (
    f"SELECT r.id FROM public.recordings r {_TENANT}{_EXPIRED} FOR UPDATE OF r SKIP LOCKED"
)

_ASSIGN = f"""
WITH chosen AS (
    SELECT r.id FROM public.recordings r {_TENANT}
    WHERE r.id > $2 AND t.tenant IS NULL ORDER BY r.id LIMIT $3
), added AS (
    INSERT INTO public.metadata (recording_id, key, value) SELECT id, '{TENANT_KEY}', $1 FROM chosen
    ON CONFLICT (recording_id, key) DO UPDATE SET value = EXCLUDED.value
        WHERE public.metadata.value IS NULL OR public.metadata.value = ''
    RETURNING recording_id
)
SELECT (SELECT max(id) FROM chosen) AS last, (SELECT count(*) FROM added) AS added
"""
_CLAIM = """
SELECT pg_try_advisory_xact_lock($1::int, hashtext($2)) AND NOT EXISTS (
    SELECT FROM appliance.daily_work WHERE name = $2
        AND finished_at BETWEEN now() - $3::float8 * interval '1 second' AND now()
)
"""
_FINISHED = """
INSERT INTO appliance.daily_work (name, finished_at) VALUES ($1, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET finished_at = EXCLUDED.finished_at
"""

# $1: seconds in which an import counts as new; $2: whether recordings that were never measured,
# or long ago, count as well.
_UNMEASURED = """
SELECT record_id FROM (
    SELECT new.record_id FROM appliance.imports i
    CROSS JOIN LATERAL unnest(i.record_ids) AS new (record_id)
    WHERE i.created_at > now() - interval '7 days'
        AND i.finished_at > now() - make_interval(secs => $1)
        AND NOT EXISTS (SELECT FROM appliance.recording_sizes s
            WHERE s.record_id = new.record_id AND s.measured_at > i.finished_at)
    UNION
    SELECT r.record_id FROM public.recordings r
    JOIN public.playback_formats f ON f.recording_id = r.id
    LEFT JOIN appliance.recording_sizes s ON (s.record_id, s.format) = (r.record_id, f.format)
    WHERE $2 AND coalesce(s.measured_at, '-infinity') < now() - interval '30 days'
) found
WHERE EXISTS (SELECT FROM public.recordings r
    WHERE r.record_id = found.record_id AND coalesce(r.state, '') <> 'deleted')
LIMIT $3
"""
# A format without files, for example in an object store, keeps the size that it had.
_RECORD_SIZES = """
INSERT INTO appliance.recording_sizes (record_id, format, bytes)
SELECT $1, f.format, coalesce(x.bytes, 0)
FROM public.recordings r JOIN public.playback_formats f ON f.recording_id = r.id
LEFT JOIN unnest($2::text[], $3::bigint[]) AS x (format, bytes) ON x.format = f.format
WHERE r.record_id = $1
ON CONFLICT (record_id, format) DO UPDATE SET measured_at = now(), bytes =
    CASE WHEN EXCLUDED.bytes = 0 THEN recording_sizes.bytes ELSE EXCLUDED.bytes END
"""


class RecordingTable:
    """The rows.

    Every method raises DatabaseDown, and DatabaseRefused for a defect of the appliance.
    """

    def __init__(self, store: Database) -> None:
        self._store = store

    async def list_summaries(self, query: RecordingQuery) -> tuple[list[RecordingSummary], int]:
        """Return the newest recordings that are wanted, and how many there are in all."""
        texts = (query.meeting_id, query.state, query.tenant_id)
        if any(text is not None and "\0" in text for text in texts):
            return [], 0  # no text of PostgreSQL has one
        wanted = (*texts, query.any_state)
        # The few recordings of a tenant among a million may take long to find; a database that
        # hangs is known at once.
        await self._store.ping(deadline_s=CALL_DEADLINE_S)
        rows = await self._store.fetch(_LIST, *wanted, query.limit, deadline_s=LONG_S)
        found = [_summary_of(row) for row in rows]
        if len(found) < query.limit:
            return found, len(found)
        sql = _COUNT_OF_ALL_TENANTS if query.tenant_id is None else _COUNT
        count = await self._store.fetchrow(sql, *wanted, deadline_s=LONG_S)
        assert count is not None
        return found, count["count"]

    async def page(self, after: int, limit: int) -> list[RecordingSummary]:
        """Return recordings that are not deleted, in the order of their rows' ids."""
        return [_summary_of(row) for row in await self._store.fetch(_PAGE, after, limit)]

    async def count(self) -> int:
        """Return how many recordings are not deleted."""
        sql = f"SELECT count(*) FROM public.recordings r WHERE {_NOT_DELETED}"
        row = await self._store.fetchrow(sql, deadline_s=LONG_S)
        assert row is not None
        return int(row["count"])

    async def removed_metadata(self, row_id: int) -> tuple[str, ...]:
        """Return the metadata keys that users removed from a recording."""
        sql = "SELECT key FROM appliance.removed_metadata WHERE recording_id = $1 ORDER BY key"
        return tuple(row["key"] for row in await self._store.fetch(sql, row_id))

    async def assign_all(self, tenant_id: str) -> int:
        """Assign every recording without a tenant to one; return how many.

        The deleted ones too, as rake does; 10,000 at a time, each a transaction of its own.
        """
        added, last = 0, 0
        while True:
            row = await self._store.fetchrow(
                _ASSIGN, tenant_id, last, ASSIGN_ROWS, deadline_s=LONG_S
            )
            assert row is not None
            if row["last"] is None:
                return added
            added, last = added + row["added"], row["last"]

    async def list_expired(
        self, rules: RetentionRules, *, now_ms: int, after: int, limit: int
    ) -> list[RecordingSummary]:
        """Return recordings that are too old, in the order of their rows' ids."""
        args = _expired_arguments(rules, now_ms, after, limit)
        rows = await self._store.fetch(_LIST_EXPIRED, *args, deadline_s=LONG_S)
        return [_summary_of(row) for row in rows]

    @asynccontextmanager
    async def lock_expired(
        self, rules: RetentionRules, *, now_ms: int, after: int, limit: int
    ) -> AsyncIterator[LockedRecordings]:
        """Lock recordings that are too old, but for those that another transaction has locked.

        What the block changes is committed at its end.
        """
        args = _expired_arguments(rules, now_ms, after, limit)

        async def work(connection: Connection) -> list[Record]:
            ids = [row["id"] for row in await connection.fetch(_LOCK_EXPIRED, *args)]
            return list(await connection.fetch(READ_SOME, ids))

        async with open_transaction(self._store, hold_s=CHANGE_HOLD_S) as transaction:
            rows = await transaction.run(work, deadline_s=LONG_S)
            yield LockedRecordings(transaction, tuple(recording_of(row) for row in rows))

    async def list_unmeasured(self, new_s: float, limit: int, *, everything: bool) -> list[str]:
        """Return recordings that were imported within `new_s`, or whose size is not known."""
        found = await self._store.fetch(_UNMEASURED, new_s, everything, limit, deadline_s=LONG_S)
        return [row[0] for row in found]

    async def record_sizes(self, record_id: str, sizes: Mapping[str, int]) -> None:
        """Record the size of the files of each format, in bytes."""
        await self._store.execute(_RECORD_SIZES, record_id, list(sizes), list(sizes.values()))

    @asynccontextmanager
    async def claim_daily(self, name: str, interval_s: float) -> AsyncIterator[bool]:
        """Yield whether a daily task is due; if so, lock it for this appliance during the block.

        It is due if it was not done for `interval_s`; a block that succeeds has done it. A process
        that dies releases the lock.
        """

        async def claim(connection: Connection) -> bool:
            return bool(await connection.fetchval(_CLAIM, LOCK_CLASS, name, interval_s))

        async def finish(connection: Connection) -> None:
            await connection.execute(_FINISHED, name)

        async with open_transaction(self._store, hold_s=DAILY_HOLD_S) as transaction:
            due = await transaction.run(claim)
            yield due
            if due:
                await transaction.run(finish)


def _expired_arguments(
    rules: RetentionRules, now_ms: int, after: int, limit: int
) -> tuple[object, ...]:
    own = rules.own_days
    return timestamp_of(now_ms), [*own], [*own.values()], rules.default_days, after, limit


def _summary_of(row: Record) -> RecordingSummary:
    return RecordingSummary(
        id=row["id"],
        record_id=row["record_id"] or "",
        meeting_id=row["meeting_id"],
        name=row["name"],
        state=row["state"],
        published=row["published"],
        protected=row["protected"],
        tenant_id=row["tenant"],
        start_ms=ms_of(row["starttime"]),
        end_ms=ms_of(row["endtime"]),
        formats=tuple(format for format in row["formats"] if format),
        size=row["size"],
    )
