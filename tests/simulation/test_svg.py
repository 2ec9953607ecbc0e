"""Axes end at round numbers."""

from __future__ import annotations

import pytest

from appliance.simulation.svg import nice_ceiling


@pytest.mark.parametrize(
    ("value", "ceiling"), [(0, 1), (1, 1), (3, 4), (4512, 6000), (8001, 10_000), (9999, 10_000)]
)
def test_nice_ceiling_is_the_next_round_number(value: float, ceiling: float) -> None:
    assert nice_ceiling(value) == ceiling
