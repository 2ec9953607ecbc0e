"""Answers about all servers of a large pool: /metrics and `ctl status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from benchmarks.large.pools import LargePool, run_large_pool
from benchmarks.large.scenario import Figure, Setting, scenario

SERVERS, QUICK_SERVERS = 2_000, 20
MEETINGS_EACH = 5
REPEAT = 10


@scenario("metrics", "/metrics of 2,000 servers")
def measure_metrics(setting: Setting) -> Iterator[Figure]:
    """Yield its size, CPU time and effect on other calls."""
    with run_large_pool(setting, setting.sized(SERVERS, QUICK_SERVERS), MEETINGS_EACH) as pool:
        yield Figure("size", len(pool.scrape()) / 1e6, "MB", 1.0)
        yield Figure("CPU time of the process", _cpu_ms(pool, pool.scrape), "ms", 50.0)
        pool.settle()
        yield from pool.source.beside(setting.window_s, pool.scrape).figures(5.0)
        yield from pool.pause("while it is read all the time")


@scenario("status", "ctl status of 2,000 servers")
def measure_status(setting: Setting) -> Iterator[Figure]:
    """Yield its duration, CPU time and effect on other calls."""
    with run_large_pool(setting, setting.sized(SERVERS, QUICK_SERVERS), MEETINGS_EACH) as pool:

        def ask() -> None:
            assert pool.appliance.control.get("getStatus")["servers"]

        began_s = time.monotonic()
        pool.appliance.ctl("status")
        yield Figure("ctl status", time.monotonic() - began_s, "s")
        yield Figure("CPU time of the process", _cpu_ms(pool, ask), "ms")
        pool.settle()
        yield from pool.source.beside(setting.window_s, ask).figures(5.0)
        yield from pool.pause("while it is asked all the time")


def _cpu_ms(pool: LargePool, work: Callable[[], object]) -> float:
    """Return the CPU time of the appliance for a piece of work, in ms."""
    before_s = pool.cpu_s()
    for _ in range(REPEAT):
        work()
    return (pool.cpu_s() - before_s) / REPEAT * 1000
