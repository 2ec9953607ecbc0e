"""Sends what is in the queue of callbacks: many at once, few to one receiver, each with its time.

A receiver that hangs or is gone takes its own places only, and what was tried before takes half of
all at most, so that what is new is not kept waiting. Holds no rule about what is tried again
(callbacks/rules.py). Truth: the stores of the queue; nothing here outlives the process.
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
    CallbackState,
    QueuedCallback,
    Settlement,
    host_of_url,
    settle_fault,
)
from appliance.callbacks.url_store import CallbackUrls
from appliance.faults import DatabaseDown, StoreDown
from appliance.log import Log

MAX_AT_ONCE = 64
MAX_RETRIES = 32
MAX_PER_RECEIVER = 4
LOOK_S = 2.0
"""How often the queue is looked at without a reason: other appliances put calls into it too."""
LEASE_S = 6.0
"""What an appliance that died was sending is sent by another after this."""
RENEW_S = 1.5
SETTLE_PAUSE_S = 1.0
STOP_S = 1.0
TIDY_S = 3600.0
KEEP_S = 7 * 86400.0
"""How long finished callbacks are shown."""
_DOWN = (DatabaseDown, StoreDown)


@dataclass(slots=True)
class CallbackSender:
    """Sends the callbacks of every store. One `run` at a time."""

    stores: Sequence[CallbackStore]
    urls: CallbackUrls
    who: str
    """Names this process among those that share the stores."""
    log: Log
    look_s: float = LOOK_S
    lease_s: float = LEASE_S
    _wakes: list[trio.Event] = field(default_factory=list)
    _slots: dict[str, trio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: trio.Semaphore(MAX_PER_RECEIVER))
    )
    _under_way: dict[str, QueuedCallback] = field(default_factory=dict)

    def wake(self) -> None:
        """Look at the queue now."""
        for event in self._wakes:
            event.set()

    async def run(self, tools: CallbackTools) -> None:
        """Send until cancelled; then what is under way is left to whoever comes next."""
        self._wakes = [trio.Event() for _ in self.stores]
        self._under_way.clear()
        self._slots.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._flush_forever)
            for number, store in enumerate(self.stores):
                nursery.start_soon(self._tidy_forever, store)
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
                        if fresh:  # after a start everything is tried at once
                            await store.make_due()
                            fresh = False
                        await self._send_due(store, mine, nursery, tools)
                    except _DOWN as error:
                        self.log.debug("callbacks_wait", reason=str(error))
                    with trio.move_on_after(self.look_s):
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
        """Take what is due and start to send it, as long as there is room."""
        while (room := MAX_AT_ONCE - len(self._under_way)) > 0:
            limit = min(room, MAX_PER_RECEIVER)
            full, retries = self._full(), self._retries() < MAX_RETRIES
            batch = await store.claim(self.who, limit, self.lease_s, full=full, retries=retries)
            if not batch:
                return
            for queued in batch:
                if queued.id in self._under_way:
                    continue  # ours, claimed anew: the database was away for longer than a lease
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
                settlement = await self._attempt(queued, tools)
            self._tell(tools, queued, settlement)
            await self._settle(store, queued, settlement)
            del mine[queued.id]
        finally:
            del self._under_way[queued.id]
            if all(host_of_url(one.callback.url) != host for one in self._under_way.values()):
                self._slots.pop(host, None)
            self.wake()

    async def _attempt(self, queued: QueuedCallback, tools: CallbackTools) -> Settlement:
        try:
            return await attempt_callback(tools, queued)
        except Exception as error:
            # One callback must not end the sending of the others.
            self.log.error("callback_broke", id=queued.id, exc_info=error)
            return settle_fault(queued, f"{type(error).__name__}, see the log")

    async def _settle(
        self, store: CallbackStore, queued: QueuedCallback, settlement: Settlement
    ) -> None:
        """Write what became of a callback, for as long as it takes: what is not written is sent
        again."""
        while True:
            try:
                await store.settle(self.who, queued, settlement)
                return
            except _DOWN:
                await trio.sleep(SETTLE_PAUSE_S)

    def _tell(self, tools: CallbackTools, queued: QueuedCallback, settlement: Settlement) -> None:
        callback, receiver = queued.callback, host_of_url(queued.callback.url)
        fields = {
            "id": queued.id,
            "kind": callback.kind.value,
            "meeting": callback.meeting_id,
            "receiver": receiver,
            "attempts": queued.attempts + 1,
        }
        if settlement.state is CallbackState.DONE:
            self.log.info("callback_sent", status=settlement.status, **fields)
        elif settlement.state is CallbackState.FAILED:
            self.log.warning("callback_failed", reason=settlement.error, **fields)
        elif settlement.state is CallbackState.DROPPED:
            self.log.debug("callback_dropped", reason=settlement.error, **fields)
        elif queued.attempts == 0:  # a dead receiver is named once, not at every call and try
            tools.faults.note("callback_retried", receiver, reason=settlement.error, **fields)
        else:
            self.log.debug("callback_retried", reason=settlement.error, **fields)

    async def _renew_forever(self, store: CallbackStore, mine: dict[str, QueuedCallback]) -> None:
        pause_s = min(RENEW_S, self.lease_s / 4)
        while True:
            await trio.sleep(pause_s)
            if mine:
                await _if_up(partial(store.renew, self.who, list(mine), self.lease_s))

    async def _release(self, store: CallbackStore, mine: dict[str, QueuedCallback]) -> None:
        """Let others have at once what was not sent to its end."""
        if mine:
            await _if_up(partial(store.renew, self.who, list(mine), 0.0))

    async def _flush_forever(self) -> None:
        """Write the URLs that creates gave while the database was away."""
        while True:
            await _if_up(self.urls.flush)
            await trio.sleep(5 * self.look_s)

    async def _tidy_forever(self, store: CallbackStore) -> None:
        while True:
            await _if_up(partial(store.prune, KEEP_S))
            await trio.sleep(TIDY_S)


async def _if_up(call: Callable[[], Awaitable[object]]) -> None:
    """Do what is done again later anyway."""
    with suppress(*_DOWN):
        await call()
