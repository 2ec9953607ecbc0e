"""A cache of tenants by host label, for half a second.

Not longer, since a Scalelite on the same stores announces no changes, and a change by another
appliance must be visible within a second, including the time of the request.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.model import Tenant
from appliance.tenants.store import TenantLookup

_KEEP_MS = 500
_MAX_ENTRIES = 10_000


class TenantCache:
    """Tenants by host label, read again after half a second."""

    def __init__(self, store: TenantLookup, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._kept: dict[str, tuple[int, Tenant | None]] = {}
        self._changes = 0

    def forget_all(self) -> None:
        """Empty the cache, because a tenant was changed through this appliance."""
        self._kept.clear()
        self._changes += 1

    async def find(self, label: str) -> Tenant | None:
        """Return the tenant of a host label in any case. Raises StoreDown."""
        label = label.lower()
        now_ms = self._now_ms()
        kept = self._kept.get(label)
        if kept and 0 <= now_ms - kept[0] < _KEEP_MS:
            return kept[1]
        changes = self._changes
        tenant = await self._store.find_tenant(label)
        if changes != self._changes:
            return tenant  # possibly read before the change
        if len(self._kept) >= _MAX_ENTRIES:
            self._kept.clear()  # clients can send any number of host labels
        self._kept[label] = now_ms, tenant
        return tenant
