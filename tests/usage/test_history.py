"""The history of the pool: points, gaps, forecasts."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from appliance.usage.history import (
    PastClass,
    find_busiest_day,
    forecast_hour,
    list_classes,
    longest_usual_meeting,
    read_history,
    same_hours,
)
from appliance.usage.model import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    EndedRun,
    Gap,
    ServerMinute,
    Sums,
    UsageRun,
)
from appliance.usage.table import UsageTable
from tests.doubles.usage import open_database

MONDAY_MS = 1_760_918_400_000
"""2025-10-20, in UTC."""
EIGHT_MS = MONDAY_MS + 8 * HOUR_MS


def minutes(server: str, begin_ms: int, users: list[int], tenant: str = "") -> list[ServerMinute]:
    return [
        ServerMinute(server, begin_ms // MINUTE_MS + number, {tenant: Sums(1, count, 2, 1)})
        for number, count in enumerate(users)
    ]


async def test_history_adds_servers_up_and_shows_gaps(database_url: str) -> None:
    async with open_database(database_url) as database:
        table = UsageTable(database)
        await table.add_minutes(minutes("a", EIGHT_MS, [5, 9, 7, 0, 0, 1]))
        await table.add_minutes(minutes("b", EIGHT_MS, [1, 1, 4, 0, 0, 2], "t"))
        away = EIGHT_MS + 10 * MINUTE_MS
        await table.add_runs([Gap("b", away, away + 20 * MINUTE_MS)])
        await table.add_minutes(minutes("a", away, [3]))

        step = 3 * MINUTE_MS
        pool = await read_history(database, None, EIGHT_MS - step, EIGHT_MS + 10 * step, step)
        one = await read_history(database, ["b"], EIGHT_MS, EIGHT_MS + 2 * step, step)
        for _ in range(2):  # read from minutes, then from hours
            hours = await read_history(
                database, None, EIGHT_MS - HOUR_MS, EIGHT_MS + 2 * HOUR_MS, HOUR_MS
            )
            assert [point.users for point in hours] == [None, 11, 0]
            servers = await read_history(
                database, ["a", "b"], EIGHT_MS, EIGHT_MS + HOUR_MS, HOUR_MS
            )
            assert servers[0].meetings == 2
            await table.roll_up()

    assert [point.users for point in pool] == [
        *(None, 11, 3, 0, 3),  # nothing is known before the first record
        *([None] * 6),  # a gap, but for what another server had
    ]
    assert [(point.users, point.meetings) for point in one] == [(4, 1), (2, 1)]
    assert pool[1].at_ms == EIGHT_MS


async def test_history_of_odd_steps_is_refused(database_url: str) -> None:
    async with open_database(database_url) as database:
        for step in (0, 1000, MINUTE_MS // 2):
            with pytest.raises(ValueError, match="step"):
                await read_history(database, None, 0, DAY_MS, step)


async def test_forecast_is_made_of_the_same_hour_of_the_last_weeks(database_url: str) -> None:
    async with open_database(database_url) as database:
        table = UsageTable(database)
        for week, users in enumerate((100, 140, 120)):
            await table.add_minutes(minutes("a", EIGHT_MS + week * 7 * DAY_MS, [users, 1]))
        await table.roll_up()

        monday = EIGHT_MS + 3 * 7 * DAY_MS
        assert await forecast_hour(database, monday) == 120
        assert await forecast_hour(database, monday + HOUR_MS) == 0
        assert await forecast_hour(database, MONDAY_MS) == 0
        busiest = await find_busiest_day(database, monday)
        assert busiest is not None
        assert f"{busiest:%Y-%m-%d}" == "2025-10-27"


@pytest.mark.parametrize(
    ("zone", "at", "hours"),
    [
        ("UTC", "2025-11-03T08:30Z", ["10-27T08", "10-20T08", "10-13T08"]),
        # Eight o'clock in Berlin is an hour earlier in UTC before daylight saving time ends.
        ("Europe/Berlin", "2025-11-03T07:00Z", ["10-27T07", "10-20T06", "10-13T06"]),
        ("Europe/Berlin", "2025-04-01T06:00Z", ["03-25T07", "03-18T07", "03-11T07"]),
        # Half an hour off: the hours of UTC in which that time lies.
        ("Asia/Kolkata", "2025-11-03T02:30Z", ["10-27T02", "10-20T02", "10-13T02"]),
        # 2:30 did not exist a week before.
        ("Europe/Berlin", "2025-04-06T00:30Z", ["03-30T01", "03-23T01", "03-16T01"]),
    ],
)
def test_same_hours_are_those_of_the_clock_of_the_users(
    zone: str, at: str, hours: list[str]
) -> None:
    at_ms = round(datetime.fromisoformat(at).timestamp() * 1000)

    found = same_hours(at_ms, 3, ZoneInfo(zone))

    assert [f"{one:%m-%dT%H}" for one in found] == hours
    assert {one.utcoffset() for one in found} == {timedelta()}


def test_same_hours_without_a_zone_are_those_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_ms = round(datetime.fromisoformat("2025-11-03T07:00Z").timestamp() * 1000)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        found = same_hours(at_ms, 2, None)
    time.tzset()

    assert [f"{one:%m-%dT%H}" for one in found] == ["10-27T07", "10-20T06"]


async def test_longest_usual_meeting_is_longer_than_95_of_100(database_url: str) -> None:
    async with open_database(database_url) as database:
        assert await longest_usual_meeting(database, 0) is None
        runs = [
            EndedRun(
                "a",
                UsageRun(
                    id=f"m{number}",
                    created=number,
                    began_ms=EIGHT_MS,
                    peak_users=users,
                    meeting_id=f"m{number}",
                    tenant="",
                    breakout_of=parent,
                ),
                EIGHT_MS + length * MINUTE_MS,
                "poll",
            )
            for number, (length, users, parent) in enumerate(
                [
                    *((minute, 3, "") for minute in range(1, 101)),
                    *[(999, 0, "")] * 50,
                    *[(999, 5, "x")] * 50,
                ]
            )
        ]
        await UsageTable(database).add_runs(runs)

        assert await longest_usual_meeting(database, 0) == 95 * MINUTE_MS
        assert await longest_usual_meeting(database, EIGHT_MS + 1) is None


async def test_classes_of_a_day_are_a_timetable(database_url: str) -> None:
    async with open_database(database_url) as database:
        table = UsageTable(database)
        runs = []
        for number, (users, moved) in enumerate([(20, ""), (20, ""), (7, ""), (3, "b"), (0, "")]):
            began = EIGHT_MS + (number == 2) * HOUR_MS + number
            run = UsageRun(
                f"r{number}", began, began, f"r{number}", peak_users=users, moved_from=moved
            )
            runs.append(EndedRun("a", run, began + 50 * MINUTE_MS, "poll"))
        await table.add_runs(runs)
        day = await database.fetchrow("SELECT '2025-10-20 00:00Z'::timestamptz")
        assert day is not None

        found = await list_classes(database, day[0])

    assert found == [PastClass(480, 50, 20, 2), PastClass(540, 50, 7, 1)]
