"""What the administration of tenants needs of the store, as a Protocol.

Every method raises StoreDown. What requests ask about tenants is in ports.py.
"""

from __future__ import annotations

from typing import Protocol

from appliance.model import TenantId
from appliance.tenants.values import Saved, TenantChange, TenantRecord, TenantSetting


class TenantStore(Protocol):
    """The tenants and their settings. One round trip a method."""

    async def list_tenants(self) -> list[TenantRecord]:
        """Return all tenants."""

    async def find_tenant(self, tenant_id: TenantId) -> TenantRecord | None:
        """Return one tenant."""

    async def add_tenant(self, tenant_id: TenantId, change: TenantChange) -> Saved:
        """Add a tenant; TAKEN: another one has its name, in any case."""

    async def update_tenant(self, tenant_id: TenantId, change: TenantChange) -> Saved:
        """Change what `change` names."""

    async def remove_tenant(self, tenant_id: TenantId, *, force: bool) -> int | None:
        """Remove a tenant with its settings.

        Return None if done, the number of its meetings if refused, -1 if there is no such.
        """

    async def list_settings(self, tenant_id: TenantId | None = None) -> list[TenantSetting] | None:
        """Return the settings of all tenants or of one; None: there is no such tenant."""

    async def add_setting(self, setting: TenantSetting) -> Saved:
        """Add a setting; TAKEN: the tenant has one of this param, call and kind already."""

    async def remove_setting(self, setting_id: str) -> TenantSetting | None:
        """Remove a setting and return it, None if there is no such."""
