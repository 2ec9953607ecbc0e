"""Runs what takes long for large data in a thread or in parts, so that it delays no other task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import trio

INLINE_BYTES = 100 * 1000
"""Parsing this much XML takes about a millisecond, a thread 0.1 ms."""

SLICE_S = 0.0005
"""How long other tasks wait for a slice; letting them run takes some 20 µs."""

INLINE_RECORDS = 200
"""To render so many servers takes about a millisecond, too."""

S = TypeVar("S")
T = TypeVar("T")


def in_chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items in their order, at most `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


async def run_sized(size: int, work: Callable[[], T], *, inline_bytes: int = INLINE_BYTES) -> T:
    """Call `work`, which handles `size` bytes: here if that is quick, else in a thread."""
    if size <= inline_bytes:
        return work()
    return await trio.to_thread.run_sync(work)


async def run_abandonable(call: Callable[[], T], limiter: trio.CapacityLimiter) -> T:
    """Call `call` in a thread, which goes on without its caller when that is cancelled.

    For disks and buckets, which may hang. `limiter` bounds the threads of one kind of work, so that
    another kind does not wait for them.
    """
    return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=limiter)


async def map_in_slices(function: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Return what `function` makes of each item; other tasks run after every SLICE_S."""
    found: list[T] = []
    until_s = time.perf_counter() + SLICE_S
    for item in items:
        found.append(function(item))
        if time.perf_counter() >= until_s:
            await trio.lowlevel.checkpoint()
            until_s = time.perf_counter() + SLICE_S
    return found


async def run_counted(records: int, work: Callable[[], T]) -> T:
    """Call `work`, which handles so many records: here if these are few, else in a thread."""
    return await run_sized(records, work, inline_bytes=INLINE_RECORDS)
