"""What polls leave behind when their lists have not changed."""

from __future__ import annotations

import pytest

from appliance.model import ServerId
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.usage import open_used_pool

pytest_plugins = ["tests.doubles.live_pool_fixtures"]


async def test_usage_of_polls_without_a_change_is_added_up(
    redis_url: str, redis_namespace: str, database_url: str, bbbs: list[BbbProcess]
) -> None:
    async with open_used_pool(
        redis_url, redis_namespace, database_url, bbbs[:1], LOAD_JOIN_BUFFER_TIME="0"
    ) as used:
        await used.pool.create("room")
        bbbs[0].set_users("room", participants=3)
        await used.pass_time(2)
        recorded = await used.pool.redis("HGET", "appliance:meeting:room", "seen_ms")
        _, before = await used.usage.store.read(ServerId("bbb-1"))

        await used.pass_time(5)

        assert await used.pool.redis("HGET", "appliance:meeting:room", "seen_ms") == recorded
        _, after = await used.usage.store.read(ServerId("bbb-1"))
        assert after.polled_ms == used.clock[0]
        (run,), (run_before,) = after.runs, before.runs
        assert run.user_ms - run_before.user_ms == pytest.approx(3 * 5 * 60_000)
