"""The sweeper: removes dangling entries from Redis.

One appliance sweeps for all. An entry is removed only if two sweeps have found it (sweep_*.lua).
"""

from __future__ import annotations

import trio

from appliance.faults import StoreDown
from appliance.pool.records import SWEEP_GRACE_MS
from appliance.servers.deps import ServerDeps

INTERVAL_S = 61.0
"""A little more than SWEEP_GRACE_MS, so that the second sweep may remove entries."""
_LEASE_SHARE = 0.95


async def sweep_forever(
    deps: ServerDeps, *, interval_s: float = INTERVAL_S, grace_ms: int = SWEEP_GRACE_MS
) -> None:
    """Sweep once a minute until cancelled; entries also found `grace_ms` ago are removed."""
    # A little less than the interval, so that the same appliance can claim the next sweep.
    lease_ms = int(interval_s * _LEASE_SHARE * 1000)
    while True:
        try:
            if await deps.store.claim_sweep(deps.instance, lease_ms=lease_ms):
                removed = await deps.store.sweep(now_ms=deps.now_ms(), grace_ms=grace_ms)
                removed += await deps.pool.retired.sweep(now_ms=deps.now_ms())
                if removed:
                    deps.log.info("store_swept", removed=removed)
        except StoreDown:
            pass  # the store logs the outage; the next round sweeps
        await trio.sleep(interval_s)
