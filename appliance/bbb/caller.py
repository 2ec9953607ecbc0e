"""Whose request it is."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model import Tenant, TenantId


@dataclass(frozen=True, slots=True)
class Caller:
    """The front-end that makes a request: a tenant's, or with multitenancy off simply the one."""

    tenant: Tenant | None = None
    base_url: str = ""
    """Scheme and host of the request, `https://bbb.example.org`; our own URLs begin so."""

    @property
    def tenant_id(self) -> TenantId | None:
        """Return the tenant's id, None without tenants."""
        return self.tenant.id if self.tenant else None
