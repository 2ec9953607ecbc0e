"""benchmarks/figures.py: percentiles, medians, targets."""

from __future__ import annotations

import dataclasses
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import SHARES, Cell, Measurement, medians, percentile

FAST = Measurement(
    rate=4500.0,
    latency_ms=tuple(float(number) for number in range(len(SHARES))),
    cpu_ms=0.2,
    redis_cpu_ms=0.05,
    busy=0.9,
    generator_busy=0.2,
    foreign_busy=0.0,
    rss_mb=80.0,
    requests=9000,
    errors=0,
)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, 0.0),
        ([7.0], 0.0, 7.0),
        ([7.0], 0.99, 7.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.51, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 1.0, 4.0),
        ([float(number) for number in range(1, 101)], 0.95, 95.0),
        ([float(number) for number in range(1, 101)], 0.99, 99.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_percentile_is_the_smallest_value_that_the_share_stays_within(
    values: list[float], share: float
) -> None:
    found = percentile(sorted(values), share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < max(share * len(values), 1)


def test_latency_is_found_by_its_share() -> None:
    assert FAST.latency(0.99) == SHARES.index(0.99)


def test_medians_are_taken_figure_by_figure_and_counts_are_added() -> None:
    slow = dataclasses.replace(FAST, rate=1000.0, cpu_ms=0.9, errors=2, samples=("status 500",))
    odd = dataclasses.replace(FAST, rate=4000.0, cpu_ms=0.1, samples=("status 500", "closed"))

    found = medians([FAST, slow, odd])

    assert (found.rate, found.cpu_ms) == (4000.0, 0.2)
    assert (found.requests, found.errors) == (27_000, 2)
    assert found.samples == ("status 500", "closed")
    assert found.latency_ms == FAST.latency_ms


def test_medians_of_one_round_are_the_round() -> None:
    assert medians([FAST]) == FAST


@pytest.mark.parametrize(
    ("connections", "rate", "cpu_ms", "missed"),
    [
        (16, 4000.0, 0.24, []),
        (16, 3999.0, 0.24, ["rate"]),
        (16, 4000.0, 0.25, ["CPU"]),
        (16, 1.0, 9.0, ["rate", "CPU"]),
        (64, 1.0, 9.0, []),  # nothing is laid down there
    ],
)
def test_target_is_missed_when_rate_or_cpu_is_worse(
    connections: int, rate: float, cpu_ms: float, missed: list[str]
) -> None:
    rounds = [dataclasses.replace(FAST, rate=rate * f, cpu_ms=cpu_ms) for f in (0.5, 1.0, 2.0)]
    assert statistics.median(each.rate for each in rounds) == rate

    assert Cell("this", "join", connections, tuple(rounds)).missed == missed
