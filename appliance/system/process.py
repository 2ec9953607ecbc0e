"""Tune the process once around the start of its services, and measure the lag of its event loop.

`off` holds names of the setting TUNING_OFF.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import trio

from appliance.instruments import Histogram, RecentMaximum

LAG_INTERVAL_S = 0.45
"""So that two of the intervals below make one."""
LOOP_IDLE_S, LOOP_BUSY_S = 0.25, 0.01
LOOP_BUSY_SHARE = 0.1
TRIM_INTERVAL_S = 15.0
TRIM_BYTES = 16 * 1024 * 1024
"""Above what is usual; less is not worth the 10 ms."""
_FULL_COLLECTION = 3
"""The number of the attempt that collects old objects, too."""
RESERVED_FILES = 256
"""For stores, the control socket, the log, imports, and the private listeners."""
_LEAST_CONNECTIONS = 64
_UNLIMITED_FILES = 1 << 20
_SWITCH_S = 0.0005
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


def tune_threads(off: Container[str] = ()) -> None:
    """Have threads that compute give way to the event loop after half a millisecond.

    The loop gives the interpreter's lock up at every send and receive, and gets it back after the
    switch interval, several times in a call. With Python's 5 ms a call beside one computing thread
    took 10 ms at the median, with this 1 ms, and the thread is as fast.
    """
    if "thread-switches" not in off:
        sys.setswitchinterval(_SWITCH_S)


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


async def trim_memory_forever(*, interval_s: float = TRIM_INTERVAL_S) -> NoReturn:
    """Return memory to the system after work that used much more than usual.

    Freed blocks between blocks in use stay with the process until malloc_trim(3): after a list of
    50 MB these were hundreds of megabytes.
    """
    usual, times = read_rss_bytes(), 0
    while True:
        await trio.sleep(interval_s)
        times = times + 1 if read_rss_bytes() - usual > TRIM_BYTES else 0
        if times:
            # A cycle may hold a whole list of meetings, and is hardly ever old. A look at all
            # objects stops everything, the longer the larger the pool.
            gc.collect(1 if times < _FULL_COLLECTION else 2)
            await trio.to_thread.run_sync(_trim)
            # Half of it may be in use only for the moment: so it is tried again, and what stays
            # becomes usual after some times.
            usual = (usual + read_rss_bytes()) // 2
        usual = min(usual, read_rss_bytes())


def read_rss_bytes() -> int:
    """Return the resident memory of this process (proc(5), statm)."""
    pages = Path("/proc/self/statm").read_bytes().split()[1]
    return int(pages) * resource.getpagesize()


def _trim() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


async def watch_loop(lag: Histogram, pause: RecentMaximum) -> NoReturn:
    """Record how late the event loop wakes a sleeping task: every request is delayed as much.

    To wake a task costs a tenth of a millisecond where nothing else is to be done, and little
    beside other work. So it is woken often only while the process, its threads included, is busy;
    it measures the part of a pause after its own time is due: of several, nearly the longest.
    """
    interval_s, next_lag_s = LOOP_IDLE_S, 0.0
    used_s = time.process_time()
    while True:
        due_s = trio.current_time() + interval_s
        await trio.sleep_until(due_s)
        now_s = trio.current_time()
        late_s = max(0.0, now_s - due_s)
        pause.note(late_s, now_s)
        if now_s >= next_lag_s:
            lag.observe(late_s)
            next_lag_s = now_s + LAG_INTERVAL_S
        before_s, used_s = used_s, time.process_time()
        is_busy = used_s - before_s > LOOP_BUSY_SHARE * (interval_s + late_s)
        interval_s = LOOP_BUSY_S if is_busy else LOOP_IDLE_S
