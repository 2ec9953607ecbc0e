"""What two appliances on one Redis take, against one: idle, and for each call.

A machine's speed changes from minute to minute by more than the difference that is looked for. So
one appliance and two are measured in turn, several times, each time in several short blocks, and
the medians of the blocks are compared.
"""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.large.beside import Calls
from benchmarks.large.idle import ATTENDEES, MEETINGS_EACH, QUICK_SERVERS, SERVERS
from benchmarks.large.pools import POLL_INTERVAL_S, LargePool, run_large_pool
from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.process_figures import cpu_s

RATE_PER_S = 600.0
CALLS = ("isMeetingRunning", "getMeetingInfo", "join", "create")
"""Each a quarter of the rate."""
TURNS = 2
"""How often one appliance is measured, and two."""
BLOCKS, HALF_BLOCKS, BLOCK_S = 3, 2, 6.0
"""Of calls in each turn."""
SETTLE_S, IDLE_S = 10.0, 20.0
"""After the second was started or stopped: for the leases; and without calls."""


@dataclass(slots=True)
class _Measured:
    """What so many appliances and Redis took, block by block."""

    idle: list[float] = field(default_factory=list)
    """CPU in percent of a core, of all."""
    idle_each: list[float] = field(default_factory=list)
    """Of one appliance, the mean."""
    idle_redis: list[float] = field(default_factory=list)
    polls_per_s: list[float] = field(default_factory=list)
    call_ms: list[float] = field(default_factory=list)
    """CPU of all for each call."""
    half_ms: list[float] = field(default_factory=list)
    """The same of one appliance that is called half as often: as each of two is."""
    call_redis_ms: list[float] = field(default_factory=list)

    def figures(self, name: str) -> Iterator[Figure]:
        """Yield the medians."""
        median = statistics.median
        yield Figure(f"idle, {name} and Redis", median(self.idle), "% of a core")
        yield Figure(f"idle, each appliance of {name}", median(self.idle_each), "% of a core")
        yield Figure(f"idle, Redis of {name}", median(self.idle_redis), "% of a core")
        yield Figure(f"polls of {name}", median(self.polls_per_s), "a second")
        yield Figure(f"CPU per call, {name} and Redis", median(self.call_ms), "ms")
        yield Figure(f"CPU per call, Redis of {name}", median(self.call_redis_ms), "ms")
        spread = (max(self.call_ms) / min(self.call_ms) - 1) * 100
        yield Figure(f"CPU per call, {name}: highest block over lowest", spread, "%")


@scenario("two", "two appliances on one Redis, 2,000 servers, 600 calls/s in all")
def measure_two(setting: Setting) -> Iterator[Figure]:
    """Yield what one and two appliances take, idle and for each call, with Redis."""
    servers = setting.sized(SERVERS, QUICK_SERVERS)
    one, two = _Measured(), _Measured()
    with run_large_pool(setting, servers, MEETINGS_EACH, ATTENDEES) as first:
        for turn in range(1 if setting.quick else TURNS):
            _measure(setting, [first], one, f"one-{turn}")
            one.half_ms += [
                sum(_call(setting, [first], f"half-{turn}-{block}", RATE_PER_S / 2))
                for block in range(HALF_BLOCKS)
            ]
            with _beside(setting, first, turn) as second:
                _measure(setting, [first, second], two, f"two-{turn}")
    yield from one.figures("one appliance")
    half = statistics.median(one.half_ms)
    yield Figure("CPU per call, one appliance that is called half as often", half, "ms")
    yield from two.figures("two")
    ratio = statistics.median(two.call_ms) / statistics.median(one.call_ms)
    yield Figure("CPU per call, ratio", ratio, "", 1.1)


@contextlib.contextmanager
def _beside(setting: Setting, first: LargePool, turn: int) -> Iterator[LargePool]:
    """Run a second appliance on the stores of the first."""
    directory = setting.directory / f"second-{turn}"
    directory.mkdir()
    pool = replace(first.pool, directory=directory)
    with pool.appliance(POLL_INTERVAL_S) as appliance:
        yield replace(first, pool=pool, appliance=appliance)


def _measure(
    setting: Setting, appliances: Sequence[LargePool], measured: _Measured, label: str
) -> None:
    """Measure without calls, and some blocks of them."""
    time.sleep(2.0 if setting.quick else SETTLE_S)
    pool = appliances[0].pool
    before, began_s = _clocks(appliances), time.monotonic()
    pool.servers.command("counts")
    time.sleep(2.0 if setting.quick else IDLE_S)
    took_s = time.monotonic() - began_s
    polls = sum(pool.servers.command("counts").get("getMeetings", ()))
    own, store = (late - early for early, late in zip(before, _clocks(appliances), strict=True))
    measured.idle.append((own + store) / took_s * 100)
    measured.idle_each.append(own / len(appliances) / took_s * 100)
    measured.idle_redis.append(store / took_s * 100)
    measured.polls_per_s.append(polls / took_s)
    for block in range(BLOCKS):
        own_ms, store_ms = _call(setting, appliances, f"{label}-{block}", RATE_PER_S)
        measured.call_ms.append(own_ms + store_ms)
        measured.call_redis_ms.append(store_ms)


def _call(
    setting: Setting, appliances: Sequence[LargePool], label: str, rate_per_s: float
) -> tuple[float, float]:
    """Return the CPU time of appliances and of Redis for each call, in ms.

    As many generators call one appliance as two, so that they disturb both alike.
    """
    seconds = 1.5 if setting.quick else BLOCK_S
    called = [*appliances, *appliances][:2]
    rate = rate_per_s / len(CALLS) / len(called)
    sources = [
        replace(one.source, call=call, rate_per_s=rate, label=f"{label}-{number}")
        for number, one in enumerate(called)
        for call in CALLS
    ]
    found: list[Calls] = []
    before = _clocks(appliances)
    threads = [
        threading.Thread(target=lambda one=one: found.append(one.measure(seconds)))
        for one in sources
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own_s, store_s = (late - early for early, late in zip(before, _clocks(appliances), strict=True))
    assert len(found) == len(sources)
    assert not any(calls.errors for calls in found), found
    warm_up_s = min(1.0, seconds / 4)  # its calls are calls, too
    count = sum(calls.per_s for calls in found) * (seconds + warm_up_s)
    return own_s * 1000 / count, store_s * 1000 / count


def _clocks(appliances: Sequence[LargePool]) -> tuple[float, float]:
    """Return the CPU seconds of appliances and of Redis."""
    return sum(one.cpu_s() for one in appliances), cpu_s(appliances[0].pool.redis.process.pid)
