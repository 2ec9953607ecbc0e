"""Tune the process once around the start of its services, and measure the lag of its event loop.

`off` holds names of the setting TUNING_OFF.
"""

from __future__ import annotations

import ctypes
import gc
import resource
from collections.abc import Container
from dataclasses import dataclass
from typing import NoReturn

import trio

from appliance.instruments import Histogram

LAG_INTERVAL_S = 0.5
RESERVED_FILES = 256
"""For stores, the control socket, the log, imports, and the private listeners."""
_LEAST_CONNECTIONS = 64
_UNLIMITED_FILES = 1 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Constants of <malloc.h>."""
_MALLOC_OPTIONS = (
    (_M_MMAP_THRESHOLD, 128 * 1024),
    (_M_TRIM_THRESHOLD, 4 * 1024 * 1024),
    (_M_ARENA_MAX, 2),
)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections each side may have open, so that neither starves the other."""

    clients: int
    outgoing: int


def raise_file_limit() -> int:
    """Raise the limit of open files, and so of connections, to the hard limit; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else _UNLIMITED_FILES


def share_connections(file_limit: int, max_clients: int | None) -> ConnectionLimits:
    """Share the descriptors between clients and calls to servers.

    A client needs two, one for its connection and one for a call to a server or for a file, so by
    default half of those that are left are for clients. `max_clients` is what the operator wants.
    """
    free = max(file_limit - RESERVED_FILES, 2 * _LEAST_CONNECTIONS)
    clients = free // 2 if max_clients is None else min(max_clients, free - _LEAST_CONNECTIONS)
    return ConnectionLimits(clients, free - clients)


def tune_allocator(off: Container[str] = ()) -> bool:
    """Have large blocks returned to the system when they are freed; return whether they are.

    After the first large lists of meetings glibc allocates such blocks on the heap, between small
    ones, where freed memory can rarely be returned: under load the process takes 200 MB, of which
    100 are in use. Only glibc has mallopt(3); elsewhere nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or "allocator" in off:
        return False
    return all([mallopt(option, value) == 1 for option, value in _MALLOC_OPTIONS])


def tune_garbage_collector(off: Container[str] = ()) -> None:
    """Exclude the objects of the start from collection, and collect less often.

    A request makes few reference cycles. With the defaults the collector walks the whole heap every
    few thousand requests, which shows in the p99 (docs/performance.md). Yet one cycle can hold a
    whole list of meetings, so collections must not be minutes apart.
    """
    if "garbage-collector" in off:
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


async def measure_loop_lag(lag: Histogram, *, interval_s: float = LAG_INTERVAL_S) -> NoReturn:
    """Record how late the event loop wakes a sleeping task: every request is delayed as much."""
    while True:
        due = trio.current_time() + interval_s
        await trio.sleep_until(due)
        lag.observe(max(0.0, trio.current_time() - due))
