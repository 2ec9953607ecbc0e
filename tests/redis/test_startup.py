"""The wait for Redis at the start ends with a connection or a stop, and is reported."""

from __future__ import annotations

from pathlib import Path

import trio

from appliance.redis.client import RedisAddress, open_redis_client
from appliance.redis.startup import wait_for_redis
from tests.doubles.features import EventBook
from tests.doubles.redis_processes import redis_process

INTERVAL_S = 0.05
WITHIN_S = 40.0


async def test_reason_is_logged_and_sent_to_systemd_until_a_stop(tmp_path: Path) -> None:
    stop, log, sent = trio.Event(), EventBook(), list[tuple[str, ...]]()

    def notify(*lines: str) -> None:
        sent.append(lines)
        stop.set()

    address = RedisAddress(f"unix://{tmp_path}/none.sock")
    with trio.fail_after(WITHIN_S):
        async with open_redis_client(address, scripts=()) as client:
            assert not await wait_for_redis([client], stop, notify, log, interval_s=INTERVAL_S)

    reason = log.named("waiting_for_redis")[0]["reason"]
    assert "No such file" in reason
    assert sent == [
        ("EXTEND_TIMEOUT_USEC=30000000", f"STATUS=waiting for Redis: {reason}"),
    ]


async def test_wait_ends_when_redis_is_connected() -> None:
    log = EventBook()
    with redis_process() as redis, trio.fail_after(WITHIN_S):
        async with open_redis_client(RedisAddress(redis.unix_url), scripts=()) as client:
            assert await wait_for_redis([client, client], trio.Event(), print, log)

            assert client.connected
            assert client.down_reason is None
    assert not log.named("waiting_for_redis")


async def test_wait_reports_a_stop_even_when_redis_is_connected() -> None:
    stop = trio.Event()
    stop.set()
    with redis_process() as redis, trio.fail_after(WITHIN_S):
        async with open_redis_client(RedisAddress(redis.unix_url), scripts=()) as client:
            await client.wait_connected()
            assert not await wait_for_redis([client], stop, print, EventBook())
