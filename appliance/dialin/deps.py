"""Dependencies of the use cases in dialin/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.dialin.store import VoiceBridges
from appliance.fault_log import FaultLog
from appliance.instruments import Metrics
from appliance.log import Log
from appliance.settings import Settings


@dataclass(frozen=True, slots=True)
class DialInDeps:
    """Dependencies of handling telephone calls."""

    settings: Settings
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    voice_bridges: VoiceBridges
    metrics: Metrics
