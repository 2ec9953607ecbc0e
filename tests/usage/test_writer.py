"""A school week, replayed on a real Redis and PostgreSQL and compared with what really happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from appliance.fault_log import FaultLog
from appliance.model import TenantId
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import open_postgres_store
from appliance.simulation.traces import DAY_MS, HOUR_MS
from appliance.tenants.values import TenantChange
from appliance.usage.deps import UsageDeps
from appliance.usage.model import EndedRun, Question, UsageRun
from appliance.usage.report import answer
from appliance.usage.store import UsageStore
from appliance.usage.table import UsageTable
from appliance.usage.writer import close_unpolled, name_tenants, write_waiting
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


async def test_tenants_are_known_by_name_once_they_are_removed(
    redis_url: str, redis_namespace: str, database_url: str
) -> None:
    variables = {"MULTITENANCY_ENABLED": "true"}
    async with open_usage(redis_url, redis_namespace, database_url, **variables) as deps:
        store = deps.tenants.store
        for tenant_id in ("t-1", "t-2", "t-3"):
            await store.add_tenant(TenantId(tenant_id), TenantChange(tenant_id, "s"))
        await name_tenants(deps)
        # Within the same minute.
        await store.update_tenant(TenantId("t-1"), TenantChange("school"))
        await store.add_tenant(TenantId("t-4"), TenantChange("short", "s"))
        for tenant_id in ("t-1", "t-3", "t-4"):
            await store.remove_tenant(TenantId(tenant_id), force=False)
        # As erasing a living tenant does, whose name is written again.
        await deps.table.database.execute("DELETE FROM appliance.usage_tenants WHERE id = 't-2'")
        run = UsageRun("m", 1_760_000_000_000, 1_760_000_000_000, "m", 0, "unnamed")
        await deps.table.add_runs([EndedRun("a", run, 1_760_000_060_000, "poll")])

        names = await name_tenants(deps)

        expected = {"t-1": "school", "t-2": "t-2", "t-3": "t-3", "t-4": "short"}
        assert names == {**expected, "unnamed": "unnamed"} == await deps.table.read_names()
        assert next(iter(names)) == "t-2"  # living ones come first
        assert await deps.store.read_removed_tenants() == {}


async def test_tenant_whose_name_is_not_utf_8_is_named_like_the_others(
    redis_url: str, redis_namespace: str, database_url: str
) -> None:
    variables = {"MULTITENANCY_ENABLED": "true"}
    async with open_usage(redis_url, redis_namespace, database_url, **variables) as deps:
        redis = deps.store.redis
        for tenant_id, name in (("t-1", "caf\udce9"), ("t-2", "school"), ("t-\udce9", "odd id")):
            await redis.command("SADD", redis.key("tenants"), tenant_id)
            tenant = ("name", name, "secrets", "s")
            await redis.command("HSET", redis.key(f"tenant:{tenant_id}"), *tenant)
        expected = {"t-1": "caf?", "t-2": "school", "t-?": "odd id"}
        assert await name_tenants(deps) == expected == await deps.table.read_names()

        # What is known is not written again.
        versions = "SELECT id, xmin::text FROM appliance.usage_tenants ORDER BY id"
        before = await deps.table.database.fetch(versions)
        assert await name_tenants(deps) == expected
        assert await deps.table.database.fetch(versions) == before
