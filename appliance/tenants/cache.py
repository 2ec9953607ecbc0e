"""A cache of tenants by host label.

It is emptied as soon as the mark of the tenants in Redis has changed, which the poller reads twice
a second. A Scalelite on the same stores changes the mark only when it adds or removes a tenant, so
entries are read again after some seconds all the same; and after half a second while the mark is
not known to be fresh: a change by another appliance must be visible within a second.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.model import Tenant
from appliance.tenants.store import TenantLookup

_KEEP_MS = 500
_KEEP_MARKED_MS = 3000
_FRESH_MS = 1000
"""How long a mark counts as fresh."""
_MAX_ENTRIES = 10_000


class TenantCache:
    """Tenants by host label."""

    def __init__(self, store: TenantLookup, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._kept: dict[str, tuple[int, Tenant | None]] = {}
        self._changes = 0
        self._mark = ""
        self._marked_ms = -_FRESH_MS

    def forget_all(self) -> None:
        """Empty the cache, because a tenant was changed."""
        self._kept.clear()
        self._changes += 1

    def note_mark(self, mark: str, *, asked_ms: int) -> None:
        """Empty the cache if the mark of the tenants has changed; Redis was asked at `asked_ms`."""
        if mark != self._mark:
            self._mark = mark
            self.forget_all()
        self._marked_ms = asked_ms

    async def find(self, label: str) -> Tenant | None:
        """Return the tenant of a host label in any case. Raises StoreDown."""
        label = label.lower()
        now_ms = self._now_ms()
        keep_ms = _KEEP_MARKED_MS if 0 <= now_ms - self._marked_ms < _FRESH_MS else _KEEP_MS
        kept = self._kept.get(label)
        if kept and 0 <= now_ms - kept[0] < keep_ms:
            return kept[1]
        changes = self._changes
        tenant = await self._store.find_tenant(label)
        if changes != self._changes:
            return tenant  # possibly read before the change
        if len(self._kept) >= _MAX_ENTRIES:
            self._kept.clear()  # clients can send any number of host labels
        self._kept[label] = now_ms, tenant
        return tenant
