"""getMeetings of all 10,000 meetings of a pool, 69 MB."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.large.overviews import MEETINGS_EACH, QUICK_SERVERS, SERVERS
from benchmarks.large.pools import LargePool, run_large_pool
from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.many_servers import HOST
from benchmarks.pool import SECRET
from benchmarks.process_figures import cpu_s
from tests.doubles.signing import sign_url

ATTENDEES = 20
READ_BYTES = 1 << 20
LIMIT_S = 120.0
SIZES, QUICK_SIZES = (1, 10, 100, 1_000, 2_000), (1, 10)
SMALL = 100
"""Servers up to which they are polled so often that the first polls take little time."""
REPEAT = 5
_END = b"</meeting>"


@scenario("long-list", "getMeetings of 10,000 meetings with 20 attendees each")
def measure_long_list(setting: Setting) -> Iterator[Figure]:
    """Yield its size, duration, and effect on other calls."""
    servers = setting.sized(SERVERS, QUICK_SERVERS)
    with run_large_pool(setting, servers, MEETINGS_EACH, ATTENDEES) as pool:
        pool.settle()
        before_s, before_mb = pool.cpu_s(), pool.rss_mb()
        began_s = time.monotonic()
        yield Figure("size", _read(pool) / 1e6, "MB")
        yield Figure("one call", time.monotonic() - began_s, "s")
        yield Figure("CPU time of the process", (pool.cpu_s() - before_s) * 1000, "ms")
        beside = pool.source.beside(setting.window_s, lambda: _read(pool))
        yield Figure("one call, beside the others", min(beside.took_s), "s")
        yield from beside.figures(3.0)
        yield from pool.pause("while it is asked all the time")
        yield from pool.memory_after(before_mb)


@scenario("list-growth", "getMeetings of 1 to 2,000 servers, each of 5 meetings with 20 attendees")
def measure_growth(setting: Setting) -> Iterator[Figure]:
    """Yield what a list takes that is asked alone, after the first one."""
    for servers in QUICK_SIZES if setting.quick else SIZES:
        directory = setting.directory / str(servers)
        directory.mkdir()
        interval = "10" if servers <= SMALL else "60"
        within = replace(setting, directory=directory)
        with run_large_pool(
            within, servers, MEETINGS_EACH, ATTENDEES, POLL_INTERVAL=interval
        ) as pool:
            _read(pool)
            store = pool.pool.redis.process.pid
            before_s, store_s, began_s = pool.cpu_s(), cpu_s(store), time.monotonic()
            sizes = [_read(pool) for _ in range(REPEAT)]
            took_s = time.monotonic() - began_s
            own_ms = (pool.cpu_s() - before_s) * 1000
            store_ms = (cpu_s(store) - store_s) * 1000
        name = f"{servers:,} servers, {sizes[0] / 1e6:.2f} MB"
        yield Figure(f"{name}: one call", took_s / REPEAT * 1000, "ms")
        yield Figure(f"{name}: CPU", own_ms / REPEAT, "ms")
        yield Figure(f"{name}: CPU of Redis", store_ms / REPEAT, "ms")


def _read(pool: LargePool) -> int:
    """Ask for the list and return the size of the answer. Raises AssertionError: not all of it."""
    connection = http.client.HTTPConnection(HOST, pool.appliance.front.port, timeout=LIMIT_S)
    connection.request("GET", sign_url("/bigbluebutton/api", "getMeetings", "", SECRET))
    answer = connection.getresponse()
    size, listed, before = 0, 0, b""
    while part := answer.read(READ_BYTES):
        size += len(part)
        listed += (before + part).count(_END)
        before = part[1 - len(_END) :]
    connection.close()
    wanted = pool.pool.servers.servers * MEETINGS_EACH
    assert listed == wanted, f"{listed} of {wanted} meetings: {before[-300:]!r}"
    return size
