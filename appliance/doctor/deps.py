"""What doctor is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.callbacks.deps import CallbackDeps
from appliance.doctor.ports import Probes
from appliance.log import Log
from appliance.recordings.deps import RecordingDeps
from appliance.servers.deps import ServerDeps
from appliance.settings import Settings
from appliance.tenants.deps import TenantDeps


@dataclass(frozen=True, slots=True)
class DoctorDeps:
    """Everything that doctor inspects."""

    settings: Settings
    log: Log
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    servers: ServerDeps
    callbacks: CallbackDeps
    tenants: TenantDeps
    recordings: RecordingDeps
    probes: Probes | None = None
    """None: doctor finds nothing."""
