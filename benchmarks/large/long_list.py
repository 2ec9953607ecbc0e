"""getMeetings of all 10,000 meetings of a pool, 69 MB."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator

from benchmarks.large.overviews import MEETINGS_EACH, QUICK_SERVERS, SERVERS
from benchmarks.large.pools import LargePool, run_large_pool
from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.many_servers import HOST
from benchmarks.pool import SECRET
from tests.doubles.signing import sign_url

ATTENDEES = 20
READ_BYTES = 1 << 20
LIMIT_S = 120.0
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
