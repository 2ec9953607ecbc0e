"""The sweeper: removes from the store what has lost what it points to.

One appliance does it for all. Two sweeps must find an entry before it goes (sweep_*.lua).
"""

from __future__ import annotations

import trio

from appliance.core.faults import StoreDown
from appliance.operations.resources import Resources

INTERVAL_S = 61.0
"""A little more than the grace, so that the second sweep may remove."""
GRACE_MS = 60_000


async def sweep_forever(res: Resources) -> None:
    """Sweep once a minute until cancelled."""
    while True:
        try:
            lease_ms = int((INTERVAL_S - 1) * 1000)
            if await res.store.claim_sweep(res.instance, lease_ms=lease_ms):
                removed = await res.store.sweep(now_ms=res.now_ms(), grace_ms=GRACE_MS)
                if removed:
                    res.log.info("store_swept", removed=removed)
        except StoreDown:
            pass  # the store's own log names the fault; the next round sweeps
        await trio.sleep(INTERVAL_S)
