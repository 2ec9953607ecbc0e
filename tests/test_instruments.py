"""Counters and histograms: buckets, sums, dropped series."""

from __future__ import annotations

import pytest

from appliance.instruments import Counter, Histogram, RecentMaximum


def test_counter_counts_each_combination_of_labels_separately() -> None:
    counter = Counter("a", "b")

    counter.add("1", "x")
    counter.add("1", "x", amount=2)
    counter.add("1", "y")

    assert counter.values == {("1", "x"): 3, ("1", "y"): 1}


def test_counter_without_labels_starts_at_zero() -> None:
    counter = Counter()

    assert counter.values == {(): 0}
    counter.add()
    assert counter.values == {(): 1}


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (0.0, [1, 1, 1]),
        (1.0, [1, 1, 1]),  # a bound belongs to its bucket
        (1.5, [0, 1, 1]),
        (2.0, [0, 1, 1]),
        (3.0, [0, 0, 1]),
    ],
)
def test_value_counts_in_its_bucket_and_in_every_higher_one(
    value: float, counts: list[int]
) -> None:
    histogram = Histogram("call", bounds=(1.0, 2.0))

    histogram.observe(value, "create")

    assert list(histogram.read()) == [(("create",), counts, value)]


def test_histogram_sums_its_values() -> None:
    histogram = Histogram(bounds=(1.0,))
    for value in (0.5, 0.75, 4.0):
        histogram.observe(value)

    assert list(histogram.read()) == [((), [2, 3], 5.25)]


def test_histogram_is_added_up_by_one_label() -> None:
    histogram = Histogram("server", "result", bounds=(1.0, 2.0))
    for value, labels in ((0.5, ("a", "ok")), (1.5, ("b", "ok")), (9.0, ("b", "failed"))):
        histogram.observe(value, *labels)

    found = {labels: (counts, total) for labels, counts, total in histogram.read_by("result")}

    assert found == {("ok",): ([1, 2, 2], 2.0), ("failed",): ([0, 0, 1], 9.0)}


def test_forget_drops_the_series_that_are_not_kept() -> None:
    histogram = Histogram("server", "result", bounds=(1.0,))
    for labels in (("a", "ok"), ("b", "ok"), ("a", "failed")):
        histogram.observe(0.1, *labels)

    histogram.forget("server", frozenset({"a"}))

    assert [labels for labels, *_ in histogram.read()] == [("a", "ok"), ("a", "failed")]


def test_recent_maximum_is_that_of_the_last_minute() -> None:
    recent = RecentMaximum()
    assert recent.read() == 0.0

    read = []
    for now_s, value in ((100, 0.2), (103, 0.5), (104, 0.1), (160, 0.3), (163, 0.1), (169, 0.0)):
        recent.note(value, now_s)
        read.append(recent.read())

    assert read == [0.2, 0.5, 0.5, 0.5, 0.5, 0.3]


def test_recent_maximum_forgets_what_was_before_a_long_gap() -> None:
    recent = RecentMaximum()
    recent.note(2.0, 0.0)
    recent.note(0.1, 1e6)

    assert recent.read() == 0.1
