"""Run an asyncio loop inside Trio, for asyncpg.

The only importer of trio_asyncio. The loop is opened once, around everything that uses asyncpg.
Source: trio-asyncio 0.16 `_base.py`, `_loop.py`; Python documentation, "Event Loop".

Three properties of trio-asyncio are changed:

- Its default exception handler ends the process for errors that asyncio only logs.
- It runs one asyncio callback per tick of Trio's scheduler, which doubles the cost of a query.
- It keeps cancelled timers, each with its context, until they would have been due: hundreds of
  megabytes with a driver that sets a timeout per command.

The exception handler is always replaced. The other two changes replace private methods (`_Turns`)
and are made for TUNED_VERSION only; TUNING_OFF=asyncio-loop switches them off.
"""

from __future__ import annotations

import asyncio
import heapq
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, TypeVarTuple

import sniffio
import trio

from appliance.log import Log, get_logger

with warnings.catch_warnings():
    # It derives from classes that are deprecated since Python 3.12.
    warnings.simplefilter("ignore", DeprecationWarning)
    import trio_asyncio

TUNED_VERSION = "0.16."
"""The version of trio-asyncio that `_Turns` was written for; others run unchanged."""
REAP_AFTER = 100
"""Number of cancelled timers that are tolerated: such a heap is small."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class AsyncioCancelled(Exception):
    """The asyncio side was cancelled, but not from Trio: the driver was closed while in use."""


@asynccontextmanager
async def open_asyncio_loop(
    *, tuned: bool, log: Log | None = None
) -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Run an asyncio loop until the block ends; `run_asyncio` and calls of asyncio use it.

    Errors that reach no caller (in a callback, in a task that is not awaited) are logged.
    `tuned=False` leaves the loop of trio-asyncio unchanged.
    """
    logger: Log = log if log is not None else get_logger(__name__)
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(_log_only(logger))
        if tuned and trio_asyncio.__version__.startswith(TUNED_VERSION):
            _Turns(loop).install()
        elif tuned:
            logger.warning("asyncio_loop_not_tuned", trio_asyncio=trio_asyncio.__version__)
        yield loop


async def run_asyncio(function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Call an asyncio coroutine function from Trio and return its result.

    A Trio cancellation cancels the asyncio task and waits for its end. An `async with` of asyncio
    must be within one `function` as a whole: otherwise its exit does not run on cancellation, and a
    connection is lost.
    Raises the function's errors; AsyncioCancelled: it was cancelled, but not from Trio.
    """
    try:
        return await trio_asyncio.aio_as_trio(function)(*args)  # type: ignore[no-any-return]
    except asyncio.CancelledError as error:
        # Not an Exception, so no `except Exception` would catch it and the process would end.
        raise AsyncioCancelled("cancelled on the asyncio side") from error  # noqa: ASYNC104


def _log_only(log: Log) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    def handler(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Cut at the first bracket: asyncio appends the callback's arguments, which may be data.
        message = str(context.get("message", "")).partition("(")[0]
        error = context.get("exception")
        # asyncpg 0.30 leaves results that are never retrieved when a connection breaks; the user of
        # the connection gets an error of its own. One that is closed while it is being made, as
        # when a start fails for another reason, has no user any more.
        write = log.error
        if "never retrieved" in message:
            write = log.debug if isinstance(error, ConnectionError) else log.warning
        write("asyncio_error", reason=message, exc_info=error)

    return handler


class _Turns:
    """Replacements for two methods of one loop: the main loop's turn, and cancelled timers."""

    def __init__(self, loop: Any) -> None:
        # Imported here, because another version may not have it.
        from trio_asyncio._handles import AsyncHandle

        self._async_handle: type[Any] = AsyncHandle
        self._loop = loop
        self._timers: list[asyncio.TimerHandle] = loop._timers
        self._queue: trio.MemoryReceiveChannel[asyncio.Handle] = loop._q_recv
        self._stock_turn = loop._main_loop_one
        self._cancelled_timers = 0

    def install(self) -> None:
        """Install the methods in this loop; other loops of the process are not changed."""
        self._loop._main_loop_one = self.turn
        self._loop._timer_handle_cancelled = self.timer_cancelled

    async def turn(self, no_wait: bool = False) -> None:
        """Run all handles that were queued when the turn began, as asyncio does; stock: one handle.

        Handles that these callbacks queue wait for the next turn. Otherwise two callbacks that
        schedule each other would starve Trio's other tasks.
        """
        if no_wait:  # the loop is being closed
            await self._stock_turn(no_wait=True)
            return
        handle = await self._next()
        waiting = self._queue.statistics().current_buffer_used
        while True:
            if handle is not None:
                await self._run(handle)
            if waiting <= 0:
                return
            waiting -= 1
            handle = self._sorted_out(self._queue.receive_nowait())

    async def _next(self) -> asyncio.Handle | None:
        """Wait for a handle or the first timer. Always a checkpoint."""
        timers = self._timers
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        if not timers:
            return self._sorted_out(await self._queue.receive())
        due_in_s = timers[0].when() - self._loop.time()
        if due_in_s > 0:
            with trio.move_on_after(due_in_s):
                return self._sorted_out(await self._queue.receive())
            return None
        await trio.lowlevel.checkpoint()
        # Other tasks ran meanwhile and may have emptied the heap.
        return heapq.heappop(timers) if timers else None

    def _sorted_out(self, handle: asyncio.Handle) -> asyncio.Handle | None:
        """Push a timer onto the heap; return a handle that is to run now."""
        if not isinstance(handle, asyncio.TimerHandle):
            return handle
        if not handle.cancelled():
            heapq.heappush(self._timers, handle)
        return None

    async def _run(self, handle: asyncio.Handle) -> None:
        if isinstance(handle, self._async_handle):
            found: Any = handle
            start = self._loop._nursery.start_soon
            found._context.run(start, found._run, name=found._callback)
            await found._started.wait()
        elif not handle.cancelled():
            # Libraries such as anyio ask sniffio, and must find asyncio.
            before, sniffio.thread_local.name = sniffio.thread_local.name, "asyncio"
            try:
                handle._run()
            finally:
                sniffio.thread_local.name = before

    def timer_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        """Drop the cancelled timers when they are more than half of the heap; stock: never."""
        self._cancelled_timers += 1
        if self._cancelled_timers <= REAP_AFTER or self._cancelled_timers * 2 <= len(self._timers):
            return
        self._cancelled_timers = 0
        if self._loop.is_running():  # a closing loop iterates over the list itself
            self._timers[:] = [timer for timer in self._timers if not timer.cancelled()]
            heapq.heapify(self._timers)
