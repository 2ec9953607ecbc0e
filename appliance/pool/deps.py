"""Dependencies of the use cases in pool/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.bbb.client import BbbClient
from appliance.log import Log
from appliance.pool.records import PoolRecords
from appliance.pool.retired import RetiredServers


@dataclass(frozen=True, slots=True)
class PoolDeps:
    """Dependencies: the records of the pool and the client of its servers."""

    records: PoolRecords
    retired: RetiredServers
    bbb: BbbClient
    log: Log
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    end_reach_ms: int = 60_000
    """How long after it was sent an `end` may take effect: longer than any call may take."""
