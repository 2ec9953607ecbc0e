"""One-time tokens on a real Redis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from appliance.faults import StoreDown
from appliance.recordings.playback.tokens import PlaybackTokens
from appliance.redis.client import RedisAddress, open_redis_client
from appliance.redis.store import RedisStore

PAIRS = [("rec-1", "presentation"), ("rec-1", "video")]


@asynccontextmanager
async def open_tokens(url: str, namespace: str) -> AsyncIterator[PlaybackTokens]:
    async with open_redis_client(RedisAddress(url)) as client:
        await client.wait_connected()
        yield PlaybackTokens(RedisStore(client, namespace, {}), timeout_s=60)


async def test_tokens_are_taken_once(redis_url: str, redis_namespace: str) -> None:
    async with open_tokens(redis_url, redis_namespace) as tokens:
        before = tokens.redis.client.round_trips
        issued = await tokens.issue_tokens(PAIRS)
        assert tokens.redis.client.round_trips == before + 1

        assert [await tokens.consume_token(token) for token in issued] == PAIRS
        assert [await tokens.consume_token(token) for token in issued] == [None, None]


async def test_tokens_run_out_and_are_written_as_scalelite_writes_them(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_tokens(redis_url, redis_namespace) as tokens:
        (token,) = await tokens.issue_tokens(PAIRS[:1])
        key = f"{redis_namespace}:protector_token_{token}"

        assert json.loads(await tokens.redis.client.command("GET", key)) == {
            "record_id": "rec-1",
            "format": "presentation",
        }
        assert 0 < await tokens.redis.client.command("TTL", key) <= 60
        assert len(token) == 64


async def test_issue_tokens_of_nothing_asks_nobody(redis_url: str, redis_namespace: str) -> None:
    async with open_tokens(redis_url, redis_namespace) as tokens:
        before = tokens.redis.client.round_trips
        assert await tokens.issue_tokens([]) == []
        assert tokens.redis.client.round_trips == before


@pytest.mark.parametrize("token", ["", "x", "a" * 63, "ü" * 64, "*" * 64, "a" * 64])
async def test_consume_token_knows_no_other(
    redis_url: str, redis_namespace: str, token: str
) -> None:
    async with open_tokens(redis_url, redis_namespace) as tokens:
        assert await tokens.consume_token(token) is None


@pytest.mark.parametrize("value", ["", "[]", "{}", '{"record_id": "a"}', "\x00"])
async def test_consume_token_refuses_a_value_that_is_none(
    redis_url: str, redis_namespace: str, value: str
) -> None:
    async with open_tokens(redis_url, redis_namespace) as tokens:
        token = "b" * 64
        await tokens.redis.client.command(
            "SET", f"{redis_namespace}:protector_token_{token}", value
        )
        assert await tokens.consume_token(token) is None


async def test_tokens_need_redis() -> None:
    address = RedisAddress("unix:///nonexistent/redis.sock")
    async with open_redis_client(address, deadline_s=0.2) as client:
        tokens = PlaybackTokens(RedisStore(client, "x", {}), 60)
        with pytest.raises(StoreDown):
            await tokens.issue_tokens(PAIRS)
        with pytest.raises(StoreDown):
            await tokens.consume_token("c" * 64)
