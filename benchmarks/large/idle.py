"""The cost of a large idle pool; creates beside joins and polls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.large.pools import POLL_INTERVAL_S, LargePool, run_large_pool
from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.poll_pool import PollPool
from benchmarks.process_figures import cpu_s

SERVERS, QUICK_SERVERS = 2_000, 20
MEETINGS_EACH, ATTENDEES = 5, 20
CYCLES = 2


@scenario("idle", "2,000 servers, 10,000 meetings, 200,000 users, polled every 60 s")
def measure_idle(setting: Setting) -> Iterator[Figure]:
    """Yield the CPU time of appliance and Redis, the memory, and the latency of calls."""
    servers = setting.sized(SERVERS, QUICK_SERVERS)
    with run_large_pool(setting, servers, MEETINGS_EACH, ATTENDEES) as pool:
        own, store = _idle(setting, pool.pool, [pool])
        yield Figure("CPU of the appliance", own, "% of a core", 4.0)
        yield Figure("CPU of Redis", store, "% of a core", 3.0)
        yield Figure("memory of the appliance", pool.rss_mb(), "MB", 110.0)
        calls = pool.source.measure(setting.window_s if setting.quick else POLL_INTERVAL_S)
        yield Figure("p50 of isMeetingRunning at 100/s", calls.p50_ms, "ms")
        yield Figure("p99 of isMeetingRunning at 100/s", calls.p99_ms, "ms", 6.0)
        yield Figure("wrong answers", float(calls.errors), "", 0.0)


@scenario("creates", "create at 100/s beside 50 joins/s, 100 servers under poll")
def measure_creates(setting: Setting) -> Iterator[Figure]:
    """Yield the latency of the creates."""
    with run_large_pool(setting, setting.sized(100, 10), 20, POLL_INTERVAL="10") as pool:
        joins = replace(pool.source, call="join", rate_per_s=50.0)
        beside = threading.Thread(target=joins.measure, args=(setting.window_s,))
        beside.start()
        made = replace(pool.source, call="create").measure(setting.window_s)
        beside.join()
        yield Figure("p50 of create", made.p50_ms, "ms")
        yield Figure("p99 of create", made.p99_ms, "ms", 15.0)
        yield Figure("wrong answers", float(made.errors), "", 0.0)


def _idle(setting: Setting, pool: PollPool, appliances: Sequence[LargePool]) -> tuple[float, float]:
    """Return the CPU time of appliances and Redis without calls, in percent of a core."""
    time.sleep(5.0 if setting.quick else POLL_INTERVAL_S)  # until each server has its random phase
    before = _clocks(pool, appliances)
    time.sleep(5.0 if setting.quick else CYCLES * POLL_INTERVAL_S)
    own, store, took_s = (
        late - early for early, late in zip(before, _clocks(pool, appliances), strict=True)
    )
    return own / took_s * 100, store / took_s * 100


def _clocks(pool: PollPool, appliances: Sequence[LargePool]) -> tuple[float, float, float]:
    """Return the CPU seconds of appliances and Redis, and the time."""
    return sum(one.cpu_s() for one in appliances), cpu_s(pool.redis.process.pid), time.monotonic()
