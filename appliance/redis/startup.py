"""Redis at the start of the appliance: wait for it briefly, and report every few seconds why not.

An external Redis may be away for long. The appliance then serves all the same: /health_check is
503, calls answer internalError, ctl and doctor work, and systemd's start does not hang.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from appliance.log import Log
from appliance.redis.client import RedisClient

LOG_INTERVAL_S = 5.0
GRACE_S = 2.0
"""How long the start waits for an external Redis, so that READY usually means usable."""


async def wait_for_redis(clients: Sequence[RedisClient], stop: trio.Event, limit_s: float) -> None:
    """Wait until all clients are connected, `stop` is set or `limit_s` has passed."""

    async def wait(scope: trio.CancelScope) -> None:
        for client in clients:
            await client.wait_connected()
        scope.cancel()

    with trio.move_on_after(limit_s):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, nursery.cancel_scope)
            await stop.wait()
            nursery.cancel_scope.cancel()


async def report_missing_redis(
    clients: Sequence[RedisClient],
    notify_systemd: Callable[..., None],
    log: Log,
    *,
    interval_s: float = LOG_INTERVAL_S,
) -> None:
    """Report in log and status why Redis cannot be reached, until it has been once."""

    async def report() -> None:
        while True:
            await trio.sleep(interval_s)
            reasons = [one.down_reason for one in clients if one.down_reason is not None]
            reason = reasons[0] if reasons else "no answer yet"
            log.warning("waiting_for_redis", reason=reason)
            notify_systemd(f"STATUS=waiting for Redis: {reason}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(report)
        for client in clients:
            await client.wait_connected()
        nursery.cancel_scope.cancel()
