"""Facts about a real Redis, healthy and with each problem."""

from __future__ import annotations

import pytest

from appliance.faults import StoreDown
from appliance.redis.facts import RedisFactFinder, RedisFacts, parse_info
from tests.doubles.features import now_ms
from tests.doubles.redis_processes import RedisProcess, connected_client, redis_process


async def read(redis: RedisProcess, url: str = "") -> RedisFacts:
    async with connected_client(url or redis.unix_url) as client:
        return await RedisFactFinder(client, "test", now_ms).read()


async def test_facts_describe_a_persistent_redis() -> None:
    with redis_process("--appendonly", "yes", "--save", "3600", "1") as redis:
        facts = await read(redis)

        assert (facts.aof, facts.aof_failed, facts.role) == (True, False, "master")
        assert (facts.save_points, facts.policy) == ("3600 1", "noeviction")
        assert (facts.max_memory, facts.write_error) == (0, "")
        assert facts.used_memory > 100_000
        assert abs(facts.skew_s) < 1.0
        assert int(facts.version.partition(".")[0]) >= 6
        assert redis.ask("EXISTS", "test:appliance:doctor") == 1
        assert redis.ask("TTL", "test:appliance:doctor") in range(1, 11)


async def test_facts_describe_a_redis_without_persistence_that_evicts() -> None:
    options = ("--save", "", "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    with redis_process(*options) as redis:
        facts = await read(redis)

        assert (facts.aof, facts.save_points) == (False, "")
        assert (facts.max_memory, facts.policy) == (50 << 20, "allkeys-lru")


async def test_facts_describe_a_redis_without_config_or_write_permission() -> None:
    with redis_process("--rename-command", "CONFIG", "") as redis:
        assert (await read(redis)).save_points is None

    with redis_process() as redis:
        redis.ask("ACL", "SETUSER", "default", "-@write")
        facts = await read(redis)
        assert "NOPERM" in facts.write_error


async def test_facts_describe_a_redis_that_became_a_replica() -> None:
    with redis_process() as redis:
        async with connected_client(redis.unix_url) as client:
            redis.ask("REPLICAOF", "127.0.0.1", "1")
            facts = await RedisFactFinder(client, "test", now_ms).read()

        assert facts.role == "slave"
        assert "READONLY" in facts.write_error


async def test_read_raises_store_down_when_redis_is_killed() -> None:
    with redis_process() as redis:
        async with connected_client(redis.unix_url) as client:
            redis.kill()
            with pytest.raises(StoreDown):
                await RedisFactFinder(client, "test", now_ms).read()


def test_info_is_parsed() -> None:
    assert parse_info("# Server\r\nrole:master\r\nexec:/a:b\r\n\r\n") == {
        "role": "master",
        "exec": "/a:b",
    }
