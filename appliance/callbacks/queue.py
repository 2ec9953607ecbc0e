"""The callback queue, which sender.py processes.

It consists of two stores: PostgreSQL, and Redis while PostgreSQL is down or disabled.
Source: docs/callbacks.md.
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
class CallbackListing:
    """Callbacks in the queue."""

    callbacks: tuple[QueuedCallback, ...]
    """Newest first."""
    problems: tuple[str, ...]
    """Which stores could not be read, and why."""


@dataclass(frozen=True, slots=True)
class ChangedCallbacks:
    """Result of an operator's change to the queue."""

    ids: tuple[str, ...]
    unchanged: tuple[str, ...]
    """Other requested ids: unknown, being sent, or in a state that does not allow the change."""
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallbackQueue:
    """The callback queue."""

    stores: Sequence[CallbackStore]
    """A callback goes to the first store that accepts it."""
    wake: Callable[[], None]
    """Make the sender check the queue now."""
    log: Log

    async def enqueue(self, callback: Callback, *, dedup_key: str) -> bool:
        """Add a callback, to be sent soon; False: its key exists, nothing is done.

        Raises StoreDown: no store accepted it.
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

    async def show(self, state: CallbackState | None, limit: int) -> CallbackListing:
        """Return the newest callbacks, of one state or all, from every store that answers."""
        found, problems = await self._each(lambda store: store.show(state, limit))
        newest = sorted(found, key=lambda one: one.created_ms, reverse=True)
        return CallbackListing(tuple(newest[:limit]), problems)

    async def count(self) -> dict[CallbackState, int]:
        """Return the numbers of pending and failed ones. Raises DatabaseDown, StoreDown."""
        counted = {CallbackState.PENDING: 0, CallbackState.FAILED: 0}
        for store in self.stores:
            for state, number in (await store.count()).items():
                counted[state] += number
        return counted

    async def retry(self, actor: str, ids: Sequence[str] | None) -> ChangedCallbacks:
        """Restart the 24 hours of attempts of callbacks; None: of all failed ones."""
        changed, problems = await self._each(lambda store: store.retry(ids))
        return self._report("callbacks_retried_by_hand", actor, changed, ids or (), problems)

    async def drop(self, actor: str, ids: Sequence[str]) -> ChangedCallbacks:
        """Drop callbacks that are pending or failed."""
        changed, problems = await self._each(lambda store: store.drop(ids))
        return self._report("callbacks_dropped", actor, changed, ids, problems)

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
        actor: str,
        changed: Sequence[str],
        asked: Sequence[str],
        problems: tuple[str, ...],
    ) -> ChangedCallbacks:
        if changed:
            self.log.info(event, by=actor, ids=list(changed))
            self.wake()
        others = tuple(one for one in dict.fromkeys(asked) if one not in changed)
        return ChangedCallbacks(tuple(changed), others, problems)
