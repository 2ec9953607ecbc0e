"""Dependencies of the use cases in servers/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from appliance.audit.trail import AuditTrail
from appliance.callbacks.deps import CallbackDeps
from appliance.fault_log import FaultLog
from appliance.instruments import Metrics
from appliance.log import Log
from appliance.model import ServerId
from appliance.pool.deps import PoolDeps
from appliance.servers.remembered import RememberedServers
from appliance.servers.store import ServerStore
from appliance.servers.versions.shares import VersionShares
from appliance.settings import Settings
from appliance.usage.deps import UsageDeps


@dataclass(frozen=True, slots=True)
class ServerDeps:
    """Dependencies of registering, polling and managing servers."""

    settings: Settings
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    later: Callable[[Callable[..., Awaitable[Any]], *tuple[Any, ...]], None]
    """Run a function in the background."""
    pool: PoolDeps
    store: ServerStore
    remembered: RememberedServers
    callbacks: CallbackDeps
    metrics: Metrics
    poll_soon: Callable[[ServerId], None]
    """Request an immediate poll of a server."""
    random: Callable[[], float]
    """A random number, 0 <= x < 1."""
    instance: str
    """Identifies this process among the appliances on the same stores."""
    shares: VersionShares
    audit: AuditTrail | None = None
    """None: what tasks change is only logged."""
    usage: UsageDeps | None = None
    """None: there is no database that it could be written to."""
