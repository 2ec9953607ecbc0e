"""Answers what was used: by tenant, server, origin, meeting, hour, day or month; and its history.

Runs count in the period in which they began. User-minutes, recorded and dial-in minutes count when
they passed: they are those of the samples, and by origin and meeting those of the runs, as far as
they overlap the period. What is not in the database yet is added from Redis. Recordings are those
that are stored now. Breakout rooms do not count. Source: docs/tenants.md.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from appliance.postgres.database import Connection, Database, Record
from appliance.usage.model import MINUTE_MS, Gap, ServerUsage
from appliance.usage.table import run_id

PERIODS = {"hour": "%Y-%m-%dT%H:00", "day": "%Y-%m-%d", "month": "%Y-%m"}
"""Formats of their beginnings, all in UTC."""
_SETTINGS = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET LOCAL work_mem = '96MB';
SET LOCAL jit = off;
SET LOCAL plan_cache_mode = force_custom_plan;
"""
"""All statements see the same runs. With the default of 4 MB a million runs are sorted on disk,
which takes three times as long; compiling statements takes longer than it saves."""
DEADLINE_S = 14.0

_LONGEST_RUN = "30 days"
# $1, $2: the period; $3: tenant or null; $4: runs that are not in the database, as JSON. Tenants
# and servers are hashes of their ids, in arrays by pair: a join takes as long as all the rest.
_RUNS = f"""
WITH pairs AS MATERIALIZED (
    SELECT array_agg(hashtextextended(tenant, 0) ORDER BY n) AS tenants,
        array_agg(hashtextextended(server, 0) ORDER BY n) AS servers
    FROM generate_series(1, (SELECT max(id) FROM appliance.usage_pairs)) AS n
    LEFT JOIN appliance.usage_pairs p ON p.id = n
), runs AS NOT MATERIALIZED (
    SELECT (SELECT tenants FROM pairs)[r.pair] AS tenant,
        (SELECT servers FROM pairs)[r.pair] AS server, r.meeting_id COLLATE "C" AS meeting_id,
        coalesce(r.origin, '') COLLATE "C" AS origin, r.created_at, r.ended_at, r.user_ms,
        r.dial_in_ms, r.recorded, r.peak_users
    FROM appliance.meeting_runs r
    WHERE r.created_at >= $1::timestamptz - interval '{_LONGEST_RUN}' AND r.created_at < $2
        AND r.ended_at >= $1 AND r.breakout_of IS NULL
        AND ($3::text IS NULL
            OR (SELECT tenants FROM pairs)[r.pair] = hashtextextended($3, 0))
    UNION ALL
    SELECT hashtextextended(x.tenant, 0), hashtextextended(x.server, 0), x.meeting_id, x.origin,
        to_timestamp(x.began / 1000.0), to_timestamp(x.seen / 1000.0), x.user_ms, x.dial_in_ms,
        x.recorded, x.peak_users
    FROM json_to_recordset($4::json) AS x (tenant text, server text, meeting_id text, origin text,
        began bigint, seen bigint, user_ms bigint, dial_in_ms bigint, recorded boolean,
        peak_users int)
    WHERE x.began < extract(epoch FROM $2::timestamptz) * 1000
        AND x.seen >= extract(epoch FROM $1::timestamptz) * 1000
        AND ($3::text IS NULL OR x.tenant = $3)
)
"""
# Of a million meetings two have the same hash once in 37 million answers.
_MEETING = "hashtextextended(meeting_id, tenant)"
_COUNTS = f"""
SELECT {{keys}}, sum(n)::bigint AS meetings, count(*) AS distinct_meetings
FROM (SELECT {{expressions}}, {_MEETING} AS meeting, count(*) AS n
    FROM runs WHERE created_at >= $1 GROUP BY {{numbers}}, meeting) each
GROUP BY {{keys}}
"""
# The same if a meeting has few runs in each group: sorting them takes half the time.
_COUNTS_IN_TIME = f"""
SELECT {{keys}}, count(*) AS meetings, count(DISTINCT meeting) AS distinct_meetings
FROM (SELECT {{expressions}}, {_MEETING} AS meeting
    FROM runs WHERE created_at >= $1 OFFSET 0) each
GROUP BY {{keys}}
"""
# The part of a run that is in the period, and how much of that was recorded.
_SHARES = """(SELECT {expressions}, *, CASE
        WHEN created_at >= $1 AND ended_at <= $2 OR ended_at <= created_at THEN 1.0::float8
        ELSE date_part('epoch', least(ended_at, $2) - greatest(created_at, $1))
            / date_part('epoch', ended_at - created_at) END AS share,
    CASE WHEN recorded THEN 1000 * date_part('epoch', least(ended_at, $2)
        - greatest(created_at, $1)) ELSE 0 END AS recorded_ms FROM runs)"""
_SUMS = """sum(user_ms * share) AS user_ms, sum(dial_in_ms * share) AS dial_in_ms,
    sum(recorded_ms) AS recorded_ms"""
# By meeting, each of which has one run at a time.
_MEETINGS = f"""
SELECT {{keys}}, sum(meetings)::bigint AS meetings,
    count(*) FILTER (WHERE meetings > 0) AS distinct_meetings, sum(user_ms) AS user_ms,
    sum(dial_in_ms) AS dial_in_ms, sum(recorded_ms) AS recorded_ms,
    max(peak_users) AS peak_users, 1 AS peak_meetings
FROM (SELECT {{keys}}, tenant, count(*) FILTER (WHERE created_at >= $1) AS meetings, {_SUMS},
        max(peak_users) AS peak_users
    FROM {_SHARES} each GROUP BY {{keys}}, tenant) each
GROUP BY {{keys}}
"""
# By origin. Peaks are at most so many: each run counts with its greatest number of users while it
# lasts, by the minute.
_ORIGINS = f"""
, begun AS (
    SELECT {{keys}}, date_bin('1 minute', greatest(created_at, $1), '2000-01-01 00:00Z') AS at,
        sum(peak_users)::int AS users, count(*)::int AS runs, {_SUMS}
    FROM {_SHARES} each GROUP BY {{keys}}, at
), changes AS (
    SELECT {{keys}}, at, users, runs FROM begun
    UNION ALL
    SELECT {{expressions}}, date_bin('1 minute', ended_at, '2000-01-01 00:00Z')
        + interval '1 minute' AS at, -sum(peak_users)::int, -count(*)::int
    FROM runs GROUP BY {{numbers}}, at
), steps AS (
    SELECT {{keys}}, at, sum(users)::int AS users, sum(runs)::int AS runs
    FROM changes GROUP BY {{keys}}, at
), peaks AS (
    SELECT {{keys}}, max(users)::bigint AS peak_users, max(runs)::bigint AS peak_meetings
    FROM (SELECT {{keys}}, sum(users) OVER each AS users, sum(runs) OVER each AS runs
        FROM steps WINDOW each AS (PARTITION BY {{keys}} ORDER BY at)) running
    GROUP BY {{keys}}
)
SELECT * FROM peaks JOIN (SELECT {{keys}}, sum(user_ms) AS user_ms, sum(dial_in_ms) AS dial_in_ms,
    sum(recorded_ms) AS recorded_ms FROM begun GROUP BY {{keys}}) sums USING ({{keys}})
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
# What the hashes of tenants and servers are of; $1: ids of runs that are not in the database.
_NAMES = """
SELECT hashtextextended(id, 0), id FROM (SELECT tenant FROM appliance.usage_pairs
    UNION SELECT server FROM appliance.usage_pairs UNION SELECT unnest($1::text[])) ids (id)
"""
_STORED = "SELECT id FROM appliance.meeting_runs WHERE id = ANY ($1::uuid[])"
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
    live_runs = _live_runs(live)

    async def work(connection: Connection) -> UsageAnswer:
        await connection.execute(_SETTINGS)
        stored = {row[0] for row in await connection.fetch(_STORED, list(live_runs))}
        runs = [run for id, run in live_runs.items() if id not in stored]
        names: dict[int, str] = {}
        if "tenant" in question.by or "server" in question.by:
            ids = [run[name] for run in runs for name in ("tenant", "server")]
            names.update((row[0], row[1]) for row in await connection.fetch(_NAMES, ids))
        for statement, arguments in _statements(question, runs, live):
            for record in await connection.fetch(statement, *arguments):
                _add(lines, record, question.by, names)
        gaps = await connection.fetch(_GAPS, *_bounds(question))
        found = sorted(lines.values(), key=lambda line: line.key)
        return UsageAnswer(found, [Gap(*row) for row in gaps])

    return await database.run(work, deadline_s=DEADLINE_S, transaction=True)


def _statements(
    question: Question, live_runs: Sequence[Mapping[str, Any]], live: Mapping[str, ServerUsage]
) -> list[tuple[str, tuple[object, ...]]]:
    by = question.by
    in_time = any(name in PERIODS for name in by)
    bounds = (*_bounds(question), question.tenant)
    runs = (*bounds, json.dumps(live_runs))
    grouped = _grouping(by, at="created_at", origin="origin", meeting="meeting_id")
    found: list[tuple[str, tuple[object, ...]]] = []
    if "meeting" in by:
        found.append((_RUNS + _MEETINGS.format(**grouped), runs))
    else:
        counts = _COUNTS_IN_TIME if in_time else _COUNTS
        found.append((_RUNS + counts.format(**grouped), runs))
        if "origin" in by:
            found.append((_RUNS + _ORIGINS.format(**grouped), runs))
        else:
            found.append(_samples(question, live))
    if "server" not in by:
        own = {"tenant": "coalesce(t.value, '')", "origin": "coalesce(o.value, '')"}
        grouped = _grouping(
            by, at="(r.starttime AT TIME ZONE 'UTC')", meeting="r.meeting_id", **own
        )
        found.append((_RECORDINGS.format(**grouped), (*bounds, in_time)))
    return found


def _samples(question: Question, live: Mapping[str, ServerUsage]) -> tuple[str, tuple[object, ...]]:
    by = question.by
    tenant, server = "tenant" in by or question.tenant is not None, "server" in by
    scope = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
    parts = {"tenant": "p.tenant" if tenant else "''", "server": "p.server" if server else "''"}
    statement = _SAMPLES.format(**_grouping(by, at="at"), **parts)
    minutes = json.dumps(_live_minutes(live))
    return statement, (*_bounds(question), question.tenant, minutes, scope[tenant, server])


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


def _live_runs(live: Mapping[str, ServerUsage]) -> dict[uuid.UUID, dict[str, Any]]:
    return {
        run_id(server, run.internal_id): {
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
    }


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


def _add(
    lines: dict[tuple[str, ...], Used],
    record: Record,
    by: Sequence[str],
    names: Mapping[int, str],
) -> None:
    values = dict(record)
    key = tuple(_key(values.pop(f"k{number}"), name, names) for number, name in enumerate(by))
    line = lines.setdefault(key, Used(key))
    for name, value in values.items():
        setattr(line, name, value or 0)


def _key(value: Any, name: str, names: Mapping[int, str]) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(PERIODS[name])
    return names[value] if isinstance(value, int) else str(value or "")
