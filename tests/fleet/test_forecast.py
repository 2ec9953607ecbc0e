"""The forecast of the next hour: two hours, remembered, and a database that is away."""

from __future__ import annotations

import trio
import trio.testing

from appliance.fault_log import FaultLog
from appliance.fleet.forecast import KEEP_S, PAUSE_S, PastWeeks
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import open_postgres_store
from appliance.usage.model import DAY_MS, HOUR_MS, MINUTE_MS, ServerMinute, Sums
from appliance.usage.table import UsageTable
from tests.doubles.features import EventBook
from tests.doubles.usage import open_database

EIGHT_MS = 1_760_918_400_000 + 8 * HOUR_MS
"""A Monday at 8:00, UTC."""
WEEK_MS = 7 * DAY_MS


def past_weeks(database: object, zone: str | None = "UTC") -> tuple[PastWeeks, EventBook]:
    book = EventBook()
    return PastWeeks(database, zone, FaultLog(book, lambda: 0)), book  # type: ignore[arg-type]


def minute(at_ms: int, users: int) -> ServerMinute:
    return ServerMinute("a", at_ms // MINUTE_MS, {"": Sums(1, users, 0, 0)})


async def test_next_hour_is_the_greater_of_the_two_that_it_touches(database_url: str) -> None:
    async with open_database(database_url) as database:
        table = UsageTable(database)
        for hours, users in ((-2, 30), (-1, 10), (0, 200), (1, 150)):
            await table.add_minutes([minute(EIGHT_MS + hours * HOUR_MS, users)])
        await table.roll_up()
        past, _ = past_weeks(database)
        monday_ms = EIGHT_MS + WEEK_MS

        found = [
            await past.expect(monday_ms + minutes * MINUTE_MS) for minutes in (-61, -60, 5, 60, 120)
        ]

    assert found == [30, 200, 200, 150, 0]


async def test_hours_that_were_read_are_kept_while_the_database_is_away() -> None:
    async with open_asyncio_loop(tuned=True):
        nowhere = open_postgres_store("postgresql://x@127.0.0.1:1/x", log=EventBook())
        async with nowhere as database:
            past, book = past_weeks(database)
            assert await past.expect(EIGHT_MS) is None
            past._hours = {
                EIGHT_MS // HOUR_MS: (trio.current_time() - 2 * KEEP_S, 40),
                EIGHT_MS // HOUR_MS + 1: (trio.current_time() - 2 * KEEP_S, 50),
            }
            past._failed_s -= 2 * PAUSE_S
            assert await past.expect(EIGHT_MS) == 50
            assert await past.expect(EIGHT_MS + HOUR_MS) is None
            assert len(book.named("forecast_without_database")) == 2


async def test_without_a_database_nothing_is_expected() -> None:
    assert await past_weeks(None)[0].expect(EIGHT_MS) == 0
