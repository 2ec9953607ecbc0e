"""The queue of callbacks, which sender.py works off.

The queue is two stores: PostgreSQL, and Redis for what PostgreSQL cannot take. Truth:
docs/callbacks.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from appliance.callbacks.queue_store import CallbackStore
from appliance.callbacks.rules import (
    Callback,
    CallbackState,
    QueuedCallback,
)
from appliance.faults import DatabaseDown, StoreDown
from appliance.log import Log

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ShownCallbacks:
    """What is in the queue."""

    callbacks: tuple[QueuedCallback, ...]
    """The newest first."""
    problems: tuple[str, ...]
    """Which stores could not be read, and why."""


@dataclass(frozen=True, slots=True)
class ChangedCallbacks:
    """What an operator has changed in the queue."""

    ids: tuple[str, ...]
    unchanged: tuple[str, ...]
    """What was asked for besides: unknown, being sent, or not in a state for it."""
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallbackQueue:
    """The queue of callbacks."""

    stores: Sequence[CallbackStore]
    """The first that can take a callback gets it."""
    wake: Callable[[], None]
    """Let the sender look at the queue now."""
    log: Log

    async def enqueue(self, callback: Callback, *, dedup_key: str) -> bool:
        """Keep a callback, to be sent soon; False: its key is known, nothing is done.

        Raises StoreDown: no store could take it.
        """
        last: Exception = StoreDown("no store for callbacks")
        for store in self.stores:
            try:
                added = await store.add(callback, dedup_key)
            except (DatabaseDown, StoreDown) as error:
                last = error
                continue
            if added:
                self.wake()
                self.log.debug("callback_queued", kind=callback.kind, meeting=callback.meeting_id)
            return added
        raise StoreDown(str(last))

    async def show(self, state: CallbackState | None, limit: int) -> ShownCallbacks:
        """Return the newest callbacks of one state or of all, of every store that answers."""
        found, problems = await self._each(lambda store: store.show(state, limit))
        newest = sorted(found, key=lambda one: one.created_ms, reverse=True)
        return ShownCallbacks(tuple(newest[:limit]), problems)

    async def count(self) -> dict[CallbackState, int]:
        """Return how many are pending, and how many failed. Raises DatabaseDown, StoreDown."""
        counted = {CallbackState.PENDING: 0, CallbackState.FAILED: 0}
        for store in self.stores:
            for state, number in (await store.count()).items():
                counted[state] += number
        return counted

    async def retry(self, who: str, ids: Sequence[str] | None) -> ChangedCallbacks:
        """Give callbacks a new day of attempts, from now; None: all that failed."""
        changed, problems = await self._each(lambda store: store.retry(ids))
        return self._report("callbacks_retried_by_hand", who, changed, ids or (), problems)

    async def drop(self, who: str, ids: Sequence[str]) -> ChangedCallbacks:
        """Take callbacks that are pending or failed out of the queue."""
        changed, problems = await self._each(lambda store: store.drop(ids))
        return self._report("callbacks_dropped", who, changed, ids, problems)

    async def _each(
        self, ask: Callable[[CallbackStore], Awaitable[list[T]]]
    ) -> tuple[list[T], tuple[str, ...]]:
        found: list[T] = []
        problems: list[str] = []
        for store in self.stores:
            try:
                found += await ask(store)
            except DatabaseDown as error:
                problems.append(f"PostgreSQL is not reachable: {error}")
            except StoreDown as error:
                problems.append(f"Redis is not reachable: {error}")
        return found, tuple(problems)

    def _report(
        self,
        event: str,
        who: str,
        changed: Sequence[str],
        asked: Sequence[str],
        problems: tuple[str, ...],
    ) -> ChangedCallbacks:
        if changed:
            self.log.info(event, by=who, ids=list(changed))
            self.wake()
        others = tuple(one for one in dict.fromkeys(asked) if one not in changed)
        return ChangedCallbacks(tuple(changed), others, problems)
