"""The queue in a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from appliance.callbacks.queue_store import CallbackStore
from appliance.callbacks.redis_queue import RedisQueue
from appliance.faults import StoreDown
from appliance.redis.client import RedisAddress, RedisClient, open_redis_client
from appliance.redis.store import RedisStore, load_scripts
from tests.doubles.callback_contract import CONTRACT, DONE, WHO, claim, ready
from tests.doubles.features import now_ms
from tests.doubles.redis_layout import layout_faults


@dataclass
class Bench:
    client: RedisClient
    namespace: str
    buffer: RedisQueue


@pytest.fixture
async def bench(redis_url: str, redis_namespace: str) -> AsyncIterator[Bench]:
    async with open_redis_client(RedisAddress(redis_url)) as client:
        await client.wait_connected()
        buffer = RedisQueue(RedisStore(client, redis_namespace, load_scripts()), now_ms)
        yield Bench(client, redis_namespace, buffer)
        assert await layout_faults(client, redis_namespace) == []


@pytest.mark.parametrize("behaviour", CONTRACT)
async def test_buffer_keeps_the_contract(
    bench: Bench, behaviour: Callable[[CallbackStore], Awaitable[None]]
) -> None:
    await behaviour(bench.buffer)


async def test_finished_callbacks_expire_and_are_forgotten(bench: Bench) -> None:
    await bench.buffer.add(ready(), "key")
    (queued,) = await claim(bench.buffer)
    assert await bench.buffer.record_result(WHO, queued, DONE)
    key = f"{bench.namespace}:appliance:callback:{queued.id}"
    assert 0 < await bench.client.command("TTL", key) <= 86400
    assert await bench.buffer.prune(0.0) == 0
    await bench.client.command("DEL", key)
    assert await bench.buffer.show(None, 10) == []
    assert await bench.buffer.prune(0.0) == 1
    assert await bench.client.command("ZCARD", f"{bench.namespace}:appliance:callbacks") == 0


async def test_claim_forgets_what_has_expired(bench: Bench) -> None:
    await bench.buffer.add(ready(), "key")
    (shown,) = await bench.buffer.show(None, 10)
    await bench.client.command("DEL", f"{bench.namespace}:appliance:callback:{shown.id}")
    assert await claim(bench.buffer) == []
    assert await bench.client.command("ZCARD", f"{bench.namespace}:appliance:callbacks_due") == 0


async def test_buffer_says_that_redis_is_down() -> None:
    async with open_redis_client(RedisAddress("redis://127.0.0.1:9")) as client:
        buffer = RedisQueue(RedisStore(client, "t", load_scripts()), now_ms)
        for call in (buffer.add(ready(), "key"), buffer.show(None, 10), buffer.make_due()):
            with pytest.raises(StoreDown):
                await call
