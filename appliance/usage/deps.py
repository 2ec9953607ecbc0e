"""Dependencies of the use cases in usage/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.fault_log import FaultLog
from appliance.log import Log
from appliance.model import ServerId
from appliance.pool.deps import PoolDeps
from appliance.settings import Settings
from appliance.tenants.deps import TenantDeps
from appliance.usage.model import ServerUsage
from appliance.usage.store import UsageStore
from appliance.usage.table import UsageTable


@dataclass(frozen=True, slots=True)
class UsageDeps:
    """Dependencies of adding usage up, writing it and reading it."""

    settings: Settings
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    pool: PoolDeps
    tenants: TenantDeps
    store: UsageStore
    table: UsageTable
    instance: str
    """Identifies this process among the appliances on the same stores."""
    states: dict[ServerId, tuple[int, ServerUsage]] = field(default_factory=dict)
    """Version and state of the servers that this process has polled last."""
