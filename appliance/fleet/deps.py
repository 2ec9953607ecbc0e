"""Dependencies of the use cases in fleet/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.callbacks.client import OutboundClient
from appliance.fault_log import FaultLog
from appliance.fleet.forecast import PastWeeks
from appliance.fleet.store import FleetStore
from appliance.log import Log
from appliance.pool.deps import PoolDeps
from appliance.settings import Settings
from appliance.usage.deps import UsageDeps


@dataclass(frozen=True, slots=True)
class FleetDeps:
    """Dependencies of capacity, forecast and the autoscaler's hooks."""

    settings: Settings
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    pool: PoolDeps
    store: FleetStore
    past: PastWeeks
    client: OutboundClient
    """Calls AUTOSCALE_URL, also at a private address."""
    instance: str
    """Identifies this process among the appliances on the same stores."""
    usage: UsageDeps | None = None
    """Recordings that servers owe; None: there is no database."""
