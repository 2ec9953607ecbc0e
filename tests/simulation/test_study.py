"""What a timetable asks of a pool: the figures, the search for enough servers, the picture."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from appliance.simulation.study import Question, answer, render_picture, to_json
from appliance.simulation.timetable import Row
from tests.doubles.features import EventBook

SMALL = Question(
    rows=(Row(480, 30, 10, 12), Row(480, 30, 40, 1)),
    multipliers=(1.0, 1.0, 0.5),
    capacity=None,
    known=1.0,
    forecast=True,
    seed=1,
)


async def test_study_says_what_a_server_must_carry() -> None:
    study = await answer(SMALL, EventBook())

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


async def test_enough_servers_are_found_for_a_capacity() -> None:
    asked = replace(SMALL, multipliers=None, capacity=60)

    found = to_json(await answer(asked, EventBook()), asked)

    assert found["enough_if_one_is_lost"] is True
    assert 3 <= found["servers"] <= 8
    fewer = replace(asked, multipliers=(1.0,) * (found["servers"] - 1))
    assert to_json(await answer(fewer, EventBook()), fewer)["enough_if_one_is_lost"] is False


async def test_class_larger_than_a_server_is_said_at_once() -> None:
    asked = replace(SMALL, multipliers=None, capacity=20)

    found = to_json(await answer(asked, EventBook()), asked)

    assert found["largest_class"] > 20
    assert found["enough"] is False


async def test_single_server_is_studied_without_a_loss() -> None:
    asked = replace(SMALL, multipliers=(1.0,))

    found = to_json(await answer(asked, EventBook()), asked)

    assert found["capacity_needed"] == found["capacity_needed_if_one_is_lost"]
    assert found["capacity_needed"] == found["users_at_peak"]


async def test_picture_has_a_line_for_each_rule() -> None:
    study = await answer(SMALL, EventBook())

    root = ElementTree.fromstring(render_picture(study, SMALL))

    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 5
