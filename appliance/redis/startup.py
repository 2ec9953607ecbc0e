"""Wait for Redis at the start of the appliance, and report every few seconds why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from appliance.log import Log
from appliance.redis.client import RedisClient

LOG_INTERVAL_S = 5.0
EXTEND_START_US = 30_000_000


async def wait_for_redis(
    clients: Sequence[RedisClient],
    stop: trio.Event,
    notify_systemd: Callable[..., None],
    log: Log,
    *,
    interval_s: float = LOG_INTERVAL_S,
) -> bool:
    """Wait until all clients are connected, without a time limit. False: `stop` was set.

    systemd's start timeout is extended meanwhile.
    """
    connected = False

    async def wait(scope: trio.CancelScope) -> None:
        nonlocal connected
        for client in clients:
            await client.wait_connected()
        connected = True
        scope.cancel()

    async def cancel_at_stop(scope: trio.CancelScope) -> None:
        await stop.wait()
        scope.cancel()

    async def report() -> None:
        while True:
            await trio.sleep(interval_s)
            reasons = [one.down_reason for one in clients if one.down_reason is not None]
            reason = reasons[0] if reasons else "no answer yet"
            log.warning("waiting_for_redis", reason=reason)
            notify_systemd(
                f"EXTEND_TIMEOUT_USEC={EXTEND_START_US}", f"STATUS=waiting for Redis: {reason}"
            )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, nursery.cancel_scope)
        nursery.start_soon(cancel_at_stop, nursery.cancel_scope)
        nursery.start_soon(report)
    return connected and not stop.is_set()
