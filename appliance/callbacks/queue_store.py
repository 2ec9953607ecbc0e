"""The interface of both stores of the callback queue: PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from appliance.callbacks.rules import AttemptResult, Callback, CallbackState, QueuedCallback


class CallbackStore(Protocol):
    """One of the two stores of the queue.

    Every method raises DatabaseDown or StoreDown. An id of one store is unknown to the other.
    """

    async def add(self, callback: Callback, dedup_key: str) -> bool:
        """Add a callback; False: its key exists."""

    async def claim(
        self, owner: str, limit: int, lease_s: float, *, full: Sequence[str], retries: bool
    ) -> list[QueuedCallback]:
        """Claim callbacks that are due, for `lease_s`, in the order in which they became due.

        `full`: receivers (host_of_url) with the maximum number of concurrent calls;
        `retries=False`: only callbacks without an attempt.
        """

    async def renew(self, owner: str, ids: Sequence[str], lease_s: float) -> None:
        """Extend claims to `lease_s` from now."""

    async def record_result(
        self, owner: str, queued: QueuedCallback, result: AttemptResult
    ) -> bool:
        """Record the result of an attempt; False: the claim has expired and was taken over."""

    async def make_due(self) -> int:
        """Make all callbacks that wait for their next attempt due now; return their number."""

    async def make_postponed_due(self, lease_s: float) -> int:
        """Make callbacks due whose time lies further ahead than any delay that was set for them.

        The clock was set back. So are claims that last longer than `lease_s`. Return their number.
        """

    async def prune(self, older_than_s: float) -> int:
        """Delete callbacks that were finished that long ago; return their number."""

    async def show(self, state: CallbackState | None, limit: int) -> list[QueuedCallback]:
        """Return the newest callbacks, of one state or all, newest first, without bodies."""

    async def count(self) -> Mapping[CallbackState, int]:
        """Return the numbers of pending and failed callbacks."""

    async def retry(self, ids: Sequence[str] | None) -> list[str]:
        """Restart the 24 hours of attempts; None: of all failed ones. Return their ids."""

    async def drop(self, ids: Sequence[str]) -> list[str]:
        """Drop callbacks that are pending or failed. Return their ids."""
