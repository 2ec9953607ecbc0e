"""Measures how late the event loop is: what blocks it delays every request."""

from __future__ import annotations

from typing import NoReturn

import trio

from appliance.system.instruments import Histogram

INTERVAL_S = 0.5


async def measure_loop_lag(lag: Histogram, *, interval_s: float = INTERVAL_S) -> NoReturn:
    """Sleep a while, and see by how much it took longer; for ever."""
    while True:
        due = trio.current_time() + interval_s
        await trio.sleep_until(due)
        lag.observe(max(0.0, trio.current_time() - due))
