"""Which stores the queue has, and what CALLBACK_BLOCK_PRIVATE does to the calls."""

from __future__ import annotations

import pytest

from appliance.callbacks.postgres_queue import CallbackRows
from appliance.callbacks.redis_queue import CallbackBuffer
from appliance.callbacks.stores import open_callback_adapters
from appliance.faults import CallRefused
from appliance.redis.client import RedisAddress
from appliance.redis_store import open_redis_store
from tests.doubles.callback_receiver import open_receiver
from tests.doubles.recordings import open_recordings
from tests.doubles.resources import EventBook, now_ms, rules_of
from tests.doubles.settings import settings_of


async def test_adapters_follow_the_settings(
    redis_url: str, redis_namespace: str, database_url: str
) -> None:
    settings, log = settings_of(CALLBACK_BLOCK_PRIVATE="true"), EventBook()
    address = RedisAddress(redis_url)
    async with (
        open_receiver() as receiver,
        open_recordings(database_url) as (database, _),
        open_redis_store(
            address, namespace=redis_namespace, rules=rules_of(settings), log=log
        ) as redis,
    ):
        async with open_callback_adapters(settings, redis, database, now_ms, log) as adapters:
            assert [type(store) for store in adapters.stores] == [CallbackRows, CallbackBuffer]
            with pytest.raises(CallRefused):
                await adapters.client.send("GET", receiver.url("/"), {}, b"")
        async with open_callback_adapters(settings_of(), redis, None, now_ms, log) as adapters:
            assert [type(store) for store in adapters.stores] == [CallbackBuffer]
            assert await adapters.client.send("GET", receiver.url("/"), {}, b"") == 200
