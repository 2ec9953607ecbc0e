"""The history of the pool: points, gaps, forecasts."""

from __future__ import annotations

import pytest

from appliance.usage.history import (
    Forecast,
    PastClass,
    find_busiest_day,
    forecast_hour,
    list_classes,
    read_history,
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
        assert await forecast_hour(database, monday) == Forecast(120, 140, 1, 3)
        assert await forecast_hour(database, monday + HOUR_MS) == Forecast(0, 0, 0, 3)
        assert await forecast_hour(database, MONDAY_MS) == Forecast(0, 0, 0, 0)
        busiest = await find_busiest_day(database, monday)
        assert busiest is not None
        assert f"{busiest:%Y-%m-%d}" == "2025-10-27"


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
