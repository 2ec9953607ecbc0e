"""The front-end that makes a request."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model import Tenant, TenantId


@dataclass(frozen=True, slots=True)
class Caller:
    """The front-end that makes a request, with its tenant if multitenancy is on."""

    tenant: Tenant | None = None
    base_url: str = ""
    """Scheme and host of the request, `https://bbb.example.org`; prefix of the appliance's URLs."""

    @property
    def tenant_id(self) -> TenantId | None:
        """Return the tenant's id, None without tenants."""
        return self.tenant.id if self.tenant else None
