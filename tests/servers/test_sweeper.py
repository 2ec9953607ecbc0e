"""The sweeper: what lost what it points to goes after two sweeps, by one appliance for all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from appliance.features import Features
from appliance.pool.records import SWEEP_GRACE_MS
from appliance.servers.sweeper import INTERVAL_S, sweep_forever
from tests.doubles.bbb_process import BbbProcess, until
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.redis_processes import redis_process

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

WITHIN_S = 40.0


@asynccontextmanager
async def sweeping(res: Features) -> AsyncIterator[None]:
    """Sweep ten times a second for the block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(sweep_forever, res.servers, interval_s=0.1, grace_ms=50))
        yield
        nursery.cancel_scope.cancel()


async def lose_ends(pool: LivePool) -> None:
    """Leave entries behind whose meeting is gone, as Scalelite does."""
    await pool.redis("SADD", "meetings", "lost")
    await pool.redis("HSET", "voice_bridges", "12345", "lost")


def removed(pool: LivePool) -> int:
    return sum(fields["removed"] for fields in pool.log.named("store_swept"))


async def test_entries_without_their_meeting_are_removed_and_others_kept(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1]) as pool:
        await pool.create()
        before = await pool.traces()
        await lose_ends(pool)

        async with sweeping(pool.res):
            await until(lambda: removed(pool) == 2, WITHIN_S, "two removals")

        assert await pool.traces() == before
        assert await pool.redis("SMEMBERS", "meetings") == ["room"]


async def test_one_appliance_sweeps_for_all(redis_url: str, redis_namespace: str) -> None:
    async with open_live(redis_url, redis_namespace, []) as pool:
        assert await pool.res.servers.store.claim_sweep("another", lease_ms=60_000)
        await lose_ends(pool)

        async with sweeping(pool.res):
            asked = pool.res.redis.background.client
            before = asked.round_trips
            await until(lambda: asked.round_trips >= before + 4, WITHIN_S, "four claims")

        assert removed(pool) == 0
        await pool.redis("DEL", "meetings")
        await pool.redis("DEL", "voice_bridges")


def test_second_sweep_may_remove_what_the_first_one_found() -> None:
    assert INTERVAL_S * 1000 > SWEEP_GRACE_MS


async def test_sweeper_goes_on_when_the_store_was_away(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with open_live(redis.unix_url, redis_namespace, []) as pool:
            redis.kill()
            async with sweeping(pool.res):
                await until(lambda: not pool.client.connected, WITHIN_S, "the loss")
                redis.start()
                redis.wait_ready()
                await pool.client.wait_connected()
                await lose_ends(pool)
                await until(lambda: removed(pool) == 2, WITHIN_S, "two removals")
