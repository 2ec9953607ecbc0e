"""Callbacks: put into the queue by whoever has something to tell, sent by tasks/callback_sender.py.

The queue is two stores: PostgreSQL, and Redis for what PostgreSQL cannot take. Truth:
docs/callbacks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.core.callbacks import Callback
from appliance.core.faults import DatabaseDown, StoreDown
from appliance.log import Log
from appliance.operations.callback_ports import CallbackStore


@dataclass(frozen=True, slots=True)
class Callbacks:
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
