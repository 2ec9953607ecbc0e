"""Writes usage to PostgreSQL: runs, minutes, the hours made of them, and what is deleted by age.

Everything can be written twice without a difference. Each method raises DatabaseDown and
DatabaseRefused. Source of the tables: postgres/schema/0009_usage.sql.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.model import ServerId, TenantId
from appliance.postgres.database import Connection, Database
from appliance.usage.model import MINUTE_MS, Debts, EndedRun, Gap, ServerMinute

KEEP_MINUTES_DAYS = 8
KEEP_HOURS_DAYS = 400
"""Older hours become days."""
BATCH = 20_000
"""Rows that one statement deletes, so that locks and write-ahead log stay small."""
ROLLUP_DELAY_MIN = 3
"""The minutes of an hour have arrived this much later, unless the database was away."""
DEADLINE_S = 60.0
_HOURS_AT_ONCE = 50
"""Changed hours that one `roll_up` computes."""

_ADD_PAIRS = """
INSERT INTO appliance.usage_pairs (scope, tenant, server)
SELECT 0, x.tenant, x.server FROM json_to_recordset($1::json) AS x (tenant text, server text)
WHERE NOT EXISTS (SELECT FROM appliance.usage_pairs p
    WHERE (p.scope, p.tenant, p.server) = (0, x.tenant, x.server))
ON CONFLICT DO NOTHING
"""
_ADD_RUNS = """
INSERT INTO appliance.meeting_runs (id, created_at, first_join_at, ended_at, user_ms, dial_in_ms,
    gap_ms, pair, peak_users, peak_voice, peak_videos, peak_listeners, dial_in_callers, mean_users,
    recorded, owes, noticed, meeting_id, internal_id, name, tag, origin, origin_server, breakout_of,
    moved_from)
SELECT x.id, to_timestamp(x.began / 1000.0), to_timestamp(x.joined / 1000.0),
    to_timestamp(x.ended / 1000.0), x.user_ms, x.dial_in_ms, x.gap_ms, p.id, x.peak_users,
    x.peak_voice, x.peak_videos, x.peak_listeners, x.dial_in_callers, x.mean_users, x.recorded,
    x.owes, x.noticed, x.meeting_id, x.internal_id, x.name, x.tag, x.origin, x.origin_server,
    x.breakout_of, x.moved_from
FROM json_to_recordset($1::json) AS x (id uuid, tenant text, server text, began bigint,
    joined bigint, ended bigint, user_ms bigint, dial_in_ms bigint, gap_ms bigint, peak_users int,
    peak_voice int, peak_videos int, peak_listeners int, dial_in_callers int, mean_users real,
    recorded boolean, owes boolean, noticed text, meeting_id text, internal_id text, name text,
    tag text, origin text, origin_server text, breakout_of text, moved_from text)
JOIN appliance.usage_pairs p ON (p.scope, p.tenant, p.server) = (0, x.tenant, x.server)
ON CONFLICT (id) DO UPDATE SET first_join_at = EXCLUDED.first_join_at,
    ended_at = EXCLUDED.ended_at, noticed = EXCLUDED.noticed, user_ms = EXCLUDED.user_ms,
    dial_in_ms = EXCLUDED.dial_in_ms, gap_ms = EXCLUDED.gap_ms, mean_users = EXCLUDED.mean_users,
    peak_users = EXCLUDED.peak_users, peak_voice = EXCLUDED.peak_voice,
    peak_videos = EXCLUDED.peak_videos, peak_listeners = EXCLUDED.peak_listeners,
    dial_in_callers = EXCLUDED.dial_in_callers, recorded = EXCLUDED.recorded, owes = EXCLUDED.owes
WHERE EXCLUDED.user_ms >= meeting_runs.user_ms
"""
_SETTLE = "UPDATE appliance.meeting_runs SET owes = false WHERE id = ANY ($1::uuid[]) AND owes"
# Of an import, also if a user has deleted the recording since.
_SETTLE_ARRIVED = """
WITH owed AS (SELECT * FROM unnest($1::uuid[], $2::text[]) AS x (id, record_id)),
arrived AS (
    SELECT id, record_id FROM owed
    WHERE EXISTS (SELECT FROM public.recordings r WHERE r.record_id = owed.record_id)
),
settled AS (
    UPDATE appliance.meeting_runs m SET owes = false FROM arrived
    WHERE m.internal_id = arrived.record_id AND owes
)
SELECT id FROM arrived
UNION SELECT id FROM owed JOIN appliance.meeting_runs m USING (id) WHERE NOT m.owes
"""
_READ_DEBTS = """
SELECT p.server, m.internal_id, (extract(epoch FROM m.ended_at) * 1000)::bigint
FROM appliance.meeting_runs m JOIN appliance.usage_pairs p ON p.id = m.pair
WHERE m.owes
"""
_READ_DEBT_MEETINGS = "SELECT internal_id, meeting_id FROM appliance.meeting_runs WHERE owes"
_ADD_GAPS = """
INSERT INTO appliance.usage_gaps (server, began_at, ended_at)
SELECT x.server, to_timestamp(x.began / 1000.0), to_timestamp(x.ended / 1000.0)
FROM json_to_recordset($1::json) AS x (server text, began bigint, ended bigint)
ON CONFLICT (server, began_at) DO UPDATE
SET ended_at = greatest(usage_gaps.ended_at, EXCLUDED.ended_at)
"""
_MINUTES = """FROM json_to_recordset($1::json) AS x (tenant text, server text, at bigint,
    meetings int, users int, voice int, videos int, user_ms int, recorded_ms int, dial_in_ms int)"""
_ADD_MINUTES = f"""
INSERT INTO appliance.usage_minutes
SELECT to_timestamp(x.at), p.id, x.meetings, x.users, x.voice, x.videos, x.user_ms, x.recorded_ms,
    x.dial_in_ms
{_MINUTES} JOIN appliance.usage_pairs p ON (p.scope, p.tenant, p.server) = (0, x.tenant, x.server)
ON CONFLICT (at, pair) DO NOTHING
"""
_MARK_HOURS = f"""
INSERT INTO appliance.usage_changed_hours
SELECT DISTINCT to_timestamp(x.at - x.at % 3600) {_MINUTES} ON CONFLICT DO NOTHING
"""
_NEXT_CHANGED_HOURS = """
SELECT at FROM appliance.usage_changed_hours
WHERE at < now() - make_interval(hours => 1, mins => $1) ORDER BY at LIMIT $2
"""
_UNMARK_HOUR = "DELETE FROM appliance.usage_changed_hours WHERE at = $1"
_ADD_TOTAL_PAIRS = """
INSERT INTO appliance.usage_pairs (scope, tenant, server)
SELECT * FROM (
    SELECT DISTINCT CASE WHEN grouping(tenant) = 0 THEN 1 WHEN grouping(server) = 0 THEN 2 ELSE 3
        END AS scope, coalesce(tenant, '') AS tenant, coalesce(server, '') AS server
    FROM appliance.usage_pairs
    WHERE id IN (SELECT pair FROM appliance.usage_minutes
        WHERE at >= $1 AND at < $1::timestamptz + interval '1 hour')
    GROUP BY GROUPING SETS ((tenant), (server), ())
) x
WHERE NOT EXISTS (SELECT FROM appliance.usage_pairs p
    WHERE (p.scope, p.tenant, p.server) = (x.scope, x.tenant, x.server))
ON CONFLICT DO NOTHING
"""
_DELETE_HOUR = "DELETE FROM appliance.usage_hours WHERE at = $1 AND hours = 1"
_ADD_HOUR = """
WITH each AS (
    SELECT grouping(tenant) * 2 + grouping(server) AS totals, tenant, server,
        sum(meetings) AS meetings, sum(users) AS users, sum(voice) AS voice,
        sum(videos) AS videos, sum(user_ms) AS user_ms, sum(recorded_ms) AS recorded_ms,
        sum(dial_in_ms) AS dial_in_ms
    FROM appliance.usage_minutes m JOIN appliance.usage_pairs p ON p.id = m.pair
    WHERE at >= $1 AND at < $1::timestamptz + interval '1 hour'
    GROUP BY GROUPING SETS ((at, tenant, server), (at, tenant), (at, server), (at))
)
INSERT INTO appliance.usage_hours (at, pair, meetings, users, voice, videos, user_ms, recorded_ms,
    dial_in_ms)
SELECT $1, p.id, max(meetings), max(users), max(voice), max(videos), sum(user_ms),
    sum(recorded_ms), sum(dial_in_ms)
FROM each JOIN appliance.usage_pairs p
    ON (p.scope, p.tenant, p.server) = (totals, coalesce(each.tenant, ''),
        coalesce(each.server, ''))
GROUP BY p.id
"""
_OLD_DAYS = """
SELECT DISTINCT date_trunc('day', at, 'UTC') AS day FROM appliance.usage_hours
WHERE hours = 1 AND at < date_trunc('day', now() - make_interval(days => $1), 'UTC')
ORDER BY day LIMIT 10
"""
_MAKE_DAY = """
WITH old AS (
    DELETE FROM appliance.usage_hours
    WHERE at >= $1 AND at < $1::timestamptz + interval '24 hours' RETURNING *
)
INSERT INTO appliance.usage_hours (at, pair, hours, meetings, users, voice, videos, user_ms,
    recorded_ms, dial_in_ms)
SELECT $1::timestamptz, pair, 24, max(meetings), max(users), max(voice), max(videos), sum(user_ms),
    sum(recorded_ms), sum(dial_in_ms)
FROM old GROUP BY pair
"""
_DELETE_OLD = {
    "minutes": """DELETE FROM appliance.usage_minutes WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM appliance.usage_minutes m
        WHERE at < now() - make_interval(secs => $1) AND NOT EXISTS (
            SELECT FROM appliance.usage_changed_hours c
            WHERE c.at = date_trunc('hour', m.at, 'UTC'))
        LIMIT $2))""",
    "runs": """DELETE FROM appliance.meeting_runs WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM appliance.meeting_runs
        WHERE created_at < now() - make_interval(secs => $1) LIMIT $2))""",
    "gaps": """DELETE FROM appliance.usage_gaps WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM appliance.usage_gaps
        WHERE ended_at < now() - make_interval(secs => $1) LIMIT $2))""",
}
_READ_NAMES = """
SELECT id, name FROM appliance.usage_tenants
UNION ALL SELECT DISTINCT tenant, tenant FROM appliance.usage_pairs p
WHERE scope = 0 AND tenant <> '' AND NOT EXISTS (
    SELECT FROM appliance.usage_tenants t WHERE t.id = p.tenant)
"""
_NAME_TENANTS = """
INSERT INTO appliance.usage_tenants (id, name)
SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name
"""

_RECORDING_BYTES = """
SELECT nullif(t.value, ''), sum(s.bytes)::bigint
FROM appliance.recording_sizes s JOIN public.recordings r ON r.record_id = s.record_id
LEFT JOIN public.metadata t ON t.recording_id = r.id AND t.key = 'tenant-id'
WHERE coalesce(r.state, '') <> 'deleted' GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class UsageTable:
    """Writes the tables of usage."""

    database: Database

    async def add_runs(self, entries: Sequence[EndedRun | Gap]) -> None:
        """Write ended runs and gaps, in one transaction."""
        runs: dict[str, dict[str, Any]] = {}
        for row in map(_run_row, _of(EndedRun, entries)):
            before = runs.get(row["id"])
            if before is None or row["user_ms"] >= before["user_ms"]:
                runs[row["id"]] = row
        gaps = {(gap.server, gap.began_ms): gap for gap in _of(Gap, entries)}
        rows = [
            {"server": gap.server, "began": gap.began_ms, "ended": gap.ended_ms}
            for gap in gaps.values()
        ]

        async def work(connection: Connection) -> None:
            if runs:
                await connection.execute(_ADD_PAIRS, _pairs(runs.values()))
                await connection.execute(_ADD_RUNS, dump_rows(list(runs.values())))
            if rows:
                await connection.execute(_ADD_GAPS, dump_rows(rows))

        await self.database.run(work, deadline_s=DEADLINE_S, transaction=True)

    async def add_minutes(self, minutes: Sequence[ServerMinute]) -> None:
        """Write finished minutes of servers, in one transaction."""
        rows = {
            (one.server, one.minute, tenant): {
                "tenant": tenant,
                "server": one.server,
                "at": one.minute * MINUTE_MS // 1000,
                "meetings": sums.meetings,
                "users": sums.users,
                "voice": sums.voice,
                "videos": sums.videos,
                "user_ms": round(sums.user_ms),
                "recorded_ms": round(sums.recorded_ms),
                "dial_in_ms": round(sums.dial_in_ms),
            }
            for one in minutes
            for tenant, sums in one.tenants.items()
        }
        document = dump_rows(list(rows.values()))

        async def work(connection: Connection) -> None:
            await connection.execute(_ADD_PAIRS, _pairs(rows.values()))
            await connection.execute(_MARK_HOURS, document)
            await connection.execute(_ADD_MINUTES, document)

        if rows:
            await self.database.run(work, deadline_s=DEADLINE_S, transaction=True)

    async def roll_up(self) -> None:
        """Compute the hours whose minutes have changed, once they are over."""
        found = await self.database.fetch(_NEXT_CHANGED_HOURS, ROLLUP_DELAY_MIN, _HOURS_AT_ONCE)
        for (at,) in found:

            async def work(connection: Connection, at: object = at) -> None:
                for statement in (_UNMARK_HOUR, _ADD_TOTAL_PAIRS, _DELETE_HOUR, _ADD_HOUR):
                    await connection.execute(statement, at)

            await self.database.run(work, deadline_s=DEADLINE_S, transaction=True)

    async def make_days(self) -> int:
        """Replace the hours of old days by one row each; return the number of days."""
        found = await self.database.fetch(_OLD_DAYS, KEEP_HOURS_DAYS, deadline_s=DEADLINE_S)
        for (day,) in found:
            await self.database.execute(_MAKE_DAY, day, deadline_s=DEADLINE_S)
        return len(found)

    async def delete_old(self, what: str, older_than_s: float) -> bool:
        """Delete a batch of old minutes, runs or gaps; return whether there are more."""
        done = await self.database.execute(
            _DELETE_OLD[what], older_than_s, BATCH, deadline_s=DEADLINE_S
        )
        return done == f"DELETE {BATCH}"

    async def forgive(self, runs: Sequence[tuple[str, str]]) -> None:
        """Note that these runs owe nothing: server and internal id of each."""
        ids = [run_id(*one) for one in runs]
        await self.database.execute(_SETTLE, ids, deadline_s=DEADLINE_S)

    async def settle(self, debts: Debts) -> Debts:
        """Settle the debts whose recording has arrived; return these, and those settled before.

        Each with the time 0, as UsageStore.change_debts takes it.
        """
        asked = {run_id(server, one): (server, one) for server, ids in debts.items() for one in ids}
        ids, record_ids = list(asked), [one for _, one in asked.values()]
        found = await self.database.fetch(_SETTLE_ARRIVED, ids, record_ids, deadline_s=DEADLINE_S)
        settled: Debts = {}
        for (id,) in found:
            server, internal_id = asked[id]
            settled.setdefault(server, {})[internal_id] = 0
        return settled

    async def read_debts(self) -> Debts:
        """Return the recordings that are owed, by the id that their server had then."""
        debts: Debts = {}
        found = await self.database.fetch(_READ_DEBTS, deadline_s=DEADLINE_S)
        for server, internal_id, ended_ms in found:
            debts.setdefault(ServerId(server), {})[internal_id] = ended_ms
        return debts

    async def read_debt_meetings(self) -> dict[str, str]:
        """Return the meetings whose recordings are owed, by internal id."""
        found = await self.database.fetch(_READ_DEBT_MEETINGS, deadline_s=DEADLINE_S)
        return {row[0]: row[1] for row in found}

    async def recording_bytes(self) -> dict[TenantId | None, int]:
        """Return the size of the recordings of each tenant, None: of no tenant."""
        found = await self.database.fetch(_RECORDING_BYTES, deadline_s=DEADLINE_S)
        return {TenantId(tenant) if tenant else None: size for tenant, size in found}

    async def read_names(self) -> dict[str, str]:
        """Return the names of all tenants by id; of one without a name its id."""
        return {row[0]: row[1] for row in await self.database.fetch(_READ_NAMES)}

    async def name_tenants(self, names: Mapping[str, str]) -> None:
        """Remember the names of tenants, of clean_text."""
        await self.database.execute(_NAME_TENANTS, list(names), list(names.values()))


def run_id(server_id: str, internal_id: str) -> uuid.UUID:
    """Return the key of a run in the database."""
    text = f"{server_id}\n{internal_id}".encode("utf-8", "replace")
    return uuid.UUID(bytes=hashlib.md5(text, usedforsecurity=False).digest())


def _run_row(ended: EndedRun) -> dict[str, Any]:
    run, internal_id = ended.run, ended.run.internal_id
    seen_ms = ended.ended_ms - run.began_ms - run.gap_ms
    return {
        "id": str(run_id(ended.server, internal_id)),
        "tenant": run.tenant,
        "server": ended.server,
        "began": run.began_ms,
        "joined": run.first_join_ms or None,
        "ended": max(ended.ended_ms, run.began_ms),
        "user_ms": round(run.user_ms),
        "dial_in_ms": round(run.dial_in_ms),
        "gap_ms": run.gap_ms,
        "peak_users": run.peak_users,
        "peak_voice": run.peak_voice,
        "peak_videos": run.peak_videos,
        "peak_listeners": run.peak_listeners,
        "dial_in_callers": run.peak_dial_in,
        "mean_users": run.user_ms / seen_ms if seen_ms > 0 else run.peak_users,
        "recorded": run.recorded,
        "owes": ended.owes,
        "noticed": ended.noticed,
        "meeting_id": run.meeting_id,
        "internal_id": internal_id,
        **{
            name: getattr(run, name) or None
            for name in ("name", "tag", "origin", "origin_server", "breakout_of", "moved_from")
        },
    }


def _of(kind: type[Any], entries: Sequence[Any]) -> list[Any]:
    return [one for one in entries if isinstance(one, kind)]


def _pairs(rows: Any) -> str:
    pairs = {(row["tenant"], row["server"]) for row in rows}
    return dump_rows([{"tenant": tenant, "server": server} for tenant, server in sorted(pairs)])


def dump_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return JSON that PostgreSQL takes: its texts hold no NUL, and no half of a surrogate pair."""
    return json.dumps(
        [
            {name: clean_text(one) if isinstance(one, str) else one for name, one in row.items()}
            for row in rows
        ]
    )


def clean_text(text: str) -> str:
    """Return a text as PostgreSQL takes it; in Redis there may be any bytes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
