"""A school week, replayed on a real Redis and PostgreSQL and compared with what really happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from appliance.fault_log import FaultLog
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import open_postgres_store
from appliance.simulation.traces import DAY_MS, HOUR_MS
from appliance.usage.deps import UsageDeps
from appliance.usage.model import Question
from appliance.usage.report import answer
from appliance.usage.store import UsageStore
from appliance.usage.table import UsageTable
from appliance.usage.writer import close_unpolled, write_waiting
from tests.doubles.features import EventBook, open_features
from tests.doubles.school_week import (
    DAYS,
    INTERVAL_MS,
    MONDAY_MS,
    TENANTS,
    Clock,
    Replay,
    Week,
)


@asynccontextmanager
async def open_usage(
    redis_url: str, namespace: str, database_url: str, clock: Any = None, **variables: Any
) -> AsyncIterator[UsageDeps]:
    """Give usage on real stores."""
    async with (
        open_features(redis_url, namespace, **variables) as features,
        open_asyncio_loop(tuned=True),
        open_postgres_store(database_url, log=EventBook()) as database,
    ):
        await database.wait_ready()
        now_ms = clock or features.now_ms
        yield UsageDeps(
            settings=features.settings,
            log=features.log,
            faults=FaultLog(features.log, now_ms),
            now_ms=now_ms,
            pool=features.pool,
            tenants=features.tenants,
            store=UsageStore(features.redis.background),
            table=UsageTable(database),
            instance="one",
        )


async def test_school_week_is_added_up_within_a_poll_interval_per_user(
    redis_url: str, redis_namespace: str, database_url: str
) -> None:
    """Two appliances in turn, a restart, a server that is lost, and no database for a day."""
    clock, week = Clock(), Week()
    async with open_usage(redis_url, redis_namespace, database_url, clock) as deps:
        others = replace(deps, states={})
        replay = Replay(week, [deps, others], clock)
        lost_ms = MONDAY_MS + 2 * DAY_MS + 8 * HOUR_MS + 20 * 60_000
        replay.lost["bbb-2"] = (lost_ms, lost_ms + HOUR_MS)

        def each_hour(now_ms: int) -> Any:
            day = (now_ms - MONDAY_MS) // DAY_MS
            others.states.clear()  # a restart
            return write_waiting(deps) if day not in (1, 2) else None

        await replay.run(each_hour)
        clock.now_ms += HOUR_MS
        await _remove_all(deps)
        for _ in range(DAYS):
            await deps.table.roll_up()
        whole = Question(MONDAY_MS, MONDAY_MS + 7 * DAY_MS)
        found = {line.key[0]: line for line in (await answer(deps.table.database, whole, {})).lines}
        by_day = await answer(deps.table.database, replace(whole, by=("tenant", "day")), {})

    assert set(found) == set(TENANTS)
    for tenant in TENANTS:
        line, classes = found[tenant], week.of(tenant)
        joins = week.users(tenant) + sum(one.session.size for one in classes if one.moved_from)
        assert line.meetings == sum(len(one.runs) for one in classes) > len(classes)
        assert line.distinct_meetings == len(classes)
        assert abs(line.user_ms - week.user_ms(tenant)) <= joins * INTERVAL_MS
        # The bound is never reached: errors of many users cancel.
        assert abs(line.user_ms - week.user_ms(tenant)) <= 0.02 * week.user_ms(tenant)
        exact, most = week.peak(tenant, INTERVAL_MS)
        assert 0.95 * exact <= line.peak_users <= most
        days = {one.key[1]: one.user_ms for one in by_day.lines if one.key[0] == tenant}
        assert len(days) == DAYS
        assert abs(sum(days.values()) - line.user_ms) < 1000
        true = week.user_ms(tenant, MONDAY_MS + DAY_MS, MONDAY_MS + 2 * DAY_MS)
        assert abs(days["2025-10-21"] - true) <= 0.03 * true


async def _remove_all(deps: UsageDeps) -> None:
    """Remove the servers: what is open is closed, and everything written."""
    await close_unpolled(deps)
    await write_waiting(deps)
    assert await deps.store.known_servers() == []
