"""Work that is done here if its data are small, else in a thread; work in slices."""

from __future__ import annotations

import threading
import time

import pytest
import trio

from appliance.system.threads import (
    INLINE_BYTES,
    SLICE_S,
    map_in_slices,
    run_abandonable,
    run_sized,
)


@pytest.mark.parametrize(("size", "here"), [(0, True), (INLINE_BYTES, True), (10**6, False)])
async def test_work_on_large_data_is_done_in_a_thread(size: int, here: bool) -> None:
    thread = await run_sized(size, threading.get_ident)

    assert (thread == threading.get_ident()) is here


async def test_error_of_the_work_is_raised() -> None:
    for size in (0, 10**6):
        with pytest.raises(ZeroDivisionError):
            await run_sized(size, lambda: 1 // 0)


async def test_other_tasks_run_between_the_slices_of_a_long_list() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    def work(item: int) -> int:
        until_s = time.perf_counter() + SLICE_S
        while time.perf_counter() < until_s:
            pass
        return -item

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await trio.lowlevel.checkpoint()
        made = await map_in_slices(work, range(10))
        nursery.cancel_scope.cancel()

    assert made == [-item for item in range(10)]
    assert turns >= 10


async def test_cancelled_caller_does_not_wait_for_a_call_that_hangs() -> None:
    limiter, hangs = trio.CapacityLimiter(1), threading.Event()
    with trio.fail_after(30):
        with trio.move_on_after(0.05):
            await run_abandonable(lambda: hangs.wait(60), limiter)
        assert limiter.borrowed_tokens == 1

        hangs.set()
        assert await run_abandonable(threading.get_ident, limiter) != threading.get_ident()
