"""The hooks as last read: a create must know whether to care, and may not ask the store for it."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.callbacks.hook_rules import Hook
from appliance.callbacks.hook_store import HookStore
from appliance.model import MeetingId, TenantId


class HookCache:
    """What the poller and the calls about hooks have read last."""

    def __init__(self, store: HookStore, *, multitenancy: bool) -> None:
        self._store = store
        self._multitenancy = multitenancy
        self._hooks: tuple[Hook, ...] = ()
        self._version: str | None = None

    async def refresh(self) -> None:
        """Read the hooks anew if they have changed. Raises StoreDown."""
        version = await self._store.version()
        if version != self._version:
            self._hooks = tuple(self.active(await self._store.all()))
            self._version = version

    def active(self, hooks: Iterable[Hook]) -> list[Hook]:
        """Return those that count: of tenants, or of nobody if there are no tenants."""
        return [hook for hook in hooks if (hook.tenant_id is not None) == self._multitenancy]

    def concerns(self, meeting_id: MeetingId, tenant_id: TenantId | None) -> bool:
        """Whether hooks of this meeting must be seen to when it is created.

        Of an id that two tenants use, hooks of the one that had it before may still be there.
        """
        return any(
            hook.tenant_id is not None or hook.wants(meeting_id, tenant_id) for hook in self._hooks
        )
