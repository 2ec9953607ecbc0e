"""What becomes of a create whose server fails: moved, or given up, but never made twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.appliance_pool import ServedPool
from tests.doubles.appliance_process import wait_for

MOVED: list[dict[str, Any]] = [
    {"kind": "refuse"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 503, "executed": True},
]
AMBIGUOUS: list[dict[str, Any]] = [
    {"kind": "hang"},
    {"kind": "hang", "executed": True},
    {"kind": "status", "status": 504},
    {"kind": "close", "executed": True},
    {"kind": "reset", "executed": True},
    {"kind": "half"},
]


def id_of_fault(fault: dict[str, Any]) -> str:
    """Name a case by its fault."""
    return "-".join(str(value) for value in fault.values())


@pytest.mark.parametrize("fault", MOVED, ids=id_of_fault)
def test_create_moves_to_another_server(pool: ServedPool, fault: dict[str, Any]) -> None:
    broken = pool.servers[0]
    broken.add_fault(**({} if fault["kind"] == "refuse" else {"call": "create"}), **fault)
    try:
        answers = pool.front.create_all((f"m{number}" for number in range(9)), at_once=1)

        assert {answer.returncode for answer in answers} == {"SUCCESS"}
        for number in range(9):
            record = pool.record(f"m{number}")
            assert record["server_id"] != pool.ids[0]
        wait_for(lambda: broken.meetings() == {}, 40, "what it made is ended")
        for number in range(9):
            assert pool.holder(f"m{number}") is not broken
    finally:
        broken.clear_faults()


def test_reservation_is_undone_where_the_create_failed(pool: ServedPool) -> None:
    for server in pool.servers[:2]:
        server.add_fault("status", "create", status=500)

    assert pool.front.create("m1").returncode == "SUCCESS"

    assert [pool.load(server) for server in pool.servers] == [0, 0, 15]


def test_create_fails_when_every_server_does(pool: ServedPool) -> None:
    for server in pool.servers:
        server.add_fault("status", "create", status=500)

    answer = pool.front.create("m1")

    assert (answer.status, answer.key) == (200, "internalError")
    assert answer.message == "Unable to create meeting on server."
    assert pool.record("m1") == {}
    for server in pool.servers:
        server.clear_faults()
    assert pool.front.create("m1").returncode == "SUCCESS"


@pytest.mark.parametrize("fault", AMBIGUOUS, ids=id_of_fault)
def test_ambiguous_failure_is_not_moved_but_a_retry_lands(
    pool: ServedPool, fault: dict[str, Any]
) -> None:
    for server in pool.servers:
        server.add_fault(call="create", **fault)

    answer = pool.front.create("m1")

    assert (answer.key, answer.message) == ("internalError", "Unable to create meeting on server.")
    assert pool.requests("create") == 1
    assert pool.record("m1") == {}
    for server in pool.servers:
        server.clear_faults()
    # Its run is looked up and, if the server has it, ended by its internal id; or a poll does it.
    wait_for(
        lambda: pool.requests("end") + pool.requests("getMeetingInfo") >= 1,
        40,
        "the server is asked for what may be left",
    )
    wait_for(lambda: pool.holders("m1") == [], 40, "nothing is left of it")
    assert pool.front.create("m1").returncode == "SUCCESS"
    assert pool.holder("m1") in pool.servers


def test_create_is_never_sent_twice_to_a_server(pool: ServedPool) -> None:
    for server in pool.servers:
        server.add_fault("hang", "create", executed=True)

    pool.front.create("m1")

    assert pool.requests("create") == 1


def test_answer_of_a_refusal_is_passed_on_and_nothing_kept(pool: ServedPool) -> None:
    for server in pool.servers:
        server.add_fault("failed", "create", key="nonUniqueVoiceBridge", message="Taken & <gone>.")

    answer = pool.front.create("m1")

    assert (answer.key, answer.message) == ("nonUniqueVoiceBridge", "Taken & <gone>.")
    assert pool.record("m1") == {}
    assert pool.requests("create") == 1


def test_retry_while_a_create_hangs_follows_it(pool: ServedPool) -> None:
    """Five front-end retries while the first is under way: one server, one meeting."""
    for server in pool.servers:
        server.add_fault("delay", "create", seconds=0.6)

    answers = pool.front.create_all(["m1"] * 6, at_once=6)

    assert {answer.returncode for answer in answers} == {"SUCCESS"}
    assert len({answer.text("internalMeetingID") for answer in answers}) == 1
    assert pool.holder("m1") in pool.servers


def test_meeting_on_an_offline_server_is_placed_again(pool: ServedPool) -> None:
    pool.front.create("m1")
    first = pool.holder("m1")
    first.add_fault("status", "getMeetings", status=500)
    for _ in range(2):
        pool.appliance.poll()
    assert pool.appliance.status(pool.id_of(first)) == "offline"

    assert pool.front.join("m1").key == "notFound"
    assert pool.front.create("m1").returncode == "SUCCESS"
    assert pool.record("m1")["server_id"] != pool.id_of(first)


def test_known_meeting_is_not_moved_by_one_failure(pool: ServedPool) -> None:
    pool.front.create("m1")
    first = pool.holder("m1")
    first.add_fault("status", "create", status=503)

    answer = pool.front.create("m1")

    assert answer.key == "internalError"
    assert pool.record("m1")["server_id"] == pool.id_of(first)
    first.clear_faults()
    assert pool.front.create("m1").returncode == "SUCCESS"
    assert pool.holder("m1") is first
