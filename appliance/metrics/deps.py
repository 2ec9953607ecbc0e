"""Dependencies of /metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.callbacks.deps import CallbackDeps
from appliance.fault_log import FaultLog
from appliance.fleet.deps import FleetDeps
from appliance.instruments import Metrics
from appliance.log import Log
from appliance.pool.deps import PoolDeps
from appliance.recordings.deps import RecordingDeps
from appliance.settings import Settings
from appliance.usage.deps import UsageDeps


@dataclass(frozen=True, slots=True)
class MetricsDeps:
    """Dependencies: the counters of this process, and the stores that each scrape reads."""

    settings: Settings
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    metrics: Metrics
    pool: PoolDeps
    callbacks: CallbackDeps
    recordings: RecordingDeps
    fleet: FleetDeps
    usage: UsageDeps | None = None
