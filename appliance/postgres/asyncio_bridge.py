"""The asyncio loop inside Trio, for the drivers that know nothing else (asyncpg).

The only importer of trio_asyncio. Opened once, around everything that uses such a driver. Holds no
driver and no rule.
Truth: trio-asyncio 0.16 `_base.py`, `_loop.py`; asyncio's documentation of event loops.

Three things are put right here:

- trio-asyncio's default exception handler ends the whole process for what asyncio merely logs.
- It runs one asyncio callback per Trio scheduler tick, which doubles the price of every query.
- It keeps cancelled timers, each with its context, until they would have been due: with drivers
  that set a timeout per command, hundreds of megabytes.

The last two lean on its inside (`_Turns`); another version than TUNED_VERSION, or
TUNING_OFF=asyncio-loop, leaves them as they are. The first is needed always, and is asyncio's own.
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
    # It derives from classes that Python 3.12 deprecated; a strict filter would refuse the import.
    warnings.simplefilter("ignore", DeprecationWarning)
    import trio_asyncio

TUNED_VERSION = "0.16."
"""The only trio-asyncio whose inside `_Turns` was checked against; others run as they are."""
REAP_AFTER = 100
"""So many cancelled timers are left alone: a heap with so few is small anyway."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class AsyncioCancelled(Exception):
    """The asyncio side was cancelled, but not by us: the driver was closed under its users."""


@asynccontextmanager
async def open_asyncio_loop(
    *, tuned: bool = True, log: Log | None = None
) -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Run an asyncio loop until the block ends; `run_asyncio` and asyncio's own calls use it.

    What asyncio has nobody to tell (an exception in a callback, a task that nobody awaits) is
    logged and nothing more. `tuned=False` leaves trio-asyncio's loop as it is.
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

    A Trio cancellation cancels the asyncio task and waits for it to end. Never put half of an
    `async with` of asyncio's into it: its exit would not run when cancelled (a connection is lost
    each time); the whole block belongs into one `function`.
    Raises whatever it raises; AsyncioCancelled: it was cancelled by somebody else.
    """
    try:
        return await trio_asyncio.aio_as_trio(function)(*args)  # type: ignore[no-any-return]
    except asyncio.CancelledError as error:
        # Not an Exception, so it would run through every `except Exception` and end the process.
        raise AsyncioCancelled("cancelled on the asyncio side") from error  # noqa: ASYNC104


def _log_only(log: Log) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    def handler(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Cut at the first bracket: asyncio puts the callback's arguments there, which may be data.
        message = str(context.get("message", "")).partition("(")[0]
        # A result that nobody took: drivers leave these when a connection breaks (asyncpg 0.30),
        # and who used the connection has got an error of his own.
        tell = log.warning if "never retrieved" in message else log.error
        tell("asyncio_error", reason=message, exc_info=context.get("exception"))

    return handler


class _Turns:
    """Two methods of one loop object, written anew: how a turn runs, and what becomes of timers."""

    def __init__(self, loop: Any) -> None:
        # Imported here: another version may not have it.
        from trio_asyncio._handles import AsyncHandle

        self._async_handle: type[Any] = AsyncHandle
        self._loop = loop
        self._timers: list[asyncio.TimerHandle] = loop._timers
        self._queue: trio.MemoryReceiveChannel[asyncio.Handle] = loop._q_recv
        self._stock_turn = loop._main_loop_one
        self._cancelled_timers = 0

    def install(self) -> None:
        """Put them into the loop; other loops of the process stay as they are."""
        self._loop._main_loop_one = self.turn
        self._loop._timer_handle_cancelled = self.timer_cancelled

    async def turn(self, no_wait: bool = False) -> None:
        """Run what was queued when the turn began, as asyncio does; stock: one handle.

        What these callbacks queue waits for the next turn: else two of them that call each other
        would keep Trio's other tasks from running.
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
        """Wait for a handle or the first timer. Always lets other Trio tasks run in between."""
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
        """Put a timer where timers wait; return what is to run now."""
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
            # So that libraries that ask (anyio) see themselves in asyncio.
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
        if self._loop.is_running():  # a loop that closes is walking through the list itself
            self._timers[:] = [timer for timer in self._timers if not timer.cancelled()]
            heapq.heapify(self._timers)
