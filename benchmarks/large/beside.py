"""Measures calls at an even rate while something large happens beside them, again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import SHARES
from benchmarks.large.scenario import Figure
from benchmarks.load_generator import Job, Report
from benchmarks.many_servers import HOST
from benchmarks.measuring import Generator
from benchmarks.pool import SECRET

RATE_PER_S = 100.0
CONNECTIONS = 64
"""Enough that a call is sent when it is due, also while calls of the last half second hang."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The latency of the calls of a window."""

    p50_ms: float
    p99_ms: float
    worst_ms: float
    errors: int
    per_s: float
    """Calls that were answered."""


@dataclass(slots=True)
class Beside:
    """What was measured without and with the work beside the calls."""

    quiet: Calls
    busy: Calls
    took_s: list[float] = field(default_factory=list)
    """How long each repetition of the work took."""

    def figures(self, limit_ratio: float) -> Iterator[Figure]:
        """Yield the p99 without and with the work, and its ratio, wanted within a limit."""
        errors = self.quiet.errors + self.busy.errors
        yield Figure("p50 of other calls, without", self.quiet.p50_ms, "ms")
        yield Figure("p99 of other calls, without", self.quiet.p99_ms, "ms")
        yield Figure("p99 of other calls, beside it", self.busy.p99_ms, "ms")
        yield Figure("worst of other calls, beside it", self.busy.worst_ms, "ms")
        ratio = self.busy.p99_ms / self.quiet.p99_ms
        yield Figure("p99 of other calls, ratio", ratio, "", limit_ratio)
        yield Figure("wrong answers", float(errors), "", 0.0)


@dataclass(frozen=True, slots=True)
class CallSource:
    """Calls of isMeetingRunning, or another one, to an appliance."""

    port: int
    meetings: Sequence[str]
    """Ids of meetings that exist."""
    call: str = "isMeetingRunning"
    rate_per_s: float = RATE_PER_S
    label: str = "large"
    """Meetings that are created begin with it."""

    def measure(self, seconds: float) -> Calls:
        """Call for some seconds."""
        job = Job(
            scenario=self.call,
            host=HOST,
            port=self.port,
            connections=CONNECTIONS,
            warm_up_s=min(1.0, seconds / 4),
            seconds=seconds,
            secret=SECRET,
            meetings=list(self.meetings),
            label=self.label,
            pids={},
            rate=self.rate_per_s,
        )
        with Generator() as generator:
            return _calls(generator.do(job))

    def beside(self, seconds: float, work: Callable[[], object], pause_s: float = 0.2) -> Beside:
        """Measure without and with `work`, which is repeated with pauses as long as calls run."""
        quiet = self.measure(seconds)
        done, took_s = threading.Event(), []
        found: list[Calls] = []

        def call() -> None:
            try:
                found.append(self.measure(seconds))
            finally:
                done.set()

        thread = threading.Thread(target=call)
        thread.start()
        try:
            while not done.wait(pause_s):
                began_s = time.monotonic()
                work()
                took_s.append(time.monotonic() - began_s)
        finally:
            thread.join()
        return Beside(quiet, found[0], took_s)


def _calls(report: Report) -> Calls:
    p50, p99, worst = (report.latency_ms[SHARES.index(share)] for share in (0.5, 0.99, 1.0))
    return Calls(p50, p99, worst, report.errors, report.requests / report.seconds)
