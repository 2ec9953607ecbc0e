"""What the use cases of tenants/ are given."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.log import Log
from appliance.settings import Settings
from appliance.tenants.admin_store import TenantStore
from appliance.tenants.cache import TenantCache
from appliance.tenants.lrs import LrsPayloads


@dataclass(frozen=True, slots=True)
class TenantDeps:
    """Tenants as requests and as operators use them."""

    settings: Settings
    log: Log
    store: TenantStore
    """For administration; requests ask `cache`."""
    cache: TenantCache
    lrs: LrsPayloads | None = None
    """None: without multitenancy nobody has an LRS."""
