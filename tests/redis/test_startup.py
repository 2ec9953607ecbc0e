"""The wait for Redis at the start: bounded, and reported until Redis is there."""

from __future__ import annotations

import math
from pathlib import Path

import trio

from appliance.redis.client import RedisAddress, open_redis_client
from appliance.redis.startup import report_missing_redis, wait_for_redis
from tests.doubles.features import EventBook
from tests.doubles.redis_processes import redis_process

WITHIN_S = 40.0


async def test_reason_is_logged_and_sent_to_systemd(tmp_path: Path) -> None:
    log, sent = EventBook(), list[str]()
    address = RedisAddress(f"unix://{tmp_path}/none.sock")
    with trio.fail_after(WITHIN_S):
        async with (
            open_redis_client(address, scripts=()) as client,
            trio.open_nursery() as nursery,
        ):

            def notify(*lines: str) -> None:
                sent.extend(lines)
                nursery.cancel_scope.cancel()

            await report_missing_redis([client], notify, log, interval_s=0.05)

    reason = log.named("waiting_for_redis")[0]["reason"]
    assert "No such file" in reason
    assert sent == [f"STATUS=waiting for Redis: {reason}"]


async def test_wait_and_report_end_when_redis_is_connected() -> None:
    log = EventBook()
    with redis_process() as redis, trio.fail_after(WITHIN_S):
        async with open_redis_client(RedisAddress(redis.unix_url), scripts=()) as client:
            await wait_for_redis([client, client], trio.Event(), math.inf)
            await report_missing_redis([client], print, log)

            assert client.connected
    assert not log.named("waiting_for_redis")


async def test_wait_ends_at_its_limit_and_at_a_stop(tmp_path: Path) -> None:
    stop = trio.Event()
    address = RedisAddress(f"unix://{tmp_path}/none.sock")
    with trio.fail_after(WITHIN_S):
        async with open_redis_client(address, scripts=()) as client:
            await wait_for_redis([client], stop, 0.05)
            stop.set()
            await wait_for_redis([client], stop, math.inf)
            assert not client.connected
