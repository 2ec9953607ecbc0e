"""What the pool needs: the formula, what can be drained, what is safe to stop, tags."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.fleet.capacity import Capacity, FleetNote, plan_capacity
from appliance.model import Server, ServerId, ServerState
from appliance.settings import FleetSettings
from tests.doubles.settings import settings_of


def fleet(**variables: Any) -> FleetSettings:
    return settings_of(**{"SEATS_PER_SERVER": "100", **variables}).fleet


def server(name: str, users: int = 0, meetings: int = 0, **fields: Any) -> Server:
    url = f"https://{name}.example.com/bigbluebutton/api"
    up: dict[str, Any] = {"state": ServerState.ENABLED, "online": True, "load": float(users)}
    return Server(ServerId(name), url, "s", users=users, meetings=meetings, **{**up, **fields})


def plan(
    *servers: Server,
    history: int | None = 0,
    notes: dict[str, FleetNote] | None = None,
    **variables: Any,
) -> Capacity:
    known = {one.id: FleetNote(polled=True) for one in servers}
    known |= {ServerId(name): note for name, note in (notes or {}).items()}
    return plan_capacity(servers, known, history, fleet(**variables))


@pytest.mark.parametrize(
    ("users", "history", "variables", "desired"),
    [
        (0, 0, {}, 1),
        (0, 0, {"POOL_MIN_SERVERS": "0"}, 0),
        (1, 0, {"POOL_MIN_SERVERS": "0"}, 1),
        (250, 0, {}, 3),
        (251, 0, {}, 4),
        (250, 251, {}, 4),
        (251, 100, {}, 4),
        (250, 0, {"POOL_HEADROOM": "0"}, 3),
        (300, 0, {"POOL_HEADROOM": "100"}, 6),
        (300, 0, {"SEATS_PER_SERVER": "7", "POOL_HEADROOM": "5"}, 45),
        (1000, 0, {"POOL_MAX_SERVERS": "5"}, 5),
        (0, 0, {"POOL_MIN_SERVERS": "3"}, 3),
    ],
)
def test_desired_servers_carry_the_users_with_headroom(
    users: int, history: int, variables: dict[str, Any], desired: int
) -> None:
    assert plan(server("a", users), history=history, **variables).desired_servers == desired


def test_seats_are_those_of_servers_that_take_meetings() -> None:
    found = plan(
        server("a", 30, 2),
        server("b", 60, 1, max_users=50),
        server("c", 5, 1, state=ServerState.CORDONED),
        server("d", state=ServerState.DISABLED),
        server("e", online=False),
    )

    assert (found.demand.users, found.meetings) == (95, 4)
    assert (found.seats, found.free_seats, found.available) == (150, 70, 2)


def test_forecast_counts_those_who_are_expected_in_created_meetings() -> None:
    ahead = {"a": FleetNote(pending_users=200, polled=True)}

    assert plan(server("a", 50), notes=ahead).demand.forecast == 250
    assert plan(server("a", 50), notes=ahead, history=300).demand.forecast == 300
    assert plan(server("a", 50), notes=ahead, history=None).demand.forecast == 250


def test_users_of_a_disabled_server_are_no_demand() -> None:
    """It is not polled any more, so they are those that it had when it was disabled."""
    left = server("b", 50, 2, tag="gpu", state=ServerState.DISABLED)
    found = plan(server("a", 10, 1), left, notes={"b": FleetNote(pending_users=70, polled=True)})

    assert (found.demand.users, found.demand.forecast, found.meetings) == (10, 10, 1)
    assert (found.desired_servers, found.needed) == (1, {"none": 1, "gpu": 1})


def test_drainable_servers_are_those_that_the_pool_can_do_without() -> None:
    servers = [server("a", 90, 2), server("b", 10, 1), server("c", 0), server("d", 40, 2)]

    assert plan(*servers).drainable == ("c", "b")
    assert plan(*servers, POOL_MIN_SERVERS="3").drainable == ("c",)
    assert plan(*servers, history=400).drainable == ()
    assert plan(*servers, POOL_MIN_SERVERS="4").drainable == ()


def test_drainable_servers_leave_enough_seats_on_small_servers() -> None:
    servers = [server(name, 20, 1, max_users=50) for name in "abcd"]

    assert plan(*servers).desired_servers == 1
    assert plan(*servers).drainable == ("a", "b")  # 96 seats are needed


def test_servers_out_of_service_are_not_drainable() -> None:
    found = plan(
        server("a", 1, 1),
        server("b", state=ServerState.CORDONED),
        server("c", online=False),
        server("d", state=ServerState.DISABLED),
    )

    assert found.drainable == ()


@pytest.mark.parametrize(
    ("fields", "note", "safe"),
    [
        ({}, FleetNote(polled=True), True),
        ({"online": False}, FleetNote(polled=True), True),
        ({"state": ServerState.CORDONED}, FleetNote(polled=True), False),
        ({"state": ServerState.ENABLED}, FleetNote(polled=True), False),
        ({"meetings": 1}, FleetNote(polled=True), False),
        ({"users": 1}, FleetNote(polled=True), False),
        ({}, FleetNote(polled=True, pending_users=1), False),
        ({}, FleetNote(polled=True, maintained=True), False),
        ({}, FleetNote(polled=False), False),
    ],
)
def test_safe_to_stop_is_a_server_that_was_used_and_is_disabled_and_empty(
    fields: dict[str, Any], note: FleetNote, safe: bool
) -> None:
    idle = replace(server("a"), **{"state": ServerState.DISABLED, **fields})

    assert plan(idle, notes={"a": note}).safe_to_stop == (("a",) if safe else ())


def test_needed_servers_are_shared_among_tags_by_their_users() -> None:
    servers = [server("a", 100, 1), server("b", 0), server("c", 300, 3, tag="gpu")]

    assert plan(*servers).needed == {"none": 2, "gpu": 4}
    assert plan(*servers, history=800).needed == {"none": 3, "gpu": 8}


def test_every_tag_keeps_a_server() -> None:
    servers = [server("a", 100, 1), server("b", 0, tag="gpu"), server("c", 0, tag="gpu")]
    found = plan(*servers)

    assert found.needed == {"none": 2, "gpu": 1}
    assert found.drainable == ("b",)


def test_needed_without_users_follows_the_seats() -> None:
    servers = [server("a"), server("b"), server("c"), server("d", tag="gpu")]

    assert plan(*servers, history=400).needed == {"none": 4, "gpu": 2}
    assert plan(history=200).needed == {"none": 3}
