"""Answers what was used: by tenant, server, origin, meeting, hour, day or month.

Runs count in the period in which they began. User-minutes, recorded and dial-in minutes count when
they passed: they are those of the samples, and by origin and meeting those of the runs, as far as
they overlap the period. Usage that is not in the database yet is added from Redis. Recordings are
those that are stored now. Breakout rooms do not count. Source: docs/tenants.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import trio

from appliance.postgres.database import Connection, Database, Record
from appliance.system.threads import map_in_slices, run_counted
from appliance.usage.model import MINUTE_MS, Gap, Question, ServerUsage
from appliance.usage.run_report import Statement, bounds, select_runs
from appliance.usage.run_sql import group_by
from appliance.usage.table import dump_rows

_PERIOD_FORMATS = {"hour": "%Y-%m-%dT%H:00", "day": "%Y-%m-%d", "month": "%Y-%m"}
"""Formats of their beginnings, all in UTC."""
_SETTINGS = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET LOCAL TimeZone = 'UTC';
SET LOCAL work_mem = '96MB';
SET LOCAL jit = off;
SET LOCAL random_page_cost = 1.1;
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL parallel_leader_participation = off;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL parallel_setup_cost = 10000;
SET LOCAL enable_sort = off;
"""
"""All statements see the same runs. With the default of 4 MB a million runs are sorted on disk,
which takes three times as long; compiling statements takes longer than it saves; with the default
of 4, for disks that turn, the index of the peaks by origin is not read. What two processes have
found is merged sooner than what three have; spans of time are shared by processes that are started
once, not for each span; and runs are hashed sooner than they are sorted, also where PostgreSQL
expects too many groups."""
MAX_LINES = 200_000
"""So many lines take some 200 MB."""
DEADLINE_S = 12.0

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
_ASK_LESS = "ask for a shorter time, for one tenant, or by less"
_GAPS = """
SELECT server, (extract(epoch FROM began_at) * 1000)::bigint, (extract(epoch FROM ended_at) *
    1000)::bigint FROM appliance.usage_gaps WHERE began_at < $2 AND ended_at > $1 ORDER BY 2, 1
"""


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


class QuestionTooLarge(Exception):
    """The answer would be too long, or take too long. `str()` says what to ask instead."""


async def answer(
    database: Database, question: Question, live: Mapping[str, ServerUsage]
) -> UsageAnswer:
    """Return what was used. `live`: the states of servers in Redis.

    Raises DatabaseDown, QuestionTooLarge.
    """

    async def work(connection: Connection) -> tuple[Sequence[str], list[Record], list[Record]]:
        await connection.execute(_SETTINGS)
        runs = await select_runs(connection, question, live)
        found: list[Record] = []
        for one in runs.statements():
            found += await _fetch(connection, one)
        if (peaks := runs.peaks(found)) is not None:
            found += await _fetch(connection, peaks)
        for one in _other_statements(question, live):
            found += await _fetch(connection, one)
        return runs.numbers.ids, found, await connection.fetch(_GAPS, *bounds(question))

    with trio.move_on_after(DEADLINE_S) as limit:
        names, records, gaps = await database.run(work, deadline_s=2 * DEADLINE_S, transaction=True)
    if limit.cancelled_caught:
        raise QuestionTooLarge(f"not answered within {DEADLINE_S:g} s: {_ASK_LESS}")
    lines: dict[tuple[str, ...], Used] = {}
    await map_in_slices(lambda record: _add(lines, record, question.by, names), records)
    found = await run_counted(len(lines), lambda: sorted(lines.values(), key=lambda line: line.key))
    return UsageAnswer(found, [Gap(*row) for row in gaps])


async def _fetch(connection: Connection, one: Statement) -> list[Record]:
    statement, arguments = one
    limited = f"SELECT * FROM ({statement}) found LIMIT {MAX_LINES + 1}"
    records: list[Record] = await connection.fetch(limited, *arguments)
    if len(records) > MAX_LINES:
        raise QuestionTooLarge(f"there are more than {MAX_LINES:,} lines: {_ASK_LESS}")
    return records


def _other_statements(question: Question, live: Mapping[str, ServerUsage]) -> list[Statement]:
    found = []
    if not {"meeting", "origin"} & {*question.by}:
        found.append(_samples(question, live))
    if "server" not in question.by:
        found.append(_recordings(question))
    return found


def _recordings(question: Question) -> Statement:
    in_time = any(name in _PERIOD_FORMATS for name in question.by)
    columns = {
        "meeting": "r.meeting_id",
        "tenant": "coalesce(t.value, '')",
        "origin": "coalesce(o.value, '')",
    }
    grouped = group_by(
        dict(enumerate(question.by)), at="(r.starttime AT TIME ZONE 'UTC')", **columns
    )
    return _RECORDINGS.format(**grouped), (*bounds(question), question.tenant, in_time)


def _samples(question: Question, live: Mapping[str, ServerUsage]) -> Statement:
    by = question.by
    tenant, server = "tenant" in by or question.tenant is not None, "server" in by
    scope = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
    parts = {"tenant": "p.tenant" if tenant else "''", "server": "p.server" if server else "''"}
    statement = _SAMPLES.format(**group_by(dict(enumerate(by)), at="at"), **parts)
    minutes = dump_rows(_live_minutes(live))
    return statement, (*bounds(question), question.tenant, minutes, scope[tenant, server])


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
    names: Sequence[str],
) -> None:
    values = dict(record)
    key = tuple(_key(values.pop(f"k{number}"), name, names) for number, name in enumerate(by))
    line = lines.setdefault(key, Used(key))
    for name, value in values.items():
        setattr(line, name, value or 0)


def _key(value: Any, name: str, names: Sequence[str]) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(_PERIOD_FORMATS[name])
    return names[value] if isinstance(value, int) else str(value or "")
