"""Sends the callbacks of the queue: many concurrently, but few to one receiver.

A receiver that does not answer occupies only its own slots, and retries occupy at most half of all
slots, so that new callbacks are not delayed. rules.py decides what is retried. All state is in the
stores of the queue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import trio

from appliance.callbacks.attempt import CallbackTools, attempt_callback
from appliance.callbacks.queue_store import CallbackStore
from appliance.callbacks.rules import (
    AttemptResult,
    CallbackState,
    QueuedCallback,
    host_of_url,
    result_of_failure,
)
from appliance.callbacks.url_store import CallbackUrls
from appliance.faults import DatabaseDown, StoreDown
from appliance.log import Log

MAX_AT_ONCE = 64
MAX_RETRIES = 32
MAX_PER_RECEIVER = 4
CHECK_INTERVAL_S = 2.0
"""Interval of checking the queue without being woken: other appliances add callbacks too."""
LEASE_S = 6.0
"""After this time another appliance sends the callbacks of one that died."""
RENEW_S = 1.5
RECORD_RETRY_S = 1.0
POSTPONED_INTERVAL_S = 15.0
"""Interval of checking whether the clock was set back."""
STOP_S = 1.0
PRUNE_INTERVAL_S = 3600.0
KEEP_S = 7 * 86400.0
"""How long finished callbacks are kept."""
_DOWN = (DatabaseDown, StoreDown)


@dataclass(slots=True)
class CallbackSender:
    """Sends the callbacks of every store. One `run` at a time."""

    stores: Sequence[CallbackStore]
    urls: CallbackUrls
    owner: str
    """Identifies this process among those that share the stores."""
    log: Log
    check_interval_s: float = CHECK_INTERVAL_S
    lease_s: float = LEASE_S
    postponed_interval_s: float = POSTPONED_INTERVAL_S
    _wakes: list[trio.Event] = field(default_factory=list)
    _slots: dict[str, trio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: trio.Semaphore(MAX_PER_RECEIVER))
    )
    _under_way: dict[str, QueuedCallback] = field(default_factory=dict)

    def wake(self) -> None:
        """Check the queue now."""
        for event in self._wakes:
            event.set()

    async def run(self, tools: CallbackTools) -> None:
        """Send until cancelled; then release the callbacks that are not finished."""
        self._wakes = [trio.Event() for _ in self.stores]
        self._under_way.clear()
        self._slots.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._flush_forever)
            for number, store in enumerate(self.stores):
                nursery.start_soon(self._prune_forever, store)
                nursery.start_soon(self._make_postponed_due_forever, store)
                nursery.start_soon(self._serve, number, store, tools)

    async def _serve(self, number: int, store: CallbackStore, tools: CallbackTools) -> None:
        mine: dict[str, QueuedCallback] = {}
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._renew_forever, store, mine)
                fresh = True
                while True:
                    self._wakes[number] = wake = trio.Event()
                    try:
                        if fresh:  # after a start everything is due
                            await store.make_due()
                            fresh = False
                        await self._send_due(store, mine, nursery, tools)
                    except _DOWN as error:
                        self.log.debug("callbacks_wait", reason=str(error))
                    with trio.move_on_after(self.check_interval_s):
                        await wake.wait()
        finally:
            with trio.move_on_after(STOP_S, shield=True):
                await self._release(store, mine)

    async def _send_due(
        self,
        store: CallbackStore,
        mine: dict[str, QueuedCallback],
        nursery: trio.Nursery,
        tools: CallbackTools,
    ) -> None:
        """Claim due callbacks and start sending them while there are free slots."""
        while (room := MAX_AT_ONCE - len(self._under_way)) > 0:
            limit = min(room, MAX_PER_RECEIVER)
            full, retries = self._full(), self._retries() < MAX_RETRIES
            batch = await store.claim(self.owner, limit, self.lease_s, full=full, retries=retries)
            if not batch:
                return
            for queued in batch:
                if queued.id in self._under_way:
                    continue  # claimed again: the database was down for longer than a lease
                mine[queued.id] = self._under_way[queued.id] = queued
                nursery.start_soon(self._send, store, mine, queued, tools)

    def _full(self) -> list[str]:
        counts: dict[str, int] = defaultdict(int)
        for queued in self._under_way.values():
            counts[host_of_url(queued.callback.url)] += 1
        return [host for host, count in counts.items() if count >= MAX_PER_RECEIVER]

    def _retries(self) -> int:
        return sum(queued.attempts > 0 for queued in self._under_way.values())

    async def _send(
        self,
        store: CallbackStore,
        mine: dict[str, QueuedCallback],
        queued: QueuedCallback,
        tools: CallbackTools,
    ) -> None:
        host = host_of_url(queued.callback.url)
        try:
            async with self._slots[host]:
                result = await self._attempt(queued, tools)
            self._log_result(tools, queued, result)
            await self._record_result(store, queued, result)
            del mine[queued.id]
        finally:
            del self._under_way[queued.id]
            if all(host_of_url(one.callback.url) != host for one in self._under_way.values()):
                self._slots.pop(host, None)
            self.wake()

    async def _attempt(self, queued: QueuedCallback, tools: CallbackTools) -> AttemptResult:
        try:
            return await attempt_callback(tools, queued)
        except Exception as error:
            # A defect must not stop the other callbacks.
            self.log.error("callback_broke", id=queued.id, exc_info=error)
            return result_of_failure(queued, f"{type(error).__name__}, see the log")

    async def _record_result(
        self, store: CallbackStore, queued: QueuedCallback, result: AttemptResult
    ) -> None:
        """Record the result, retrying until it is stored: otherwise the callback is sent again."""
        while True:
            try:
                await store.record_result(self.owner, queued, result)
                return
            except _DOWN:
                await trio.sleep(RECORD_RETRY_S)

    def _log_result(
        self, tools: CallbackTools, queued: QueuedCallback, result: AttemptResult
    ) -> None:
        callback, receiver = queued.callback, host_of_url(queued.callback.url)
        fields = {
            "id": queued.id,
            "kind": callback.kind.value,
            "meeting": callback.meeting_id,
            "receiver": receiver,
            "attempts": queued.attempts + 1,
        }
        if result.state is CallbackState.DONE:
            self.log.info("callback_sent", status=result.status, **fields)
        elif result.state is CallbackState.FAILED:
            self.log.warning("callback_failed", reason=result.error, **fields)
        elif result.state is CallbackState.DROPPED:
            self.log.debug("callback_dropped", reason=result.error, **fields)
        elif queued.attempts == 0:  # a dead receiver is not logged at every attempt
            tools.faults.note("callback_retried", receiver, reason=result.error, **fields)
        else:
            self.log.debug("callback_retried", reason=result.error, **fields)

    async def _renew_forever(self, store: CallbackStore, mine: dict[str, QueuedCallback]) -> None:
        pause_s = min(RENEW_S, self.lease_s / 4)
        while True:
            await trio.sleep(pause_s)
            if mine:
                await _if_up(partial(store.renew, self.owner, list(mine), self.lease_s))

    async def _release(self, store: CallbackStore, mine: dict[str, QueuedCallback]) -> None:
        """End the claims of unfinished callbacks, so that others can send them immediately."""
        if mine:
            await _if_up(partial(store.renew, self.owner, list(mine), 0.0))

    async def _flush_forever(self) -> None:
        """Write the URLs of creates that arrived while the database was down."""
        while True:
            await _if_up(self.urls.flush)
            await trio.sleep(5 * self.check_interval_s)

    async def _make_postponed_due_forever(self, store: CallbackStore) -> None:
        while True:
            await trio.sleep(self.postponed_interval_s)
            with suppress(*_DOWN):
                if count := await store.make_postponed_due(self.lease_s):
                    self.log.info("callbacks_made_due", count=count, reason="the clock went back")
                    self.wake()

    async def _prune_forever(self, store: CallbackStore) -> None:
        while True:
            await _if_up(partial(store.prune, KEEP_S))
            await trio.sleep(PRUNE_INTERVAL_S)


async def _if_up(call: Callable[[], Awaitable[object]]) -> None:
    """Make a call that is repeated later, ignoring that a store is down."""
    with suppress(*_DOWN):
        await call()
