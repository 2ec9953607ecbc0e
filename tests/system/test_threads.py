"""Work that is done here if its data are small, else in a thread."""

from __future__ import annotations

import threading

import pytest

from appliance.system.threads import INLINE_BYTES, run_sized


@pytest.mark.parametrize(("size", "here"), [(0, True), (INLINE_BYTES, True), (10**6, False)])
async def test_work_on_large_data_is_done_in_a_thread(size: int, here: bool) -> None:
    thread = await run_sized(size, threading.get_ident)

    assert (thread == threading.get_ident()) is here


async def test_error_of_the_work_is_raised() -> None:
    for size in (0, 10**6):
        with pytest.raises(ZeroDivisionError):
            await run_sized(size, lambda: 1 // 0)
