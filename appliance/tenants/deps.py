"""Dependencies of the use cases in tenants/."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.log import Log
from appliance.settings import Settings
from appliance.tenants.admin_store import TenantStore
from appliance.tenants.cache import TenantCache
from appliance.tenants.lrs import LrsPayloads


@dataclass(frozen=True, slots=True)
class TenantDeps:
    """Dependencies of finding and managing tenants."""

    settings: Settings
    log: Log
    store: TenantStore
    """For administration; requests use `cache`."""
    cache: TenantCache
    lrs: LrsPayloads | None = None
    """None: not configured."""
