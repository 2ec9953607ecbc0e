"""Studies: the figures, the search for a sufficient pool, the picture."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from appliance.model import LoadWeights
from appliance.simulation.study import Options, render_picture, run_study, to_json
from appliance.simulation.timetable import Row
from tests.doubles.features import EventBook

SMALL = Options(
    rows=(Row(480, 30, 10, 12), Row(480, 30, 40, 1)),
    multipliers=(1.0, 1.0, 0.5),
    capacity=None,
    known=1.0,
    forecast=True,
    seed=1,
)


async def test_study_finds_the_capacity_that_a_server_needs() -> None:
    study = await run_study(SMALL, EventBook())

    found = to_json(study, SMALL)
    assert (found["classes"], found["servers"]) == (13, 3)
    assert 120 < found["users_at_peak"] < 200
    assert "08:00" < found["peak_time"] < "08:30"
    worst = {name: one["worst_server"] for name, one in found["rules"].items()}
    fair = found["users_at_peak"] / 4
    assert fair <= worst["perfect"] <= worst["appliance"] < found["users_at_peak"]
    assert found["capacity_needed"] == worst["appliance"]
    assert found["capacity_needed_if_one_is_lost"] >= found["capacity_needed"]
    assert found["enough"] is None


async def test_smallest_sufficient_pool_is_found_for_a_capacity() -> None:
    rows = (Row(480, 30, 10, 6), Row(480, 30, 40, 1))
    options = replace(SMALL, rows=rows, multipliers=None, capacity=60)

    found = to_json(await run_study(options, EventBook()), options)

    assert found["enough_if_one_is_lost"] is True
    assert 2 < found["servers"] < 7
    fewer = replace(options, multipliers=(1.0,) * (found["servers"] - 1))
    assert to_json(await run_study(fewer, EventBook()), fewer)["enough_if_one_is_lost"] is False


async def test_no_pool_is_sufficient_when_a_class_is_larger_than_a_server() -> None:
    options = replace(SMALL, rows=(Row(480, 30, 40, 1),), multipliers=None, capacity=20)

    found = to_json(await run_study(options, EventBook()), options)

    assert found["largest_class"] > 20
    assert found["enough"] is False


async def test_single_server_is_studied_without_a_loss() -> None:
    options = replace(SMALL, multipliers=(1.0,))

    found = to_json(await run_study(options, EventBook()), options)

    assert found["capacity_needed"] == found["capacity_needed_if_one_is_lost"]
    assert found["capacity_needed"] == found["users_at_peak"]


async def test_picture_has_a_line_for_each_rule() -> None:
    study = await run_study(SMALL, EventBook())

    root = ElementTree.fromstring(render_picture(study, SMALL))

    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 5


async def test_study_with_weights_shows_what_users_alone_would_miss() -> None:
    rows = (Row(480, 30, 30, 4, cameras=30), Row(480, 30, 30, 4, cameras=0))
    weights = LoadWeights(user=1.0, video=5.0)
    options = replace(SMALL, rows=rows, multipliers=(1.0, 1.0), weights=weights, capacity=2000)

    study = await run_study(options, EventBook())

    found = to_json(study, options)
    assert list(found["rules"]) == ["appliance", "appliance, users only", "Scalelite", "perfect"]
    assert found["weights"] == {"user": 1.0, "video": 5.0, "voice": 0.0, "meeting": 0.0}
    assert found["largest_load"] > 5 * found["largest_class"]
    assert found["capacity_needed"] > 3 * found["users_at_peak"] / 2
    assert "weighted load x multiplier" in render_picture(study, options)
