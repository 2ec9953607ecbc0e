"""The store goes away under a create: it is said, and the create can be repeated."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio

from appliance.faults import StoreDown
from appliance.model import ServerId
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import rewire
from tests.doubles.live_pool import BrokenOffError, LivePool, open_live, streamed
from tests.doubles.redis_processes import RedisProcess, redis_process

pytest_plugins = ["tests.doubles.live_pool_fixtures"]


@asynccontextmanager
async def pool_with_own_redis(
    namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[tuple[LivePool, RedisProcess]]:
    with redis_process() as redis:
        async with open_live(redis.unix_url, namespace, bbbs, RESPONSE_TIMEOUT="3") as pool:
            yield pool, redis


async def test_store_that_is_down_is_said_within_a_second(
    redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with pool_with_own_redis(redis_namespace, bbbs) as (pool, redis):
        redis.signal(signal.SIGSTOP)
        try:
            with trio.fail_after(10), pytest.raises(StoreDown):
                await pool.create()
        finally:
            redis.signal(signal.SIGCONT)
        await until_store_is_back(pool)
        assert (await pool.create())["returncode"] == "SUCCESS"
        assert pool.holders() == [await pool.home()]


class StoppingCaller:
    """Calls servers, and stops Redis as soon as the first one has answered or failed."""

    def __init__(self, bbb: Any, redis: RedisProcess) -> None:
        self._bbb = bbb
        self._redis = redis

    async def call(self, *args: Any, **options: Any) -> Any:
        """Call, then stop Redis."""
        try:
            return await self._bbb.call(*args, **options)
        finally:
            self._redis.signal(signal.SIGSTOP)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("delay", {"seconds": 0.01}),
        ("status", {"executed": False}),
        ("status", {"executed": True}),
        ("status", {"status": 504, "executed": True}),
        ("failed", {}),
    ],
)
async def test_store_that_goes_away_under_a_create_leaves_it_repeatable(
    redis_namespace: str, bbbs: list[BbbProcess], kind: str, options: dict[str, Any]
) -> None:
    async with pool_with_own_redis(redis_namespace, bbbs) as (pool, redis):
        bbbs[0].add_fault(kind, "create", times=1, **options)
        caller: Any = StoppingCaller(pool.res.pool.bbb, redis)
        try:
            with pytest.raises(StoreDown):
                await replace(pool, res=rewire(pool.res, pool__bbb=caller)).create()
        finally:
            redis.signal(signal.SIGCONT)
        await until_store_is_back(pool)

        assert (await pool.create())["returncode"] == "SUCCESS"
        await pool.poll("bbb-1")  # ends there what could not be ended without the store
        assert pool.holders() == [await pool.home()]


async def test_body_that_breaks_off_while_the_store_is_away_is_still_told(
    redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with pool_with_own_redis(redis_namespace, bbbs) as (pool, redis):
        caller: Any = StoppingCaller(pool.res.pool.bbb, redis)
        try:
            with pytest.raises(BrokenOffError):
                await replace(pool, res=rewire(pool.res, pool__bbb=caller)).create(
                    body=streamed(failure=BrokenOffError())
                )
        finally:
            redis.signal(signal.SIGCONT)
        await until_store_is_back(pool)
        assert (await pool.create())["returncode"] == "SUCCESS"


async def until_store_is_back(pool: LivePool) -> None:
    """Wait until both connections work again."""
    with trio.fail_after(40):
        while True:
            try:
                await pool.res.redis.ping()
                await pool.res.pool.records.find_server(ServerId("bbb-1"))
                return
            except StoreDown:
                await trio.sleep(0.02)
