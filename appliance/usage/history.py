"""The history of the pool: for charts, for forecasts, and for `simulate --from-history`.

Numbers are the greatest within a step; those of several servers are added up by minute. Where
servers were not polled there is a gap, not a zero. Source: docs/tenants.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from statistics import median

from appliance.postgres.database import Database
from appliance.usage.model import MINUTE_MS

WEEK = timedelta(weeks=1)
BUSIEST_OF = timedelta(weeks=4)
FORECAST_WEEKS = 4
MAX_POINTS = 5_000
DEADLINE_S = 14.0

# $1, $2: the period; $3: servers or null; $4: seconds of a step. Hours are read where the minutes
# are deleted, or where a step is at least as long.
_POINTS = """
WITH gaps AS (
    SELECT began_at, ended_at FROM appliance.usage_gaps
    WHERE ended_at > $1 AND began_at < $2 AND ($3::text[] IS NULL OR server = ANY ($3))
), samples AS (
    SELECT m.at, m.meetings, m.users, m.voice, m.videos
    FROM appliance.usage_minutes m JOIN appliance.usage_pairs p ON p.id = m.pair
    WHERE $4 < 3600 AND m.at >= $1 AND m.at < $2 AND ($3::text[] IS NULL OR p.server = ANY ($3))
    UNION ALL
    SELECT m.at, m.meetings, m.users, m.voice, m.videos
    FROM appliance.usage_changed_hours c
    JOIN appliance.usage_minutes m ON m.at >= c.at AND m.at < c.at + interval '1 hour'
    JOIN appliance.usage_pairs p ON p.id = m.pair
    WHERE $4 >= 3600 AND m.at >= $1 AND m.at < $2 AND ($3::text[] IS NULL OR p.server = ANY ($3))
    UNION ALL
    SELECT h.at, h.meetings, h.users, h.voice, h.videos
    FROM appliance.usage_hours h JOIN appliance.usage_pairs p ON p.id = h.pair
    WHERE $4 >= 3600 AND h.at >= $1 AND h.at < $2
        AND h.at NOT IN (SELECT at FROM appliance.usage_changed_hours)
        AND CASE WHEN $3::text[] IS NULL THEN p.scope = 3
            ELSE p.scope = 2 AND p.server = ANY ($3) END
), added AS (
    SELECT at, sum(meetings) AS meetings, sum(users) AS users, sum(voice) AS voice,
        sum(videos) AS videos
    FROM samples GROUP BY at
), steps AS (
    SELECT floor(extract(epoch FROM at) / $4)::bigint AS step, max(meetings) AS meetings,
        max(users) AS users, max(voice) AS voice, max(videos) AS videos
    FROM added GROUP BY 1
)
SELECT step::bigint AS step, coalesce(meetings, 0)::int AS meetings,
    coalesce(users, 0)::int AS users, coalesce(voice, 0)::int AS voice,
    coalesce(videos, 0)::int AS videos,
    EXISTS (SELECT FROM gaps WHERE began_at < to_timestamp((step + 1) * $4)
        AND ended_at > to_timestamp(step * $4)) AS gap
FROM generate_series(floor(extract(epoch FROM $1::timestamptz) / $4)::bigint,
    ceil(extract(epoch FROM $2::timestamptz) / $4)::bigint - 1) AS step
LEFT JOIN steps USING (step) ORDER BY step
"""
_FIRST = """SELECT least((SELECT min(at) FROM appliance.usage_minutes),
    (SELECT min(at) FROM appliance.usage_hours))"""
_SAME_HOURS = """
SELECT h.at, h.users FROM appliance.usage_hours h
JOIN appliance.usage_pairs p ON p.id = h.pair
WHERE p.scope = 3 AND h.hours = 1 AND h.at = ANY ($1::timestamptz[])
"""
_CLASSES = """
SELECT created_at, round(extract(epoch FROM ended_at - created_at) / 60)::int AS minutes,
    peak_users
FROM appliance.meeting_runs
WHERE created_at >= $1 AND created_at < $2 AND peak_users > 0 AND breakout_of IS NULL
    AND moved_from IS NULL
ORDER BY created_at
"""
_USUAL_LENGTH = """
SELECT round(1000 * extract(epoch FROM
    percentile_disc(0.95) WITHIN GROUP (ORDER BY ended_at - created_at)))::bigint
FROM appliance.meeting_runs
WHERE created_at >= to_timestamp($1 / 1000.0) AND peak_users > 0 AND breakout_of IS NULL
"""
_BUSIEST_DAY = """
SELECT date_trunc('day', at, 'UTC') AS day FROM appliance.usage_hours h
JOIN appliance.usage_pairs p ON p.id = h.pair
WHERE p.scope = 3 AND h.hours = 1 AND at >= $1 AND at < $2 ORDER BY users DESC, at DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a history."""

    at_ms: int
    meetings: int | None
    """None, like the others: it is not known, because of a gap or before the first record."""
    users: int | None
    voice: int | None
    videos: int | None


@dataclass(frozen=True, slots=True)
class PastClass:
    """A meeting run of the past, as a row of a timetable."""

    start_min: int
    """Minutes since midnight, UTC."""
    minutes: int
    users: int
    count: int


async def read_history(
    database: Database, servers: Sequence[str] | None, from_ms: int, to_ms: int, step_ms: int
) -> list[Point]:
    """Return a point for each step, of these servers together or of the whole pool (None).

    Steps are multiples of a minute. Steps of less than an hour are known for 8 days; the last
    minutes are still missing. Raises DatabaseDown; ValueError: no multiple, or too many points.
    """
    if step_ms <= 0 or step_ms % MINUTE_MS or not 0 < to_ms - from_ms <= MAX_POINTS * step_ms:
        raise ValueError("a step must be minutes, and a history have 1 to 5000 points")
    listed = None if servers is None else list(servers)
    times = datetime.fromtimestamp(from_ms / 1000, UTC), datetime.fromtimestamp(to_ms / 1000, UTC)
    first = await database.fetchrow(_FIRST, deadline_s=DEADLINE_S)
    first_ms = 1000 * first[0].timestamp() if first is not None and first[0] else to_ms
    found = await database.fetch(_POINTS, *times, listed, step_ms // 1000, deadline_s=DEADLINE_S)
    points = []
    for step, *numbers, gap in found:
        at_ms = step * step_ms
        unknown = at_ms + step_ms <= first_ms or (gap and not numbers[0])
        points.append(Point(at_ms, *((None,) * 4 if unknown else numbers)))
    return points


async def longest_usual_meeting(database: Database, since_ms: int) -> int | None:
    """Return the milliseconds that 95 % of the meetings since then took at most; None: no meetings.

    Raises DatabaseDown.
    """
    found = await database.fetchrow(_USUAL_LENGTH, since_ms, deadline_s=DEADLINE_S)
    return None if found is None or found[0] is None else int(found[0])


def same_hours(at_ms: int, weeks: int, zone: tzinfo | None) -> list[datetime]:
    """Return the hours (UTC) of the last weeks in which a clock in that zone showed the same.

    zone: None is that of the machine. Usage is kept by full hours of UTC; where the zone is half an
    hour off, those are meant in which the time lies.
    """
    local = datetime.fromtimestamp(at_ms / 1000, zone)  # without a zone, in that of the machine
    past = [(local - number * WEEK).timestamp() for number in range(1, weeks + 1)]
    return [datetime.fromtimestamp(at_s // 3600 * 3600, UTC) for at_s in past]


async def forecast_hour(database: Database, at_ms: int, zone: tzinfo | None = UTC) -> int:
    """Return the users to expect in the hour of a time; 0: nothing is known of it.

    The median of the same hour of the last weeks: those without any meeting in it count as zero,
    those before the first record do not count. Raises DatabaseDown.
    """
    hours = same_hours(at_ms, FORECAST_WEEKS, zone)
    first = await database.fetchrow(_FIRST, deadline_s=DEADLINE_S)
    known = [one for one in hours if first is not None and first[0] and one >= first[0]]
    found = {row[0]: row[1] for row in await database.fetch(_SAME_HOURS, known)}
    return round(median(found.get(one, 0) for one in known)) if known else 0


async def find_busiest_day(database: Database, now_ms: int) -> datetime | None:
    """Return the day of the last four weeks with the most users at once; None: nothing is known."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    row = await database.fetchrow(_BUSIEST_DAY, now - BUSIEST_OF, now)
    return None if row is None else row[0]


async def list_classes(database: Database, day: datetime) -> list[PastClass]:
    """Return the meetings of a day (UTC) as a timetable, equal ones together.

    Raises DatabaseDown.
    """
    found = await database.fetch(_CLASSES, day, day + timedelta(days=1), deadline_s=DEADLINE_S)
    counts: dict[tuple[int, int, int], int] = {}
    for created_at, minutes, users in found:
        row = created_at.hour * 60 + created_at.minute, max(5, minutes), users
        counts[row] = counts.get(row, 0) + 1
    return [PastClass(*row, count) for row, count in counts.items()]
