"""The task that tells front-ends of ended meetings looks again and again."""

from __future__ import annotations

from functools import partial
from typing import Any

import trio

from appliance.bbb.caller import Caller
from appliance.callbacks.ended_task import tell_ended_forever
from appliance.pool.records import NOTIFY_AFTER_LOSS_MS
from tests.doubles.bbb_process import BbbProcess, until
from tests.doubles.features import rewire
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.redis_processes import DURABLE, redis_process

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

LMS = "https://lms.example.org/ended"


async def until_told(pool: LivePool) -> None:
    """Run the task until the front-end's URL is in the queue."""
    later = rewire(pool.res, now_ms=lambda: pool.res.now_ms() + NOTIFY_AFTER_LOSS_MS)
    queue: Any = pool.res.callbacks.queue
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(tell_ended_forever, later.callbacks, pause_s=0.05))
        with trio.fail_after(40):
            while not await queue.stores[0].show(None, 1):
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()


async def test_front_end_is_told_by_itself_also_when_the_store_was_away(
    redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    with redis_process(*DURABLE) as redis:
        async with open_live(redis.unix_url, redis_namespace, bbbs[:1]) as pool:
            caller = Caller(base_url="http://127.0.0.1:9")
            await pool.create(caller=caller, meetingEndedURL=LMS)
            bbbs[0].end_meeting("room", callback=False)
            await pool.poll("bbb-1")
            redis.kill()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(tell_ended_forever, pool.res.callbacks, pause_s=0.05))
                waits = pool.log.named
                await until(lambda: bool(waits("ended_meetings_wait_for_store")), 40, "a failure")
                redis.start()
                redis.wait_ready()
                await pool.client.wait_connected()
                nursery.cancel_scope.cancel()
            await until_told(pool)
