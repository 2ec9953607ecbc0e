"""The queue in a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from appliance.callbacks.queue_store import CallbackStore
from appliance.callbacks.redis_queue import RedisQueue
from appliance.callbacks.rules import AttemptResult, CallbackState
from appliance.faults import StoreDown
from appliance.redis.client import RedisAddress, RedisClient, open_redis_client
from appliance.redis.scripts import load_scripts
from appliance.redis.store import RedisStore
from tests.doubles.callback_contract import CONTRACT, DONE, LEASE_S, OTHER, WHO, claim, ready
from tests.doubles.features import now_ms
from tests.doubles.redis_layout import layout_faults

HOUR_MS = 3_600_000


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


@pytest.mark.parametrize(("attempts", "due"), [(0, True), (1, True), (12, False)])
async def test_callback_is_due_when_the_clock_was_set_back_an_hour(
    bench: Bench, attempts: int, due: bool
) -> None:
    """Only a callback whose pause is an hour anyway may wait that long."""
    await bench.buffer.add(ready(), "key")
    again = AttemptResult(CallbackState.PENDING, 500, "the receiver answered 500", 0.0)
    for _ in range(attempts):
        (queued,) = await claim(bench.buffer)
        await bench.buffer.record_result(WHO, queued, again)
    redis = RedisStore(bench.client, bench.namespace, load_scripts())
    earlier = RedisQueue(redis, lambda: now_ms() - HOUR_MS)

    assert await claim(earlier) == []
    assert await earlier.make_postponed_due(LEASE_S) == int(due)

    assert len(await claim(earlier)) == int(due)


async def test_claim_of_a_dead_appliance_ends_when_the_clock_was_set_back(bench: Bench) -> None:
    await bench.buffer.add(ready(), "key")
    (queued,) = await claim(bench.buffer)
    redis = RedisStore(bench.client, bench.namespace, load_scripts())
    earlier = RedisQueue(redis, lambda: now_ms() - HOUR_MS)

    assert await bench.buffer.make_postponed_due(LEASE_S) == 0
    assert await earlier.make_postponed_due(LEASE_S) == 1

    (again,) = await claim(earlier, OTHER)
    assert again.id == queued.id
