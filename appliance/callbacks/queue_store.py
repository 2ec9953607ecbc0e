"""What both stores of the callback queue do: PostgreSQL, and Redis while that is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from appliance.callbacks.rules import Callback, CallbackState, QueuedCallback, Settlement


class CallbackStore(Protocol):
    """One of the two stores of the queue.

    Every method raises DatabaseDown or StoreDown. An id of one store is unknown to the other.
    """

    async def add(self, callback: Callback, dedup_key: str) -> bool:
        """Keep a callback; False: its key is known."""

    async def claim(
        self, who: str, limit: int, lease_s: float, *, full: Sequence[str], retries: bool
    ) -> list[QueuedCallback]:
        """Take callbacks that are due, for `lease_s`, the longest due first.

        `full`: receivers (host_of_url) that are sent enough already; `retries=False`: only those
        that were never tried.
        """

    async def renew(self, who: str, ids: Sequence[str], lease_s: float) -> None:
        """Keep claims for another `lease_s`."""

    async def settle(self, who: str, queued: QueuedCallback, settlement: Settlement) -> bool:
        """Write what became of a claimed callback; False: it is somebody else's by now."""

    async def make_due(self) -> int:
        """Let everything that waits for its next attempt be tried now; return how many."""

    async def prune(self, older_than_s: float) -> int:
        """Remove what was finished so long ago; return how many."""

    async def show(self, state: CallbackState | None, limit: int) -> list[QueuedCallback]:
        """Return the newest callbacks, newest first, of one state or of all."""

    async def count(self) -> Mapping[CallbackState, int]:
        """Return how many are pending, and how many failed, of those that are shown."""

    async def retry(self, ids: Sequence[str] | None) -> list[str]:
        """Give callbacks a new day, from now; None: all that failed. Return their ids."""

    async def drop(self, ids: Sequence[str]) -> list[str]:
        """Take callbacks that are pending or failed out of the queue. Return their ids."""
