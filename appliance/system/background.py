"""Work that nobody waits for: the best-effort `end` of a leftover, a suspicion to be noted.

Bounded in number and time; a failure is logged and forgotten, since a later poll mends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from appliance.faults import StoreDown
from appliance.log import Log

_MAX_UNDER_WAY = 1000
_LIMIT_S = 30.0


class Background:
    """Starts work in the nursery it is given; drops it when there is too much."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._nursery: trio.Nursery | None = None
        self._under_way = 0

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Host the work until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None  # requests that outlive it are answered all the same

    def later(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run `work(*args)` in the background; not if there is too much or we are stopping."""
        if self._nursery is None or self._under_way >= _MAX_UNDER_WAY:
            self._log.debug("background_work_dropped", work=work.__name__)
            return
        self._under_way += 1
        self._nursery.start_soon(self._work, work, args)

    async def _work(self, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        try:
            with trio.move_on_after(_LIMIT_S):
                await work(*args)
        except StoreDown as error:
            self._log.debug("background_work_without_store", reason=str(error))
        except Exception as error:
            self._log.error("background_work_failed", work=work.__name__, exc_info=error)
        finally:
            self._under_way -= 1
