"""The metrics of this process: counters, histograms, and the list of everything that is counted.

docs/metrics.md describes each metric; metrics/exposition.py renders them. Values that the stores
hold (servers, their loads, queued callbacks) are not counted here: metrics/routes.py reads them
when a scrape asks.

The classes replace those of prometheus_client where a request passes: an observation costs well
under a microsecond instead of several, and each API call makes two. Only the event loop changes
them, so they take no locks; a thread may read them, since readers copy what may grow meanwhile.
Labels must come from small known sets, because every combination is kept.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from appliance.model import PlacementOutcome

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bucket bounds for whole calls; longer ones fall into a last bucket without a bound."""
SHORT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0)
"""Bucket bounds for round trips to a store and for the lag of the event loop."""

CHECKSUM_REASONS = ("wrong", "missing", "algorithm", "tenant")
"""Why a call was not taken for signed; see bbb.errors.ChecksumReason."""

S3_REASONS = (
    *("AccessDenied", "BadRequest", "ExpiredToken", "InternalError", "InvalidAccessKeyId"),
    *("NoSuchBucket", "QuotaExceeded", "RequestTimeTooSkewed", "RequestTimeout"),
    *("ServiceUnavailable", "SignatureDoesNotMatch", "SlowDown"),
    *("Timeout", "ConnectionFailed", "NoCredentials", "ChecksumMismatch"),
    "other",
)
"""Error codes of S3, and of failures before its answer."""

_SLOT_S, _SLOTS = 6.0, 10
"""Of a recent maximum."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LastPoll:
    """The last poll of a server by this process."""

    ended_ms: int
    """Milliseconds since the epoch."""
    seconds: float
    failure: str
    """Why it failed, safe to show; empty: it succeeded."""


class Counter:
    """Number of times that an event has happened."""

    __slots__ = ("labels", "values")

    def __init__(self, *labels: str, known: Iterable[str] = ()) -> None:
        """Take the names of the labels; `known`: values of the only label that start at 0.

        Prometheus counts from the first value that it sees: a series that begins with its first
        failure shows no increase.
        """
        self.labels = labels
        """Names."""
        self.values: dict[Labels, float] = {(value,): 0.0 for value in known}
        if not labels:
            self.values[()] = 0.0

    def add(self, *labels: str, amount: float = 1.0) -> None:
        """Count the event for these label values."""
        self.values[labels] = self.values.get(labels, 0.0) + amount

    def forget(self, label: str, kept: frozenset[str]) -> None:
        """Drop the series whose value of `label` is not in `kept`."""
        index = self.labels.index(label)
        for labels in [labels for labels in self.values if labels[index] not in kept]:
            del self.values[labels]


class Histogram:
    """Distribution of durations over buckets."""

    __slots__ = ("_counts", "_sums", "bounds", "labels")

    def __init__(self, *labels: str, bounds: tuple[float, ...] = SECONDS) -> None:
        self.labels = labels
        """Names."""
        self.bounds = bounds
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count a value for these label values."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(self.bounds) + 1)
            self._sums[labels] = 0.0
        counts[bisect_left(self.bounds, value)] += 1
        self._sums[labels] += value

    def read(self) -> Iterator[tuple[Labels, list[int], float]]:
        """Yield label values, cumulative counts (each bucket and all below it), and the sum."""
        for labels, counts in list(self._counts.items()):
            yield labels, [*accumulate(counts)], self._sums[labels]

    def read_by(self, label: str) -> Iterator[tuple[Labels, list[int], float]]:
        """Yield as `read`, for each value of one label, added up over the others."""
        index = self.labels.index(label)
        by_value: dict[str, list[Labels]] = {}
        for labels in list(self._counts):
            by_value.setdefault(labels[index], []).append(labels)
        for value, some in by_value.items():
            counts = map(sum, zip(*(self._counts[labels] for labels in some), strict=True))
            yield (value,), [*accumulate(counts)], sum(self._sums[labels] for labels in some)

    def totals(self) -> Iterator[tuple[Labels, int]]:
        """Yield label values and how many values were counted for them."""
        for labels, counts in list(self._counts.items()):
            yield labels, sum(counts)

    def forget(self, label: str, kept: frozenset[str]) -> None:
        """Drop the series whose value of `label` is not in `kept`."""
        index = self.labels.index(label)
        for labels in [labels for labels in self._counts if labels[index] not in kept]:
            del self._counts[labels], self._sums[labels]


class RecentMaximum:
    """The largest value of the last minute, and of up to a tenth of that more.

    Unlike a maximum since the last scrape it can be read by several.
    """

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: deque[tuple[int, float]] = deque()
        """Number and maximum of each slot of time with a value, oldest first."""

    def note(self, value: float, now_s: float) -> None:
        """Take a value at a time of a monotonic clock."""
        slot = int(now_s / _SLOT_S)
        if self._slots and self._slots[-1][0] == slot:
            if value > self._slots[-1][1]:
                self._slots[-1] = slot, value
            return
        self._slots.append((slot, value))
        while self._slots[0][0] < slot - _SLOTS:
            self._slots.popleft()

    def read(self) -> float:
        """Return the maximum as of the last value, 0 before the first."""
        return max((value for _, value in self._slots), default=0.0)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The instruments of one process."""

    requests: Histogram = field(default_factory=lambda: Histogram("call", "result"))
    placements: Counter = field(
        default_factory=lambda: Counter("outcome", known=(one.value for one in PlacementOutcome))
    )
    """Results of placements: placed, known, or the reason why there is no server."""
    server_creates: Counter = field(default_factory=lambda: Counter("server", "result"))
    """Creates of new meetings on servers, `ok` or `failed`."""
    failovers: Counter = field(default_factory=Counter)
    moves: Counter = field(default_factory=Counter)
    """Meetings created on another server because theirs was offline, disabled or removed."""
    detached: Counter = field(default_factory=Counter)
    """Meetings whose server went offline."""
    polls: Histogram = field(default_factory=lambda: Histogram("server", "result"))
    last_polls: dict[str, LastPoll] = field(default_factory=dict)
    """By server id; not exported."""
    imports: Counter = field(
        default_factory=lambda: Counter("result", known=("done", "retried", "failed"))
    )
    import_bytes: Counter = field(default_factory=Counter)
    s3_errors: Counter = field(default_factory=lambda: Counter("reason", known=S3_REASONS))
    """Errors of the object store, by its code."""
    stores: Histogram = field(default_factory=lambda: Histogram("store", bounds=SHORT_SECONDS))
    """Round trips, including the wait for a connection."""
    slow_redis: Counter = field(
        default_factory=lambda: Counter("connection", known=("calls", "background"))
    )
    """Round trips to Redis that took over 0.2 s."""
    checksum_errors: Counter = field(
        default_factory=lambda: Counter("reason", known=CHECKSUM_REASONS)
    )
    list_rounds: Counter = field(default_factory=Counter)
    """Rounds of getMeetings to the servers, which calls share."""
    tenant_refused: Counter = field(default_factory=lambda: Counter("tenant", "limit"))
    """Creates and joins beyond a limit of a tenant."""
    tenant_creates: Counter = field(default_factory=lambda: Counter("tenant"))
    """Creates that were answered with SUCCESS, repeated ones included, by name of the tenant."""
    loop_lag: Histogram = field(default_factory=lambda: Histogram(bounds=SHORT_SECONDS))
    loop_pause: RecentMaximum = field(default_factory=RecentMaximum)
    """Longest time in seconds for which the event loop ran no other task."""
