"""The survey of a namespace in a real Redis reads everything and changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from appliance.faults import StoreDown
from appliance.redis.client import RedisAddress, RedisClient, open_redis_client
from appliance.takeover.pool_findings import PoolState
from appliance.takeover.pool_survey import PoolSurvey
from tests.doubles.redis_layout import take_snapshot
from tests.doubles.scalelite_data import load_scalelite_data


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[RedisClient]:
    with trio.fail_after(30):
        async with open_redis_client(RedisAddress(redis_url)) as opened:
            await opened.wait_connected()
            yield opened


async def test_state_of_a_scalelite_is_read_and_not_changed(
    client: RedisClient, redis_namespace: str
) -> None:
    values = await load_scalelite_data(client, redis_namespace)
    before = await take_snapshot(client, redis_namespace)

    state = await PoolSurvey(client, redis_namespace).read_pool()

    servers = {key.removeprefix("server:") for key in values if key.startswith("server:")}
    assert set(state.servers) == servers
    assert state.servers["bbb3.example.org"] == values["server:bbb3.example.org"]
    assert state.enabled == {"bbb1.example.org", "bbb2.example.org"} == state.loads
    assert state.cordoned_loads == {"bbb3.example.org"}
    assert state.meetings["art 2"] == values["meeting:art 2"]
    assert set(state.meetings) == {"art 2", "big", "math-1", "phys"}
    assert state.voice_bridges == values["voice_bridges"]
    assert set(state.tenants) == set(values["tenants"])
    assert set(state.tenant_names) == {"school", "uni"}
    assert len(state.settings) == 2
    strays = (state.stray_servers, state.stray_settings, state.wrong_types, state.others)
    assert strays == (frozenset(), frozenset(), (), 0)
    after = await take_snapshot(client, redis_namespace)
    for name, (_, _, value, ttl_s) in after.found.items():
        assert value == before.found[name][2]
        assert (ttl_s >= 0) == (before.found[name][3] >= 0)


async def test_inconsistent_records_are_read(client: RedisClient, redis_namespace: str) -> None:
    prefix = f"{redis_namespace}:"
    await client.pipeline(
        [
            ["SADD", f"{prefix}servers", "a", "gone"],
            ["HSET", f"{prefix}server:a", "url", "u"],
            ["HSET", f"{prefix}server:stray", "url", "u"],
            ["HSET", f"{prefix}a", "healthy_counter", "1"],
            ["HSET", f"{prefix}removed-server", "healthy_counter", "1"],
            ["SADD", f"{prefix}meetings", "over"],
            ["HSET", f"{prefix}voice_bridges", "7", "over", "8", "away"],
            ["HSET", f"{prefix}appliance:detached_meeting:away", "server_id", "a"],
            ["SET", f"{prefix}tenants", "not a set"],
            ["SADD", f"{prefix}tenant_settings:t", "s1"],
            ["HSET", f"{prefix}tenant_setting:s2", "param", "x"],
            ["SET", f"{redis_namespace}x:servers", "another namespace"],
        ]
    )

    state = await PoolSurvey(client, redis_namespace).read_pool()

    assert state == PoolState(
        servers={"a": {"url": "u"}, "gone": None},
        meetings={"over": None},
        voice_bridges={"7": "over", "8": "away"},
        claimed=frozenset({"away"}),
        settings={"s1": None},
        stray_servers=frozenset({"stray"}),
        stray_settings=frozenset({"s2"}),
        wrong_types=("tenants",),
        others=1,
    )


async def test_namespace_is_not_used_as_a_pattern(
    client: RedisClient, redis_namespace: str
) -> None:
    await client.command("SADD", f"{redis_namespace}[ab]*?:servers", "x")
    await client.command("SADD", f"{redis_namespace}acd:servers", "y")

    state = await PoolSurvey(client, f"{redis_namespace}[ab]*?").read_pool()

    assert dict(state.servers) == {"x": None}


async def test_many_meetings_are_all_read(client: RedisClient, redis_namespace: str) -> None:
    commands: list[list[str | int]] = []
    for number in range(3000):
        commands.append(["SADD", f"{redis_namespace}:meetings", f"m{number}"])
        key = f"{redis_namespace}:meeting:m{number}"
        commands.append(["HSET", key, "server_id", "a", "voice_bridge", number])
    await client.pipeline(commands)

    state = await PoolSurvey(client, redis_namespace).read_pool()

    assert len(state.meetings) == 3000
    assert state.meetings["m2999"] == {"server_id": "a", "voice_bridge": "2999"}


async def test_survey_raises_store_down_when_redis_is_down() -> None:
    with trio.fail_after(40):
        async with open_redis_client(RedisAddress("redis://127.0.0.1:1"), deadline_s=0.2) as client:
            with pytest.raises(StoreDown):
                await PoolSurvey(client, "x").read_pool()
