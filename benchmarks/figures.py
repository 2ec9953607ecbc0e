"""The figures of a benchmark: a measurement, the medians of several, the targets.

Pure. The targets (docs/performance.md) are for one process that shares two cores with the load
generator and three simulated servers, at TARGET_CONNECTIONS.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Quantiles of the latency, in the order of `Measurement.latency_ms`."""
TARGET_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Target:
    """The goal for one process."""

    rate: float
    """Minimum of requests per second."""
    cpu_ms: float
    """Maximum of the appliance's CPU milliseconds per request."""

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
    """A measurement of one scenario at one number of connections, or the medians of several."""

    rate: float
    """Answers per second."""
    latency_ms: tuple[float, ...]
    """At each of SHARES."""
    cpu_ms: float
    """User and system time of the appliance's process per request."""
    redis_cpu_ms: float
    """User and system time of its embedded Redis per request."""
    busy: float
    """Share of one core used by the appliance."""
    generator_busy: float
    """Share of one core used by the load generator, which is the bottleneck near 1."""
    foreign_busy: float
    """Cores used by processes that do not belong to the benchmark."""
    rss_mb: float
    """Resident memory of the appliance at the end."""
    requests: int
    errors: int
    samples: tuple[str, ...] = ()
    """Descriptions of the first wrong answers."""

    def latency(self, share: float) -> float:
        """Return the latency in ms at a quantile, which must be one of SHARES."""
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
        """Return the median of each figure; requests and errors are sums."""
        return medians(self.rounds)

    @property
    def target(self) -> Target | None:
        """Return the target, or None if there is none for this scenario and connections."""
        return TARGETS.get(self.scenario) if self.connections == TARGET_CONNECTIONS else None

    @property
    def missed(self) -> list[str]:
        """Return the figures that miss the target: "rate", "CPU"."""
        target, median = self.target, self.median
        if target is None:
            return []
        checks = {"rate": median.rate >= target.rate, "CPU": median.cpu_ms <= target.cpu_ms}
        return [name for name, reached in checks.items() if not reached]


@dataclass(frozen=True, slots=True)
class Start:
    """The figures of one start of the appliance."""

    build: str
    ready_s: float
    """From the start of the process to READY=1."""
    idle_rss_mb: float
    """Resident memory of the appliance before any load."""
    idle_redis_rss_mb: float
    """Resident memory of its embedded Redis."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that a share (0 to 1) of the values does not exceed, 0 if empty."""
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
