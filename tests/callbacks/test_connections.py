"""Which stores the queue has, and what CALLBACK_BLOCK_PRIVATE does to the calls."""

from __future__ import annotations

import pytest

from appliance.callbacks.connections import open_callback_connections
from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.redis_queue import RedisQueue
from appliance.faults import CallRefused
from appliance.redis.client import RedisAddress
from tests.doubles.callback_receiver import open_receiver
from tests.doubles.features import EventBook, now_ms, rules_of
from tests.doubles.pool_store import open_pool_store
from tests.doubles.recordings import open_recordings
from tests.doubles.settings import settings_of


async def test_adapters_follow_the_settings(
    redis_url: str, redis_namespace: str, database_url: str
) -> None:
    settings, log = settings_of(CALLBACK_BLOCK_PRIVATE="true"), EventBook()
    address = RedisAddress(redis_url)
    async with (
        open_receiver() as receiver,
        open_recordings(database_url) as (database, _),
        open_pool_store(
            address, namespace=redis_namespace, rules=rules_of(settings), log=log
        ) as redis,
    ):
        async with open_callback_connections(
            settings, redis.redis, database, now_ms, log
        ) as adapters:
            assert [type(store) for store in adapters.stores] == [PostgresQueue, RedisQueue]
            with pytest.raises(CallRefused):
                await adapters.client.send("GET", receiver.url("/"), {}, b"")
        async with open_callback_connections(
            settings_of(), redis.redis, None, now_ms, log
        ) as adapters:
            assert [type(store) for store in adapters.stores] == [RedisQueue]
            assert await adapters.client.send("GET", receiver.url("/"), {}, b"") == 200
