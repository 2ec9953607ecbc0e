"""What callbacks need of the world, as Protocols; adapters implement them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.callbacks.attributes_yaml import KeptUrls
from appliance.callbacks.rules import Callback, CallbackState, QueuedCallback, Settlement
from appliance.model import TenantId


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


class CallbackQueue(Protocol):
    """Where a callback is put, to be sent soon and for as long as it takes."""

    async def enqueue(self, callback: Callback, *, dedup_key: str) -> bool:
        """Keep a callback; False: one with this key is known already, and nothing is done.

        When it returns the callback outlives the process. Raises StoreDown: neither PostgreSQL nor
        Redis could keep it.
        """

    async def show(self, state: CallbackState | None, limit: int) -> ShownCallbacks:
        """Return the newest callbacks of one state or of all."""

    async def count(self) -> Mapping[CallbackState, int]:
        """Return how many are pending, and how many failed. Raises DatabaseDown, StoreDown."""

    async def retry(self, who: str, ids: Sequence[str] | None) -> ChangedCallbacks:
        """Give callbacks a new day of attempts, from now; None: all that failed."""

    async def drop(self, who: str, ids: Sequence[str]) -> ChangedCallbacks:
        """Take callbacks out of the queue."""


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


class CallbackClient(Protocol):
    """Makes the calls."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Make one call and return the status. Raises CallFailed, CallRefused."""


class CallbackUrls(Protocol):
    """The callback URLs of meetings, by the front-end's id and its tenant."""

    async def keep(self, meeting_id: str, tenant_id: TenantId | None, kept: KeptUrls) -> None:
        """Remember URLs of a meeting beside those it has, for good when this returns.

        Raises StoreDown: it could not.
        """

    async def flush(self) -> int:
        """Write what waits in Redis to `callback_data`. Raises DatabaseDown, StoreDown."""

    async def prune(self, older_than_s: float) -> int:
        """Forget those of meetings not created for so long; return how many. Raises DatabaseDown"""

    async def flush_soon(self) -> None:
        """Flush, unless that is being done. Raises DatabaseDown, StoreDown."""

    async def find(self, meeting_id: str, tenant_id: TenantId | None) -> KeptUrls | None:
        """Return what is kept for a meeting. Raises DatabaseDown, StoreDown."""
