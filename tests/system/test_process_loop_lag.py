"""The lag of the event loop."""

from __future__ import annotations

import time

import trio

from appliance.instruments import Histogram
from appliance.system.process import measure_loop_lag
from tests.doubles.bbb_process import until

BLOCK_S = 0.2


async def test_lag_is_recorded_when_the_loop_is_blocked() -> None:
    lag = Histogram(bounds=(BLOCK_S / 2,))

    def slow() -> int:
        return sum(counts[-1] - counts[0] for _, counts, _ in lag.read())

    def measured() -> int:
        return sum(counts[-1] for _, counts, _ in lag.read())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: measure_loop_lag(lag, interval_s=0.01))
        await until(lambda: measured() > 2, 40, "measurements")
        before = slow()
        time.sleep(BLOCK_S)  # noqa: ASYNC251  # the subject of this test
        await until(lambda: slow() > before, 40, "the lag")
        nursery.cancel_scope.cancel()
