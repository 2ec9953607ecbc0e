"""A cache of the web hooks, so that a create knows without a round trip whether any concern it."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.callbacks.hook_rules import Hook
from appliance.callbacks.hook_store import HookStore
from appliance.model import MeetingId, TenantId


class HookCache:
    """The web hooks as last read by the poller and by the hook calls."""

    def __init__(self, store: HookStore, *, multitenancy: bool) -> None:
        self._store = store
        self._multitenancy = multitenancy
        self._hooks: tuple[Hook, ...] = ()
        self._version: str | None = None

    async def refresh(self, version: str | None = None) -> None:
        """Read the hooks again if they have changed: if this, else what Redis says, is new.

        Raises StoreDown.
        """
        if version is None:
            version = await self._store.version()
        if version != self._version:
            self._hooks = tuple(self.active(await self._store.all()))
            self._version = version

    def active(self, hooks: Iterable[Hook]) -> list[Hook]:
        """Return the hooks in use: those of tenants, or without multitenancy those of none."""
        return [hook for hook in hooks if (hook.tenant_id is not None) == self._multitenancy]

    def concerns(self, meeting_id: MeetingId, tenant_id: TenantId | None) -> bool:
        """Whether the hooks of this meeting must be synchronised when it is created.

        True if any tenant has a hook: if two tenants use an id, hooks of the other one may still be
        registered on the server.
        """
        return any(
            hook.tenant_id is not None or hook.wants(meeting_id, tenant_id) for hook in self._hooks
        )
