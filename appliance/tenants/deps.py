"""Dependencies of the use cases in tenants/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.log import Log
from appliance.settings import Settings
from appliance.tenants.admin_store import TenantStore
from appliance.tenants.cache import TenantCache
from appliance.tenants.limits import LimitStore
from appliance.tenants.lrs import LrsPayloads


@dataclass(frozen=True, slots=True)
class TenantDeps:
    """Dependencies of finding and managing tenants."""

    settings: Settings
    log: Log
    store: TenantStore
    """For administration; requests use `cache`."""
    cache: TenantCache
    limits: LimitStore
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    lrs: LrsPayloads | None = None
    """None: not configured."""
