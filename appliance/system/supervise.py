"""Keep a service running: log its failure with the traceback, start it again after a pause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from appliance.log import Log

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_STEADY_S = 60.0
"""A service that ran this long before it failed starts with the first pause again."""


async def supervise(name: str, service: Callable[[], Awaitable[None]], log: Log) -> None:
    """Run a service for ever; one that returns is done, one that fails is started again.

    Failures pause 1 s, doubling to 60 s, and touch no other service.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        began_s = trio.current_time()
        try:
            await service()
            return
        except Exception as error:
            log.error("service_failed", service=name, pause_s=pause_s, exc_info=error)
        if trio.current_time() - began_s > _STEADY_S:
            pause_s = _FIRST_PAUSE_S
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
