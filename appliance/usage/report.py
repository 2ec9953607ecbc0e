"""Answers what was used: by tenant, server, origin, meeting, hour, day or month; and its history.

Runs count in the period in which they began. User-minutes, recorded and dial-in minutes count when
they passed: they are those of the samples, and by origin and meeting those of the runs, as far as
they overlap the period. What is not in the database yet is added from Redis. Recordings are those
that are stored now. Breakout rooms do not count. Source: docs/tenants.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from appliance.postgres.database import Connection, Database, Record
from appliance.usage.model import MINUTE_MS, Gap, ServerUsage
from appliance.usage.table import run_id

PERIODS = {"hour": "%Y-%m-%dT%H:00", "day": "%Y-%m-%d", "month": "%Y-%m"}
"""Formats of their beginnings, all in UTC."""
_MEMORY = "SET LOCAL work_mem = '96MB'"
"""With the default of 4 MB a million runs are sorted on disk, which takes three times as long."""
DEADLINE_S = 14.0

_LONGEST_RUN = "30 days"
# $1, $2: the period; $3: tenant or null; $4: runs that are not in the database, as JSON.
_RUNS = f"""
WITH runs AS (
    SELECT p.tenant COLLATE "C" AS tenant, p.server COLLATE "C" AS server,
        r.meeting_id COLLATE "C" AS meeting_id, coalesce(r.origin, '') COLLATE "C" AS origin,
        r.created_at, r.ended_at, r.user_ms, r.dial_in_ms, r.recorded, r.peak_users
    FROM appliance.meeting_runs r JOIN appliance.usage_pairs p ON p.id = r.pair
    WHERE r.created_at >= $1::timestamptz - interval '{_LONGEST_RUN}' AND r.created_at < $2
        AND r.ended_at >= $1 AND r.breakout_of IS NULL AND ($3::text IS NULL OR p.tenant = $3)
    UNION ALL
    SELECT x.tenant, x.server, x.meeting_id, x.origin, to_timestamp(x.began / 1000.0),
        to_timestamp(x.seen / 1000.0), x.user_ms, x.dial_in_ms, x.recorded, x.peak_users
    FROM json_to_recordset($4::json) AS x (id uuid, tenant text, server text, meeting_id text,
        origin text, began bigint, seen bigint, user_ms bigint, dial_in_ms bigint,
        recorded boolean, peak_users int)
    WHERE x.began < extract(epoch FROM $2::timestamptz) * 1000
        AND x.seen >= extract(epoch FROM $1::timestamptz) * 1000
        AND ($3::text IS NULL OR x.tenant = $3)
        AND NOT EXISTS (SELECT FROM appliance.meeting_runs r WHERE r.id = x.id)
)
"""
_COUNTS = """
SELECT {keys}, sum(n)::bigint AS meetings, count(*) AS distinct_meetings
FROM (SELECT {expressions}, tenant AS t, meeting_id AS m, count(*) AS n
    FROM runs WHERE created_at >= $1 GROUP BY {numbers}, t, m) each
GROUP BY {keys}
"""
# The part of a run that is in the period.
_SHARE = """CASE WHEN created_at >= $1 AND ended_at <= $2 OR ended_at <= created_at THEN 1.0
    ELSE extract(epoch FROM least(ended_at, $2) - greatest(created_at, $1))
        / extract(epoch FROM ended_at - created_at) END"""
_RUN_SUMS = f"""
SELECT {{keys}}, sum(user_ms * share)::float8 AS user_ms, sum(dial_in_ms * share)::float8
    AS dial_in_ms, sum(CASE WHEN recorded THEN extract(epoch FROM least(ended_at, $2)
        - greatest(created_at, $1)) * 1000 ELSE 0 END)::float8 AS recorded_ms
FROM (SELECT {{expressions}}, *, ({_SHARE}) AS share FROM runs) each GROUP BY {{keys}}
"""
# A meeting has one run at a time.
_MEETING_PEAKS = """
SELECT {keys}, max(peak_users) AS peak_users, 1 AS peak_meetings
FROM (SELECT {expressions}, peak_users FROM runs) each GROUP BY {keys}
"""
# At most so many: each run counts with its greatest number of users while it lasts.
_RUN_PEAKS = """
, changes AS (
    SELECT {expressions}, date_bin('1 minute', greatest(created_at, $1), '2000-01-01 00:00Z') AS at,
        peak_users AS users, 1 AS meetings FROM runs
    UNION ALL
    SELECT {expressions}, date_bin('1 minute', ended_at, '2000-01-01 00:00Z') + interval '1 minute',
        -peak_users, -1
    FROM runs
), steps AS (SELECT {keys}, at, sum(users) AS users, sum(meetings) AS meetings
    FROM changes GROUP BY {keys}, at)
SELECT {keys}, max(users)::bigint AS peak_users, max(meetings)::bigint AS peak_meetings
FROM (SELECT {keys}, sum(users) OVER each AS users, sum(meetings) OVER each AS meetings
    FROM steps WINDOW each AS (PARTITION BY {keys} ORDER BY at)) running
GROUP BY {keys}
"""
# $4: minutes that are not in the database, as JSON; $5: scope.
_SAMPLES = """
WITH samples AS (
    SELECT h.at, p.tenant, p.server, h.meetings, h.users, h.user_ms, h.recorded_ms, h.dial_in_ms
    FROM appliance.usage_hours h JOIN appliance.usage_pairs p ON p.id = h.pair
    WHERE p.scope = $5 AND ($3::text IS NULL OR p.tenant = $3) AND h.at >= $1 AND h.at < $2
        AND h.at NOT IN (SELECT at FROM appliance.usage_changed_hours)
    UNION ALL
    SELECT at, tenant, server, sum(meetings), sum(users), sum(user_ms), sum(recorded_ms),
        sum(dial_in_ms)
    FROM (
        SELECT m.at, {tenant} AS tenant, {server} AS server, m.meetings, m.users, m.user_ms,
            m.recorded_ms, m.dial_in_ms
        FROM appliance.usage_changed_hours c
        JOIN appliance.usage_minutes m ON m.at >= c.at AND m.at < c.at + interval '1 hour'
        JOIN appliance.usage_pairs p ON p.id = m.pair
        WHERE m.at >= $1 AND m.at < $2 AND ($3::text IS NULL OR p.tenant = $3)
        UNION ALL
        SELECT to_timestamp(p.at), {tenant}, {server}, p.meetings, p.users, p.user_ms,
            p.recorded_ms, p.dial_in_ms
        FROM json_to_recordset($4::json) AS p (tenant text, server text, at bigint, meetings int,
            users int, user_ms bigint, recorded_ms bigint, dial_in_ms bigint)
        WHERE to_timestamp(p.at) >= $1 AND to_timestamp(p.at) < $2
            AND ($3::text IS NULL OR p.tenant = $3)
            AND NOT EXISTS (SELECT FROM appliance.usage_minutes m
                JOIN appliance.usage_pairs k ON k.id = m.pair
                WHERE m.at = to_timestamp(p.at)
                    AND (k.scope, k.tenant, k.server) = (0, p.tenant, p.server))
    ) minutes GROUP BY at, tenant, server
)
SELECT {expressions}, max(meetings)::bigint AS peak_meetings, max(users)::bigint AS peak_users,
    sum(user_ms)::float8 AS user_ms, sum(recorded_ms)::float8 AS recorded_ms,
    sum(dial_in_ms)::float8 AS dial_in_ms
FROM samples GROUP BY {numbers}
"""
_RECORDINGS = """
SELECT {expressions}, sum(s.bytes)::bigint AS recording_bytes
FROM appliance.recording_sizes s JOIN public.recordings r ON r.record_id = s.record_id
LEFT JOIN public.metadata t ON t.recording_id = r.id AND t.key = 'tenant-id'
LEFT JOIN public.metadata o ON o.recording_id = r.id AND o.key = 'bbb-origin'
WHERE coalesce(r.state, '') <> 'deleted' AND ($3::text IS NULL OR coalesce(t.value, '') = $3)
    AND (NOT $4 OR (r.starttime >= $1 AT TIME ZONE 'UTC' AND r.starttime < $2 AT TIME ZONE 'UTC'))
GROUP BY {numbers}
"""
_GAPS = """
SELECT server, (extract(epoch FROM began_at) * 1000)::bigint, (extract(epoch FROM ended_at) *
    1000)::bigint FROM appliance.usage_gaps WHERE began_at < $2 AND ended_at > $1 ORDER BY 2, 1
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    from_ms: int
    to_ms: int
    """Exclusive. Both are at full hours, UTC."""
    by: tuple[str, ...] = ("tenant",)
    """Of csv_text.DIMENSIONS."""
    tenant: str | None = None
    """Id; None: all."""


@dataclass(slots=True)
class Used:
    """One line of an answer; `key` has a value for each of `Question.by`."""

    key: tuple[str, ...]
    meetings: int = 0
    distinct_meetings: int = 0
    user_ms: float = 0.0
    peak_users: int = 0
    peak_meetings: int = 0
    recorded_ms: float = 0.0
    recording_bytes: int = 0
    dial_in_ms: float = 0.0


@dataclass(slots=True)
class UsageAnswer:
    """The answer to a question."""

    lines: list[Used]
    gaps: list[Gap]
    """Times in which servers were not polled although they may have had meetings."""


async def answer(
    database: Database, question: Question, live: Mapping[str, ServerUsage]
) -> UsageAnswer:
    """Return what was used. `live`: the states of servers in Redis. Raises DatabaseDown."""
    lines: dict[tuple[str, ...], Used] = {}

    async def work(connection: Connection) -> UsageAnswer:
        await connection.execute(_MEMORY)
        for statement, arguments in _statements(question, live):
            for record in await connection.fetch(statement, *arguments):
                _add(lines, record, question.by)
        gaps = await connection.fetch(_GAPS, *_bounds(question))
        found = sorted(lines.values(), key=lambda line: line.key)
        return UsageAnswer(found, [Gap(*row) for row in gaps])

    return await database.run(work, deadline_s=DEADLINE_S, transaction=True)


def _statements(
    question: Question, live: Mapping[str, ServerUsage]
) -> list[tuple[str, tuple[object, ...]]]:
    by = question.by
    bounds = (*_bounds(question), question.tenant)
    runs = (*bounds, json.dumps(_live_runs(live)))
    grouped = _grouping(by, at="created_at", origin="origin", meeting="meeting_id")
    found: list[tuple[str, tuple[object, ...]]] = [(_RUNS + _COUNTS.format(**grouped), runs)]
    if "origin" in by or "meeting" in by:
        found.append((_RUNS + _RUN_SUMS.format(**grouped), runs))
        peaks = _MEETING_PEAKS if "meeting" in by else _RUN_PEAKS
        found.append((_RUNS + peaks.format(**grouped), runs))
    else:
        tenant, server = "tenant" in by or question.tenant is not None, "server" in by
        scope = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
        parts = {
            "tenant": "p.tenant" if tenant else "''",
            "server": "p.server" if server else "''",
        }
        statement = _SAMPLES.format(**_grouping(by, at="at"), **parts)
        found.append((statement, (*bounds, json.dumps(_live_minutes(live)), scope[tenant, server])))
    if "server" not in by:
        own = {"tenant": "coalesce(t.value, '')", "origin": "coalesce(o.value, '')"}
        grouped = _grouping(
            by, at="(r.starttime AT TIME ZONE 'UTC')", meeting="r.meeting_id", **own
        )
        in_period = any(name in PERIODS for name in by)
        found.append((_RECORDINGS.format(**grouped), (*bounds, in_period)))
    return found


def _bounds(question: Question) -> tuple[datetime, datetime]:
    return _time(question.from_ms), _time(question.to_ms)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _grouping(by: Sequence[str], *, at: str, **columns: str) -> dict[str, str]:
    """Return the parts of a statement that group by these dimensions."""
    expressions = []
    for number, name in enumerate(by):
        source = columns.get(name, name)
        if name in PERIODS:
            source = f"date_trunc('month', {at}, 'UTC')"
            if name != "month":  # half the time
                source = f"date_bin('1 {name}', {at}, '2000-01-01 00:00Z')"
        expressions.append(f"{source} AS k{number}")
    return {
        "keys": ", ".join(f"k{number}" for number in range(len(by))),
        "expressions": ", ".join(expressions),
        "numbers": ", ".join(str(number + 1) for number in range(len(by))),
    }


def _live_runs(live: Mapping[str, ServerUsage]) -> list[dict[str, Any]]:
    return [
        {
            "id": str(run_id(server, run.internal_id)),
            "tenant": run.tenant,
            "server": server,
            "meeting_id": run.meeting_id.replace("\0", ""),
            "origin": run.origin,
            "began": run.began_ms,
            "seen": max(state.polled_ms, run.began_ms),
            "user_ms": round(run.user_ms),
            "dial_in_ms": round(run.dial_in_ms),
            "recorded": run.recorded,
            "peak_users": run.peak_users,
        }
        for server, state in live.items()
        for run in state.runs
        if not run.breakout_of and not run.lost
    ]


def _live_minutes(live: Mapping[str, ServerUsage]) -> list[dict[str, Any]]:
    return [
        {
            "tenant": tenant,
            "server": server,
            "at": minute * MINUTE_MS // 1000,
            "meetings": sums.meetings,
            "users": sums.users,
            "user_ms": round(sums.user_ms),
            "recorded_ms": round(sums.recorded_ms),
            "dial_in_ms": round(sums.dial_in_ms),
        }
        for server, state in live.items()
        for minute, tenants in state.minutes.items()
        for tenant, sums in tenants.items()
    ]


def _add(lines: dict[tuple[str, ...], Used], record: Record, by: Sequence[str]) -> None:
    values = dict(record)
    key = tuple(_key(values.pop(f"k{number}"), name) for number, name in enumerate(by))
    line = lines.setdefault(key, Used(key))
    for name, value in values.items():
        setattr(line, name, value or 0)


def _key(value: Any, name: str) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(PERIODS[name])
    return str(value or "")
