"""What web hooks need of the world, as Protocols; adapters implement them."""

from __future__ import annotations

from typing import Protocol

from appliance.callbacks.hook_rules import Hook, Registration, ServerHooks
from appliance.model import ServerId, TenantId


class HookStore(Protocol):
    """Hooks, and where they are registered. Every method raises StoreDown."""

    async def add(self, hook: Hook) -> tuple[str, bool] | None:
        """Register a hook; return its id and whether it is new, None: there are too many."""

    async def remove(self, hook_id: str, tenant_id: TenantId | None) -> bool:
        """Remove a tenant's hook; False: it has no such."""

    async def version(self) -> str:
        """Return what changes whenever hooks are added or removed."""

    async def all(self) -> tuple[Hook, ...]:
        """Return every hook."""

    async def read(self, server_id: ServerId) -> ServerHooks:
        """Return what is known of the hooks of a server."""

    async def note(self, server_id: ServerId, registration: Registration) -> None:
        """Remember what is registered on a server."""

    async def forget(self, server_id: ServerId, registration: Registration) -> None:
        """Forget what is registered on a server no more."""
