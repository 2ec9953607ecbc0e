"""The health check over the wire: what load balancers see."""

from __future__ import annotations

import signal
import time

import pytest

from appliance.faults import StoreDown
from appliance.redis.store import RedisStore
from tests.doubles.public import open_public
from tests.doubles.redis_processes import redis_process
from tests.doubles.store_servers import private_redis


@pytest.mark.parametrize("path", ["/health_check", "/", "/health_check?x=1", "/?checksum=x"])
async def test_healthy_appliance_says_success(
    path: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.ask("GET", path)
        head = await public.ask("HEAD", path)

    assert (answer.status, answer.body) == (200, b"success")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "7")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods_are_not_allowed(
    method: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        answer = await public.ask(method, "/health_check")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_health_check_fails_within_a_second_while_redis_is_away(
    redis_namespace: str,
) -> None:
    with private_redis() as redis:
        async with open_public(redis.url, redis_namespace) as public:
            assert (await public.ask("GET", "/health_check")).status == 200
            redis.process.terminate()
            redis.process.wait(40)

            began_s = time.monotonic()
            answer = await public.ask("GET", "/health_check")
            took_s = time.monotonic() - began_s

    assert answer.status == 503
    assert answer.body.startswith(b"Health Check Failure: ")
    assert took_s < 10


async def test_health_check_fails_where_redis_forbids_the_keys(redis_namespace: str) -> None:
    with redis_process() as redis:
        redis.ask("ACL", "SETUSER", "default", "resetkeys", "~other:*")
        async with open_public(redis.unix_url, redis_namespace) as public:
            answer = await public.ask("GET", "/health_check")

    assert answer.status == 503
    assert b"NOPERM" in answer.body


@pytest.mark.parametrize("connection", ["foreground", "background"])
@pytest.mark.parametrize(
    ("setting", "refusing", "code"),
    [("maxmemory", "1", b"OOM"), ("min-replicas-to-write", "1", b"NOREPLICAS")],
)
async def test_health_check_fails_while_redis_refuses_writes(
    setting: str, refusing: str, code: bytes, connection: str, redis_namespace: str
) -> None:
    with redis_process() as redis:
        async with open_public(redis.unix_url, redis_namespace) as public:
            store: RedisStore = getattr(public.res.redis, connection)
            redis.ask("CONFIG", "SET", setting, refusing)
            with pytest.raises(StoreDown):
                await store.command("SET", store.own_key("emptied"), "1")
            refused = [await public.ask("GET", "/health_check") for _ in range(3)]
            redis.ask("CONFIG", "SET", setting, "0")
            answers = [await public.ask("GET", "/health_check") for _ in range(2)]

    assert {answer.status for answer in refused} == {503}
    assert all(code in answer.body for answer in refused)
    assert {answer.status for answer in answers} == {200}


async def test_health_check_fails_within_a_second_while_redis_hangs(redis_namespace: str) -> None:
    with private_redis() as redis:
        async with open_public(redis.url, redis_namespace) as public:
            redis.process.send_signal(signal.SIGSTOP)

            began_s = time.monotonic()
            answer = await public.ask("GET", "/")
            took_s = time.monotonic() - began_s

    assert answer.status == 503
    assert answer.body.startswith(b"Health Check Failure: ")
    assert took_s < 10  # due at 0.9 s, but machines may be slow
