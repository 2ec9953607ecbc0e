"""Run services that are restarted when they fail, and background work that is bounded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import trio

from appliance.faults import StoreDown
from appliance.log import Log

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_STEADY_S = 60.0
"""A service that ran this long before it failed is restarted after the first pause."""

_MAX_UNDER_WAY = 1000
_LIMIT_S = 30.0

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Call `work` for each, at most `at_once` at a time.

    To start a task takes 10 µs, so they are started one by one and not all in one step.
    """
    slots = trio.Semaphore(at_once)

    async def call(item: T) -> None:
        try:
            await work(item)
        finally:
            slots.release()

    async with trio.open_nursery() as nursery:
        for item in items:
            await slots.acquire()
            nursery.start_soon(call, item)


async def supervise(name: str, service: Callable[[], Awaitable[None]], log: Log) -> None:
    """Run a service until it returns; when it fails, log the traceback and restart it.

    The pause before a restart is 1 s, doubling to 60 s. A failure affects no other service.
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


class Background:
    """Best-effort work whose result no caller awaits, such as ending a leftover meeting.

    Bounded in number and time. A failure is logged and dropped: the next poll corrects the state.
    """

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
            self._nursery = None  # requests that outlive it are still answered

    def later(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run `work(*args)` in the background; drop it at the limit or while stopping."""
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
