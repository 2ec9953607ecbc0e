"""What the report reads of meeting runs: how many, of which meetings; by origin or meeting all.

The statements are written for a month of a million runs. Source: benchmarks/usage.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from appliance.postgres.database import Connection
from appliance.usage.csv_text import PERIODS
from appliance.usage.model import Question, ServerUsage
from appliance.usage.table import dump_rows, run_id

Statement: TypeAlias = tuple[str, tuple[object, ...]]
"""SQL and its arguments; columns k0, k1 … of a row are the key, the others fields of Used."""

_LONGEST_RUN = timedelta(days=30)
_PAIRS = "SELECT id, tenant, server FROM appliance.usage_pairs WHERE scope = 0"
_FIRST_AND_LAST = "SELECT min(created_at), max(created_at) FROM appliance.meeting_runs"
# $1, $2: the period; $3: number of a tenant or null; $4: runs that are not in the database (JSON);
# $5, $6: numbers of tenants and servers (Numbers) by pair, since a join takes as long as all the
# rest; $7: before it no run began that is in the period. Nothing here may keep PostgreSQL from
# using several cores, or from reading an index alone: both parts of `runs` are of the same types.
_RUNS = """
WITH live AS {materialized} (
    SELECT tenant, server, meeting_id COLLATE "C" AS meeting_id, origin COLLATE "C" AS origin,
        to_timestamp(began / 1000.0) AS created_at,
        to_timestamp(seen / 1000.0) AS ended_at, user_ms, dial_in_ms, recorded, peak_users
    FROM json_to_recordset($4::json) AS x (tenant int, server int, meeting_id text, origin text,
        began bigint, seen bigint, user_ms bigint, dial_in_ms bigint, recorded boolean,
        peak_users int)
), runs AS NOT MATERIALIZED (
    SELECT ($5::int[])[r.pair] AS tenant, ($6::int[])[r.pair] AS server,
        r.meeting_id COLLATE "C" AS meeting_id, coalesce(r.origin, '') COLLATE "C" AS origin,
        r.created_at, r.ended_at, r.user_ms, r.dial_in_ms, r.recorded, r.peak_users
    FROM appliance.meeting_runs r
    WHERE r.created_at >= $7 AND r.created_at < $2
        AND (r.ended_at > $1 OR r.created_at >= $1) AND r.breakout_of IS NULL
        AND ($3::int IS NULL OR ($5::int[])[r.pair] = $3)
    UNION ALL
    SELECT * FROM live
    WHERE created_at < $2 AND (ended_at > $1 OR created_at >= $1) AND ($3 IS NULL OR tenant = $3)
)
"""
# Two tenants may have meetings of the same id.
_COUNTS = """
SELECT {keys}, sum(n)::bigint AS meetings, count(*) AS distinct_meetings
FROM (SELECT {expressions}, count(*) AS n FROM runs WHERE created_at >= $1
    GROUP BY {numbers}, tenant, meeting_id) each
GROUP BY {keys}
"""
# Each period by itself, whose meetings fit into the caches of a processor. $8, $9: the first and
# the last create.
_COUNTS_IN_TIME = """
SELECT found.* FROM generate_series(date_trunc('{period}', greatest($1, $8::timestamptz)),
    least($2 - interval '1 millisecond', $9), interval '1 {period}') AS period,
LATERAL (
    SELECT {keys}, sum(n)::bigint AS meetings, count(*) AS distinct_meetings
    FROM (SELECT {expressions}, count(*) AS n FROM runs
        WHERE created_at >= greatest(period, $1) AND created_at < period + interval '1 {period}'
        GROUP BY {numbers}, tenant, meeting_id) each
    GROUP BY {keys}
) found
"""
# The part of a run that is in the period; by hour, day or month its part in each of them: the first
# and the last, and between these, seldom, whole ones.
_WHOLE = "(SELECT *, greatest(created_at, $1) AS from_at, least(ended_at, $2) AS to_at FROM runs)"
_PARTS = """(
    SELECT runs.*, part.* FROM runs,
    LATERAL (SELECT greatest(created_at, $1) AS from_at, least(ended_at, $2) AS to_at) whole,
    LATERAL (SELECT {first} AS first, {last} AS last) periods,
    LATERAL (
        SELECT first AS period, from_at, least(to_at, first + interval '1 {period}') AS to_at
        UNION ALL
        SELECT at, at, at + interval '1 {period}' FROM generate_series(
            first + interval '1 {period}', last - interval '1 {period}', interval '1 {period}') at
        WHERE last > first + interval '1 {period}'
        UNION ALL
        SELECT last, last, to_at WHERE last > first AND to_at > last
    ) part
)"""
_SHARES = """(SELECT *, CASE WHEN from_at = created_at AND to_at = ended_at THEN 1.0::float8
    ELSE date_part('epoch', to_at - from_at) / date_part('epoch', ended_at - created_at)
    END AS share FROM {parts} parts) shared"""
_SUMS = """sum(user_ms * share) AS user_ms, sum(dial_in_ms * share) AS dial_in_ms,
    1000 * sum(date_part('epoch', to_at) - date_part('epoch', from_at)) FILTER (WHERE recorded)
        AS recorded_ms"""
_TIMES = f"SELECT {{expressions}}, {_SUMS} FROM {_SHARES} GROUP BY {{numbers}}"
_COUNTS_AND_TIMES = f"""
SELECT {{keys}}, sum(meetings)::bigint AS meetings,
    count(*) FILTER (WHERE meetings > 0) AS distinct_meetings, sum(user_ms) AS user_ms,
    sum(dial_in_ms) AS dial_in_ms, sum(recorded_ms) AS recorded_ms{{peaks}}
FROM (
    SELECT {{expressions}}, count(*) FILTER (WHERE from_at = created_at) AS meetings, {_SUMS},
        max(peak_users) AS peak_users
    FROM {_SHARES} GROUP BY {{numbers}}, tenant, meeting_id
) each
GROUP BY {{keys}}
"""
# A meeting has one run at a time.
_MEETING_PEAKS = ", max(peak_users) AS peak_users, 1 AS peak_meetings"
# By origin peaks are at most so many: each run counts with its greatest number of users while it
# lasts, by the minute.
_CHANGES = """
, changes AS (
    SELECT {expressions}, CASE WHEN sign > 0 THEN date_bin('1 minute', from_at, '2000-01-01 00:00Z')
        ELSE date_bin('1 minute', greatest(from_at, to_at - interval '1 millisecond'),
            '2000-01-01 00:00Z') + interval '1 minute' END AS at,
        sum(sign * peak_users)::int AS users, sum(sign)::int AS runs
    FROM {whole} runs, unnest(ARRAY[1, -1]) sign
    GROUP BY {numbers}, at
)"""
_RUNNING = """(
    SELECT {keys}, at, sum(users) OVER each AS users, sum(runs) OVER each AS runs
    FROM {changes} changes WINDOW each AS (PARTITION BY {keys} ORDER BY at)
) running"""
_PEAKS = f"""{_CHANGES}
SELECT {{keys}}, max(users)::bigint AS peak_users, max(runs)::bigint AS peak_meetings
FROM {_RUNNING} GROUP BY {{keys}}
"""
# What runs at the beginning of a period is known by a change of 0 there.
_PEAKS_IN_TIME = f"""{_CHANGES}, begins AS (
    SELECT at FROM (SELECT min(at) AS from_at, max(at) AS to_at FROM changes) bounds,
        generate_series({{first}}, to_at, interval '1 {{period}}') AS at
), in_time AS (
    SELECT * FROM changes
    UNION ALL SELECT {{keys}}, at, 0, 0 FROM (SELECT DISTINCT {{keys}} FROM changes) known, begins
)
SELECT {{keys}}, {{at}} AS {{period_key}}, max(users)::bigint AS peak_users,
    max(runs)::bigint AS peak_meetings
FROM {_RUNNING} WHERE runs > 0 GROUP BY {{keys}}, {{period_key}}
"""
_STORED = "SELECT id FROM appliance.meeting_runs WHERE id = ANY ($1::uuid[])"


async def select_runs(
    connection: Connection, question: Question, live: Mapping[str, ServerUsage]
) -> RunSelection:
    """Return the runs that a question is about; `live` are those of servers in Redis."""
    live_runs = _live_runs(live)
    stored = {row[0] for row in await connection.fetch(_STORED, list(live_runs))}
    runs = [run for id, run in live_runs.items() if id not in stored]
    numbers = Numbers()
    for row in await connection.fetch(_PAIRS):
        numbers.add_pair(*row)
    first_and_last = await connection.fetchrow(_FIRST_AND_LAST)
    return RunSelection(question, numbers, runs, *(first_and_last or (None, None)))


class Numbers:
    """Numbers in place of the ids of tenants and servers, which statements group faster."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._known: dict[str, int] = {}
        self._pairs: dict[int, tuple[int, int]] = {}

    def of(self, id: str) -> int:
        """Return the number of an id."""
        number = self._known.setdefault(id, len(self.ids))
        if number == len(self.ids):
            self.ids.append(id)
        return number

    def add_pair(self, pair: int, tenant: str, server: str) -> None:
        """Add a row of usage_pairs."""
        self._pairs[pair] = self.of(tenant), self.of(server)

    def by_pair(self) -> tuple[list[int], list[int]]:
        """Return the numbers of tenants and servers as arrays that the numbers of pairs index.

        They have no NULL: PostgreSQL finds an element of an array with one only by counting.
        """
        pairs = [
            self._pairs.get(pair, (-1, -1)) for pair in range(1, max(self._pairs, default=0) + 1)
        ]
        return [one[0] for one in pairs], [one[1] for one in pairs]


class RunSelection:
    """The runs that a question is about."""

    def __init__(
        self,
        question: Question,
        numbers: Numbers,
        live: Sequence[Mapping[str, Any]],
        first: datetime | None,
        last: datetime | None,
    ) -> None:
        self.question, self.numbers = question, numbers
        tenant = None if question.tenant is None else numbers.of(question.tenant)
        rows = [
            {**run, "tenant": numbers.of(run["tenant"]), "server": numbers.of(run["server"])}
            for run in live
        ]
        begin, end = bounds(question)
        pairs = numbers.by_pair()
        earliest = begin - _LONGEST_RUN
        self._arguments = begin, end, tenant, dump_rows(rows), *pairs, earliest
        known = [_time(run["began"]) for run in live]
        known += [one for one in (first, last) if one is not None]
        self._first_and_last = (min(known), max(known)) if known else bounds(question)[::-1]

    def statements(self) -> list[Statement]:
        """Return the statements that answer what these runs can tell."""
        by = self.question.by
        in_time = any(name in PERIODS for name in by)
        parts = _PARTS if in_time else _WHOLE
        if "meeting" in by:
            return [self._statement(_COUNTS_AND_TIMES, parts, peaks=_MEETING_PEAKS)]
        found = []
        if in_time:
            found.append(self._statement(_COUNTS_IN_TIME, "", *self._first_and_last))
        elif "origin" not in by:
            found.append(self._statement(_COUNTS, ""))
        if "origin" in by and in_time:
            peaks = self._statement(_PEAKS_IN_TIME, "", changes="in_time")
            found += [self._statement(_TIMES, parts), peaks]
        elif "origin" in by:
            found.append(self._statement(_COUNTS_AND_TIMES, parts, peaks=""))
            found.append(self._statement(_PEAKS, "", changes="changes"))
        return found

    def _statement(self, text: str, parts: str, *arguments: object, **more: str) -> Statement:
        """Return a statement on the runs; `parts`: _WHOLE, _PARTS, or empty."""
        by = self.question.by
        period = next((name for name in by if name in PERIODS), "")
        # Read once if it is needed for each period, else where several processes can read it.
        runs = _RUNS.format(materialized="MATERIALIZED" if arguments else "NOT MATERIALIZED")
        columns = {"origin": "origin", "meeting": "meeting_id"}
        names = dict(enumerate(by))
        if "changes" in more:  # of which the periods are made later
            names = {number: name for number, name in names.items() if name != period}
        ends = {"first": floor_time(period, "from_at"), "last": floor_time(period, "to_at")}
        text = text.format(
            **group_by(names, at="period", **columns),
            **(ends | more),
            period=period,
            parts=parts.format(period=period, **ends),
            whole=_WHOLE,
            at=floor_time(period, "at"),
            period_key=f"k{by.index(period)}" if period else "",
        )
        return runs + text, (*self._arguments, *arguments)


def bounds(question: Question) -> tuple[datetime, datetime]:
    """Return the period of a question."""
    return _time(question.from_ms), _time(question.to_ms)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def floor_time(period: str, at: str) -> str:
    """Return the SQL of the beginning of the period in which a time lies, in sessions of UTC."""
    if period == "month":
        return f"date_trunc('month', {at})"
    return f"date_bin('1 {period}', {at}, '2000-01-01 00:00Z')"  # half the time


def group_by(by: Mapping[int, str], *, at: str, **columns: str) -> dict[str, str]:
    """Return the parts of a statement that group by these dimensions, numbered as in the key."""
    expressions = []
    for number, name in by.items():
        source = columns.get(name, name)
        if name in PERIODS:
            source = at if at == "period" else floor_time(name, at)
        expressions.append(f"{source} AS k{number}")
    return {
        "keys": ", ".join(f"k{number}" for number in by),
        "expressions": ", ".join(expressions),
        "numbers": ", ".join(str(number + 1) for number in range(len(by))),
    }


def _live_runs(live: Mapping[str, ServerUsage]) -> dict[uuid.UUID, dict[str, Any]]:
    return {
        run_id(server, run.internal_id): {
            "tenant": run.tenant,
            "server": server,
            "meeting_id": run.meeting_id,
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
