"""What a pool costs that nobody calls, with one appliance and with two."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.large.pools import POLL_INTERVAL_S, run_large_pool
from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.process_figures import cpu_s

SERVERS, QUICK_SERVERS = 2_000, 20
MEETINGS_EACH, ATTENDEES = 5, 20
CYCLES = 2


@scenario("idle", "2,000 servers, 10,000 meetings, 200,000 users, polled every 60 s")
def measure_idle(setting: Setting) -> Iterator[Figure]:
    """Yield the CPU time of appliance and Redis, the memory, and the latency of calls."""
    servers = setting.sized(SERVERS, QUICK_SERVERS)
    with run_large_pool(setting, servers, MEETINGS_EACH, ATTENDEES) as pool:
        redis = pool.pool.redis.process.pid
        time.sleep(5.0 if setting.quick else POLL_INTERVAL_S)  # until each has its random phase
        before = pool.cpu_s(), cpu_s(redis), time.monotonic()
        time.sleep(5.0 if setting.quick else CYCLES * POLL_INTERVAL_S)
        after = pool.cpu_s(), cpu_s(redis), time.monotonic()
        own, store, took_s = (late - early for early, late in zip(before, after, strict=True))
        yield Figure("CPU of the appliance", own / took_s * 100, "% of a core", 4.0)
        yield Figure("CPU of Redis", store / took_s * 100, "% of a core", 3.0)
        yield Figure("memory of the appliance", pool.rss_mb(), "MB", 110.0)
        calls = pool.source.measure(setting.window_s if setting.quick else POLL_INTERVAL_S)
        yield Figure("p50 of isMeetingRunning at 100/s", calls.p50_ms, "ms")
        yield Figure("p99 of isMeetingRunning at 100/s", calls.p99_ms, "ms", 6.0)
        yield Figure("wrong answers", float(calls.errors), "", 0.0)
