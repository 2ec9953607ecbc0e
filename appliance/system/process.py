"""What is set for the whole process once, before and after it has started its services.

`off` are the names of TUNING_OFF.
"""

from __future__ import annotations

import ctypes
import gc
import resource
from collections.abc import Container

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Numbers of malloc.h."""
_MALLOC_OPTIONS = (
    (_M_MMAP_THRESHOLD, 128 * 1024),
    (_M_TRIM_THRESHOLD, 4 * 1024 * 1024),
    (_M_ARENA_MAX, 2),
)


def raise_file_limit() -> None:
    """Allow as many connections as the system lets us: a thousand clients are no reason to stop."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tune_allocator(off: Container[str] = ()) -> bool:
    """Have large blocks given back to the system when they are freed; return whether they are.

    glibc learns from the first lists of meetings to keep such blocks between the small ones, where
    little of what is freed can be given back: two hundred megabytes under load, where a hundred are
    in use. mallopt(3) is glibc's; elsewhere nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or "allocator" in off:
        return False
    return all([mallopt(option, value) == 1 for option, value in _MALLOC_OPTIONS])


def tune_garbage_collector(off: Container[str] = ()) -> None:
    """Leave what start-up made alone, and look less often at the rest.

    A request makes little that is cyclic; with the defaults the collector walks the whole heap
    every few thousand requests, which shows in the p99 (docs/performance.md). But what little there
    is can hold a whole list of meetings each, so it must not be left for minutes.
    """
    if "garbage-collector" in off:
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
