"""Who is asking: the tenant of a host, kept for half a second at most.

A Scalelite on the same stores sends no notice of changes, so nothing is kept longer; a change made
by another appliance is to be seen within a second, the time of the request included.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.model import Tenant
from appliance.tenants.store import TenantLookup

_KEEP_MS = 500
_MAX_ENTRIES = 10_000


class TenantCache:
    """Tenants by host label, re-read after half a second."""

    def __init__(self, store: TenantLookup, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._kept: dict[str, tuple[int, Tenant | None]] = {}
        self._changes = 0

    def forget_all(self) -> None:
        """Read every tenant anew: one was changed through this appliance."""
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
            return tenant  # it may have been read before the change
        if len(self._kept) >= _MAX_ENTRIES:
            self._kept.clear()  # host labels come from outside: never let them pile up
        self._kept[label] = now_ms, tenant
        return tenant
