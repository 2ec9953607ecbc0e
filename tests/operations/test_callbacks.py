"""The queue over two real stores: the second takes what the first cannot."""

from __future__ import annotations

import pytest
import trio

from appliance.adapters.callback_buffer import CallbackBuffer
from appliance.adapters.callback_queue import CallbackRows
from appliance.adapters.redis_client import RedisAddress, open_redis_client
from appliance.adapters.redis_scripts import load_scripts
from appliance.core.faults import StoreDown
from appliance.operations.callbacks import Callbacks
from tests.doubles.callback_contract import ready
from tests.doubles.recordings import open_recordings
from tests.doubles.resources import EventBook, now_ms

pytest_plugins = ["tests.doubles.stores"]


async def test_enqueue_takes_redis_when_the_database_is_down(
    redis_url: str, redis_namespace: str, database_url: str
) -> None:
    woken: list[bool] = []
    async with (
        open_redis_client(RedisAddress(redis_url)) as client,
        open_recordings(database_url) as (postgres, _),
    ):
        rows = CallbackRows(postgres)
        buffer = CallbackBuffer(client, redis_namespace, load_scripts(), now_ms)
        callbacks = Callbacks((rows, buffer), lambda: woken.append(True), EventBook())

        assert await callbacks.enqueue(ready(1), dedup_key="key-1")
        assert not await callbacks.enqueue(ready(1), dedup_key="key-1")
        assert len(await rows.show(None, 10)) == 1
        await postgres.close_pool()
        assert await callbacks.enqueue(ready(2), dedup_key="key-2")

        (kept,) = await buffer.show(None, 10)
        assert kept.callback == ready(2)
        assert len(woken) == 2


async def test_enqueue_says_when_no_store_can_take_it() -> None:
    async with open_redis_client(RedisAddress("redis://127.0.0.1:9")) as client:
        buffer = CallbackBuffer(client, "t", load_scripts(), now_ms)
        callbacks = Callbacks((buffer,), lambda: None, EventBook())
        with pytest.raises(StoreDown), trio.fail_after(5):
            await callbacks.enqueue(ready(), dedup_key="key")
