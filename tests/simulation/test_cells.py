"""Cells: the router's choice, and a study of a pool that is divided."""

from __future__ import annotations

from collections import Counter

from appliance.simulation.cells import choose_cell, split_servers
from appliance.simulation.study import Options, run_study, to_json
from appliance.simulation.timetable import Row
from tests.doubles.features import EventBook

IDS = [f"meeting {number}" for number in range(4000)]


def test_meetings_are_shared_by_the_size_of_the_cells() -> None:
    counts = Counter(choose_cell(one, (10, 10, 20)) for one in IDS)
    assert 900 < counts[0] < 1100
    assert 900 < counts[1] < 1100
    assert 1900 < counts[2] < 2100


def test_cell_that_is_added_takes_over_only_its_own_share() -> None:
    before = [choose_cell(one, (10, 10)) for one in IDS]
    after = [choose_cell(one, (10, 10, 10)) for one in IDS]
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {2}
    assert 1200 < len(moved) < 1450


def test_servers_are_divided_as_evenly_as_can_be() -> None:
    assert split_servers(10, 3) == [3, 3, 4]
    assert split_servers(2, 2) == [1, 1]


async def test_study_of_cells_is_compared_with_one_pool() -> None:
    options = Options(
        rows=(Row(480, 30, 10, 24),),
        multipliers=(1.0,) * 4,
        capacity=None,
        known=1.0,
        forecast=True,
        seed=1,
        cells=2,
    )
    found = to_json(await run_study(options, EventBook()), options)
    worst = {name: one["worst_server"] for name, one in found["rules"].items()}
    assert found["cells"] == 2
    assert worst["appliance"] >= worst["appliance, one pool"] >= worst["perfect"] > 0
    assert found["capacity_needed"] == worst["appliance"]
