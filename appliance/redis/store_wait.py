"""Wait for Redis at the start, as long as it takes, and say every few seconds why.

systemd is told to be patient meanwhile. Decides nothing but when the wait is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from appliance.log import Log

LOG_INTERVAL_S = 5.0
EXTEND_START_US = 30_000_000


class Connecting(Protocol):
    """A connection that comes and goes by itself."""

    @property
    def down_reason(self) -> str | None:
        """Return why there is none; None: there is one, or it was not tried yet."""

    async def wait_connected(self) -> None:
        """Wait until there is one."""


async def wait_for_redis(
    connections: Sequence[Connecting],
    stop: trio.Event,
    tell_systemd: Callable[..., None],
    log: Log,
    *,
    interval_s: float = LOG_INTERVAL_S,
) -> bool:
    """Return when all connections are there; False: asked to stop meanwhile."""
    connected = False

    async def wait(scope: trio.CancelScope) -> None:
        nonlocal connected
        for connection in connections:
            await connection.wait_connected()
        connected = True
        scope.cancel()

    async def give_up(scope: trio.CancelScope) -> None:
        await stop.wait()
        scope.cancel()

    async def complain() -> None:
        while True:
            await trio.sleep(interval_s)
            reasons = [one.down_reason for one in connections if one.down_reason is not None]
            reason = reasons[0] if reasons else "no answer yet"
            log.warning("waiting_for_redis", reason=reason)
            tell_systemd(
                f"EXTEND_TIMEOUT_USEC={EXTEND_START_US}", f"STATUS=waiting for Redis: {reason}"
            )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, nursery.cancel_scope)
        nursery.start_soon(give_up, nursery.cancel_scope)
        nursery.start_soon(complain)
    return connected and not stop.is_set()
