"""Runs what takes long for large data in a thread, so that it delays no other task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

INLINE_BYTES = 100 * 1000
"""Parsing this much XML takes about a millisecond, a thread 0.1 ms."""

INLINE_RECORDS = 200
"""To render so many servers takes about a millisecond, too."""

T = TypeVar("T")


async def run_sized(size: int, work: Callable[[], T], *, inline_bytes: int = INLINE_BYTES) -> T:
    """Call `work`, which handles `size` bytes: here if that is quick, else in a thread."""
    if size <= inline_bytes:
        return work()
    return await trio.to_thread.run_sync(work)


async def run_counted(records: int, work: Callable[[], T]) -> T:
    """Call `work`, which handles so many records: here if these are few, else in a thread."""
    return await run_sized(records, work, inline_bytes=INLINE_RECORDS)
