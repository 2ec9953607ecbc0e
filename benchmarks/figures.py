"""The figures of a benchmark: one measurement, the medians of several, the targets.

Pure. The targets are those of the project for one process with its load generator and three
simulated servers on the same two cores, at TARGET_CONNECTIONS.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Points of the latency distribution that are kept; each is one of `Measurement.latency_ms`."""
TARGET_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Target:
    """What one process must reach."""

    rate: float
    """Requests per second, at least."""
    cpu_ms: float
    """CPU milliseconds of the appliance per request, at most."""

    def __str__(self) -> str:
        return f">={self.rate:g}/s <={self.cpu_ms:g} ms"


TARGETS = {
    "index": Target(6000, 0.16),
    "isMeetingRunning": Target(2500, 0.38),
    "getMeetingInfo": Target(2500, 0.38),
    "join": Target(4000, 0.24),
    "create": Target(1500, 0.6),
    "mix": Target(1500, 0.6),
    "getMeetings": Target(500, 2.0),
    "getRecordings": Target(700, 1.4),
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One scenario at one number of connections, for some seconds; or medians of several."""

    rate: float
    """Answers per second."""
    latency_ms: tuple[float, ...]
    """At each of SHARES."""
    cpu_ms: float
    """Of the appliance's process, user and system, per request."""
    redis_cpu_ms: float
    """Of its embedded Redis, per request."""
    busy: float
    """Share of one core that the appliance used."""
    generator_busy: float
    """Share of one core that the load generator used: near 1, it measures itself."""
    foreign_busy: float
    """Cores that processes used which have no part in this."""
    rss_mb: float
    """Of the appliance at the end."""
    requests: int
    errors: int
    samples: tuple[str, ...] = ()
    """What the first wrong answers were."""

    def latency(self, share: float) -> float:
        """Return the latency in ms that a share of the requests stayed within (one of SHARES)."""
        return self.latency_ms[SHARES.index(share)]


@dataclass(frozen=True, slots=True)
class Cell:
    """All rounds of one scenario at one number of connections, on one build."""

    build: str
    scenario: str
    connections: int
    rounds: tuple[Measurement, ...]

    @property
    def median(self) -> Measurement:
        """Medians of the rounds, figure by figure; requests and errors are sums."""
        return medians(self.rounds)

    @property
    def target(self) -> Target | None:
        """What must be reached here, None where nothing is laid down."""
        return TARGETS.get(self.scenario) if self.connections == TARGET_CONNECTIONS else None

    @property
    def missed(self) -> list[str]:
        """What is below the target: "rate", "CPU"."""
        target, median = self.target, self.median
        if target is None:
            return []
        checks = {"rate": median.rate >= target.rate, "CPU": median.cpu_ms <= target.cpu_ms}
        return [name for name, reached in checks.items() if not reached]


@dataclass(frozen=True, slots=True)
class Start:
    """What one start of the appliance cost."""

    build: str
    ready_s: float
    """From the start of the process to READY=1."""
    idle_rss_mb: float
    """The appliance, before any load."""
    idle_redis_rss_mb: float
    """Its embedded Redis."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` (0 to 1) of the values do not exceed; 0 for none."""
    if not ordered:
        return 0.0
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def medians(rounds: Sequence[Measurement]) -> Measurement:
    """Return the median of each figure of at least one measurement."""

    def middle(name: str) -> float:
        return float(statistics.median(getattr(each, name) for each in rounds))

    return Measurement(
        rate=middle("rate"),
        latency_ms=tuple(
            statistics.median(column)
            for column in zip(*(each.latency_ms for each in rounds), strict=True)
        ),
        cpu_ms=middle("cpu_ms"),
        redis_cpu_ms=middle("redis_cpu_ms"),
        busy=middle("busy"),
        generator_busy=middle("generator_busy"),
        foreign_busy=middle("foreign_busy"),
        rss_mb=middle("rss_mb"),
        requests=sum(each.requests for each in rounds),
        errors=sum(each.errors for each in rounds),
        samples=tuple(dict.fromkeys(text for each in rounds for text in each.samples)),
    )
