"""The lag and the pauses of the event loop."""

from __future__ import annotations

import time

import trio

from appliance.instruments import Histogram, RecentMaximum
from appliance.system.process import LOOP_IDLE_S, watch_loop
from tests.doubles.bbb_process import until

BLOCK_S = 0.6


async def test_lag_and_pause_are_recorded_when_the_loop_is_blocked() -> None:
    lag, pause = Histogram(bounds=(BLOCK_S / 2,)), RecentMaximum()

    def slow() -> int:
        return sum(counts[-1] - counts[0] for _, counts, _ in lag.read())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_loop, lag, pause)
        await trio.sleep(0.05)
        with trio.fail_after(40):
            while not slow():
                time.sleep(BLOCK_S)  # noqa: ASYNC251  # the subject of this test
                await trio.sleep(0.05)
        # The loop was blocked when the task was due, at the latest an interval after the start.
        assert pause.read() >= BLOCK_S - LOOP_IDLE_S
        nursery.cancel_scope.cancel()


async def test_short_pauses_are_seen_while_the_process_is_busy() -> None:
    pause = RecentMaximum()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_loop, Histogram(), pause)
        await trio.sleep(2 * LOOP_IDLE_S)

        def work() -> bool:
            end_s = time.perf_counter() + 0.04
            while time.perf_counter() < end_s:
                pass
            return pause.read() >= 0.03

        await until(work, 40, "a pause")
        nursery.cancel_scope.cancel()
