"""The daily deletion of old recordings: soon after a start, once, by one appliance for all."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from appliance.faults import StoreDown
from appliance.model import TenantId
from appliance.recordings.retention_task import NAME, run_retention_forever
from appliance.tenants.admin_store import TenantStore
from appliance.tenants.values import TenantSetting
from tests.doubles.bbb_process import until
from tests.doubles.features import rewire
from tests.doubles.recording_admin_bench import DAY_MS, RecordingAdminBench, open_admin_bench
from tests.doubles.recordings import make_recording

WITHIN_S = 40.0


@pytest.fixture
async def opened(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> AsyncIterator[RecordingAdminBench]:
    variables = {"RECORDING_RETENTION_DAYS": "30"}
    async with open_admin_bench(
        redis_url, redis_namespace, database_url, tmp_path, **variables
    ) as bench:
        ended_ms = time.time_ns() // 1_000_000 - 31 * DAY_MS
        await bench.add(make_recording("old", end_ms=ended_ms), make_recording("older"))
        yield bench


@asynccontextmanager
async def keeping(bench: RecordingAdminBench, *, interval_s: float = 3600.0) -> AsyncIterator[None]:
    """Look ten times a second for the block."""
    task = partial(
        run_retention_forever,
        bench.res.recordings,
        first_s=0.0,
        check_s=0.1,
        retry_s=0.05,
        interval_s=interval_s,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        yield
        nursery.cancel_scope.cancel()


async def test_old_recordings_go_soon_after_a_start_and_then_once_a_day(
    opened: RecordingAdminBench,
) -> None:
    done = partial(opened.log.named, "retention_done")
    async with keeping(opened), keeping(opened):  # two appliances
        await until(lambda: bool(done()), WITHIN_S, "a first run")
        assert (await opened.find("old")).state == "deleted"
        await opened.add(make_recording("later"))
        async with opened.admin.table.claim_daily(NAME, 3600) as due:
            assert not due
    assert done() == [{"deleted": 2}]
    assert (await opened.find("later")).state == "published"
    async with keeping(opened, interval_s=0.0):
        await until(lambda: len(done()) > 1, WITHIN_S, "the next day")
    assert (await opened.find("later")).state == "deleted"


async def test_value_that_cannot_be_read_is_warned_of_once(opened: RecordingAdminBench) -> None:
    await opened.set_retention("t1", "soon")
    async with keeping(opened, interval_s=0.0):
        await until(lambda: len(opened.log.named("retention_done")) >= 3, WITHIN_S, "three runs")
    assert opened.log.named("tenant_retention_unreadable") == [
        {"tenant": "t1", "value": "soon", "effect": "nothing of this tenant is deleted"}
    ]


async def test_store_that_is_away_is_waited_for(opened: RecordingAdminBench) -> None:
    class Away(TenantStore):
        """Tenants of which the first answers do not come."""

        asked = 0

        async def list_settings(
            self, tenant_id: TenantId | None = None
        ) -> list[TenantSetting] | None:
            """Fail twice."""
            Away.asked += 1
            if Away.asked < 3:
                raise StoreDown("away")
            return []

    away = Away(opened.res.redis.background)
    res = rewire(opened.res, tenants__store=away)
    async with keeping(replace(opened, res=res)):
        await until(lambda: bool(opened.log.named("retention_done")), WITHIN_S, "a run")
    assert away.asked >= 3
    assert (await opened.find("old")).state == "deleted"
