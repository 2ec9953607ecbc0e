"""The SQL of what the report reads of meeting runs. Pure; run_report.py puts the parts together.

It is written for a month of a million runs. Source: benchmarks/usage.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.usage.csv_text import PERIODS

SOURCES = {"origin": "origin", "meeting": "meeting_id"}
"""Columns of runs that have another name than their dimension."""
_COLUMNS = """tenant, server, meeting_id, origin, created_at, ended_at, user_ms, dial_in_ms,
    recorded, peak_users"""
# $1, $2: the period; $3: number of a tenant or null; $4, $5: numbers of tenants and servers
# (Numbers) by pair, since a join takes as long as all the rest. Nothing here may keep PostgreSQL
# from using several cores, or from reading an index alone.
STORED_RUNS = """(
    SELECT ($4::int[])[r.pair] AS tenant, ($5::int[])[r.pair] AS server,
        r.meeting_id COLLATE "C" AS meeting_id, coalesce(r.origin, '') COLLATE "C" AS origin,
        r.created_at, r.ended_at, r.user_ms, r.dial_in_ms, r.recorded, r.peak_users
    FROM appliance.meeting_runs r
    WHERE r.created_at >= {begin} AND r.created_at < least({end}, $2)
        AND (r.ended_at > $1 OR r.created_at >= $1) AND r.breakout_of IS NULL
        AND ($3::int IS NULL OR ($4::int[])[r.pair] = $3)
) runs"""
LIVE_RUNS = """(
    SELECT tenant, server, meeting_id COLLATE "C" AS meeting_id, origin COLLATE "C" AS origin,
        to_timestamp(began / 1000.0) AS created_at, to_timestamp(seen / 1000.0) AS ended_at,
        user_ms, dial_in_ms, recorded, peak_users
    FROM json_to_recordset({live}) AS x (tenant int, server int, meeting_id text,
        origin text, began bigint, seen bigint, user_ms bigint, dial_in_ms bigint,
        recorded boolean, peak_users int)
) live"""
ALL_RUNS = f"(SELECT * FROM {STORED_RUNS} UNION ALL SELECT * FROM {LIVE_RUNS}) runs"

# The part of a run that is in the period; by hour, day or month its part in each of them: the first
# and the last, and between these, seldom, whole ones.
WHOLE = f"""SELECT {_COLUMNS}, greatest(created_at, $1) AS from_at, least(ended_at, $2) AS to_at
    FROM {{runs}}"""
LAST = "greatest(from_at, to_at - interval '1 microsecond')"
"""A time in the last period: a run that ends with one has no part in the next."""
_PERIODS_OF = f"(SELECT *, {{first}} AS first, {{last}} AS last FROM ({WHOLE}) whole) bounded"
PARTS = f"""
    SELECT {_COLUMNS}, from_at, least(to_at, first + interval '1 {{period}}') AS to_at,
        first AS period FROM {_PERIODS_OF}
    UNION ALL
    SELECT {_COLUMNS}, last, to_at, last FROM {_PERIODS_OF} WHERE last > first
    UNION ALL
    SELECT {_COLUMNS}, at, at + interval '1 {{period}}', at FROM {_PERIODS_OF}, generate_series(
        first + interval '1 {{period}}', last - interval '1 {{period}}', interval '1 {{period}}') at
    WHERE last > first + interval '1 {{period}}'
"""
_SHARES = """(SELECT *, CASE WHEN from_at = created_at AND to_at = ended_at THEN 1.0::float8
    ELSE date_part('epoch', to_at - from_at) / date_part('epoch', ended_at - created_at)
    END AS share FROM ({parts}) parts) shared"""
_SUMS = """sum(user_ms * share) AS user_ms,
    sum(dial_in_ms * share) FILTER (WHERE dial_in_ms > 0) AS dial_in_ms,
    1000 * sum(date_part('epoch', to_at) - date_part('epoch', from_at)) FILTER (WHERE recorded)
        AS recorded_ms"""
_ADDED = "sum(user_ms) AS user_ms, sum(dial_in_ms) AS dial_in_ms, sum(recorded_ms) AS recorded_ms"

# Meetings by themselves, since two tenants may have meetings of the same id. {each} is one of the
# next three, or what MERGED makes of it for stored and for live runs: a million rows of a UNION
# take longer than the groups made of them.
COUNTS = """
SELECT {keys}, sum(n)::bigint AS meetings, count(*) AS distinct_meetings FROM ({each}) each
GROUP BY {keys}
"""
EACH_COUNT = """SELECT {expressions}, tenant, meeting_id, count(*) AS n FROM {runs}
    WHERE created_at >= $1 GROUP BY {numbers}, tenant, meeting_id"""
# Runs of the same first and last period together, since these are few: what
# they have in the first, in the last, and in a second of those between.
TIMES = f"""
SELECT {{expressions}}, {_ADDED}
FROM ({{each}}) each, LATERAL (
    SELECT first AS period, user_ms_1 AS user_ms, dial_in_ms_1 AS dial_in_ms,
        recorded_ms_1 AS recorded_ms
    UNION ALL SELECT last, user_ms_2, dial_in_ms_2, recorded_ms_2 WHERE last > first
    UNION ALL SELECT at, user_ms_3 * length, dial_in_ms_3 * length, recorded_3 * 1000 * length
    FROM generate_series(first + interval '1 {{period}}', last - interval '1 {{period}}',
            interval '1 {{period}}') at,
        LATERAL (SELECT date_part('epoch', at + interval '1 {{period}}' - at) AS length) whole
) part GROUP BY {{numbers}}
"""
_SECONDS = "date_part('epoch', {})".format
_RUN_S = _SECONDS("ended_at - created_at")
_SHARE_1 = f"""CASE WHEN first = last AND from_at = created_at AND to_at = ended_at
        THEN 1.0::float8 ELSE {_SECONDS("first_to - from_at")} / {_RUN_S} END"""
_SHARE_2 = f"{_SECONDS('to_at - last')} / {_RUN_S}"
EACH_TIME = f"""SELECT {{columns}}, first, last,
    sum(user_ms * {_SHARE_1}) AS user_ms_1,
    sum(dial_in_ms * {_SHARE_1}) FILTER (WHERE dial_in_ms > 0) AS dial_in_ms_1,
    1000 * sum({_SECONDS("first_to - from_at")}) FILTER (WHERE recorded) AS recorded_ms_1,
    sum(user_ms * {_SHARE_2}) FILTER (WHERE last > first) AS user_ms_2,
    sum(dial_in_ms * {_SHARE_2}) FILTER (WHERE last > first AND dial_in_ms > 0) AS dial_in_ms_2,
    1000 * sum({_SECONDS("to_at - last")}) FILTER (WHERE last > first AND recorded)
        AS recorded_ms_2,
    sum(user_ms / {_RUN_S}) FILTER (WHERE last > first_to) AS user_ms_3,
    sum(dial_in_ms / {_RUN_S}) FILTER (WHERE last > first_to AND dial_in_ms > 0) AS dial_in_ms_3,
    count(*) FILTER (WHERE last > first_to AND recorded) AS recorded_3
FROM (SELECT *, least(to_at, first + interval '1 {{period}}') AS first_to
    FROM {_PERIODS_OF}) bounded
GROUP BY {{columns}}, first, last"""
COUNTS_AND_TIMES = f"""
SELECT {{keys}}, sum(n)::bigint AS meetings, count(*) FILTER (WHERE n > 0) AS distinct_meetings,
    {_ADDED}{{peaks}}
FROM ({{each}}) each GROUP BY {{keys}}
"""
EACH_COUNT_AND_TIME = f"""SELECT {{expressions}}, tenant, meeting_id,
        count(*) FILTER (WHERE from_at = created_at) AS n, {_SUMS}, max(peak_users) AS peak_users
    FROM {_SHARES} GROUP BY {{numbers}}, tenant, meeting_id"""
MERGED = {
    COUNTS: """SELECT {keys}, tenant, meeting_id, sum(n) AS n FROM ({each}) unmerged
    GROUP BY {keys}, tenant, meeting_id""",
    TIMES: "{each}",
    COUNTS_AND_TIMES: f"""SELECT {{keys}}, tenant, meeting_id, sum(n) AS n, {_ADDED},
        max(peak_users) AS peak_users
    FROM ({{each}}) unmerged GROUP BY {{keys}}, tenant, meeting_id""",
}
MEETING_PEAKS = ", max(peak_users) AS peak_users, 1 AS peak_meetings"
"""A meeting has one run at a time."""

# By origin peaks are at most so many: each run counts with its greatest number of users while it
# lasts, by the minute, up to a millisecond before its end; that is subtracted from the minutes of
# all runs together, not from the end of each.
CHANGES = f"""
SELECT key, at, sum(users)::int AS users, sum(runs)::int AS runs
FROM (
    SELECT {{expressions}}, date_bin('1 minute', from_at, '2000-01-01 00:00Z') AS at,
        sum(peak_users) AS users, count(*) AS runs
    FROM ({WHOLE}) whole GROUP BY {{numbers}}, at
    UNION ALL
    SELECT {{keys}}, at + interval '59.999 seconds', -users, -runs
    FROM (
        SELECT {{expressions}}, date_bin('1 minute', CASE WHEN to_at > from_at THEN to_at
                ELSE from_at + interval '1 millisecond' END, '2000-01-01 00:00:00.001Z') AS at,
            sum(peak_users) AS users, count(*) AS runs
        FROM ({WHOLE}) whole GROUP BY {{numbers}}, at
    ) ended
) each JOIN {{known}} USING ({{keys}})
GROUP BY key, at
"""
KNOWN = "(SELECT {casts}, key FROM unnest({arrays}) WITH ORDINALITY AS known ({keys}, key)) known"
# One running sum does for all keys, one after the other, since the changes of each add up to 0: to
# sort by one number takes a third of the time of sorting by several values.
PEAKS = """
SELECT {keys}, {period_key}peak_users, peak_meetings
FROM (
    SELECT key, {period}max(users)::bigint AS peak_users, max(runs)::bigint AS peak_meetings
    FROM (
        SELECT key, at, sum(users) OVER each AS users, sum(runs) OVER each AS runs
        FROM ({changes}) changes
        WINDOW each AS (ORDER BY key * 1000000000000 + date_part('epoch', at)::bigint)
    ) running
    WHERE runs > 0 GROUP BY {period_key}key
) most JOIN {known} USING (key)
"""
BEGINS = """SELECT key, at, 0, 0 FROM {known}, generate_series({first}, {last},
    interval '1 {period}') AS at"""
"""Meetings that run at the beginning of a period are known by a change of 0 there."""


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
    without_period = [columns.get(name, name) for name in by.values() if name not in PERIODS]
    return {
        "columns": ", ".join(without_period),
        "keys": ", ".join(f"k{number}" for number in by),
        "expressions": ", ".join(expressions),
        "numbers": ", ".join(str(number + 1) for number in range(len(by))),
    }
