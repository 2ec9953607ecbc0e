"""Counters and histograms: what is counted while the appliance works, read when it is asked for.

Pure values; who renders them is web's matter. An observation costs well under a microsecond (the
client library's costs several), since each API call makes two. One event loop uses them, so they
need no locks. Labels must come from small known sets: every combination is kept for good.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds for whole calls; what takes longer is in a last bucket without one."""
SHORT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0)
"""For round trips to a store, and for the loop."""

Labels = tuple[str, ...]


class Counter:
    """How often something has happened."""

    __slots__ = ("labels", "values")

    def __init__(self, *labels: str, known: Iterable[str] = ()) -> None:
        """`known`: values of the one label that are there from the start.

        Prometheus counts from the first value that it sees: a series that begins with its first
        failure shows no increase.
        """
        self.labels = labels
        """Their names."""
        self.values: dict[Labels, float] = {(value,): 0.0 for value in known}
        if not labels:
            self.values[()] = 0.0

    def add(self, *labels: str, amount: float = 1.0) -> None:
        """Count it for these values of the labels."""
        self.values[labels] = self.values.get(labels, 0.0) + amount


class Histogram:
    """How long something took, sorted into buckets."""

    __slots__ = ("_counts", "_sums", "bounds", "labels")

    def __init__(self, *labels: str, bounds: tuple[float, ...] = SECONDS) -> None:
        self.labels = labels
        """Their names."""
        self.bounds = bounds
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Sort a value in, for these values of the labels."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(self.bounds) + 1)
            self._sums[labels] = 0.0
        counts[bisect_left(self.bounds, value)] += 1
        self._sums[labels] += value

    def read(self) -> Iterator[tuple[Labels, list[int], float]]:
        """Yield labels, how many values were in each bucket or a lower one, and their sum."""
        for labels, counts in self._counts.items():
            total, cumulative = 0, []
            for count in counts:
                total += count
                cumulative.append(total)
            yield labels, cumulative, self._sums[labels]

    def forget(self, label: str, kept: frozenset[str]) -> None:
        """Drop the series whose label has another value than these: what it named is gone."""
        index = self.labels.index(label)
        for labels in [labels for labels in self._counts if labels[index] not in kept]:
            del self._counts[labels], self._sums[labels]
