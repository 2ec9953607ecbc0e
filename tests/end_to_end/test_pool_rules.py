"""Where meetings go: load, tags, multipliers, limits, states; seen from outside."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.doubles.appliance_client import MODERATOR_PW
from tests.doubles.appliance_pool import ServedPool


def spread(pool: ServedPool) -> list[int]:
    """Return how many meetings each server has."""
    return [len(server.meetings()) for server in pool.servers]


def update(pool: ServedPool, number: int, **fields: object) -> None:
    """Change the server of this number."""
    server = {"id": pool.ids[number], **fields}
    pool.appliance.control.post("updateServer", {"id": pool.ids[number], "server": server})


def set_state(pool: ServedPool, number: int, verb: str) -> None:
    """enable, cordon or disable the server of this number."""
    body = {"id": pool.ids[number], "confirmed": True}
    pool.appliance.control.post(f"{verb}Server", body)


def test_burst_of_creates_spreads_evenly_between_two_polls(pool: ServedPool) -> None:
    answers = pool.front.create_all((f"burst {number}" for number in range(201)), at_once=24)

    assert Counter(answer.returncode for answer in answers) == {"SUCCESS": 201}
    assert spread(pool) == [67, 67, 67]
    assert {pool.load(server) for server in pool.servers} == {67 * 15.0}


def test_load_counts_each_meeting_once(pool: ServedPool) -> None:
    pool.front.create_all(["same"] * 16, at_once=16)

    assert sum(pool.load(server) or 0 for server in pool.servers) == 15.0
    assert sum(spread(pool)) == 1


def test_size_hint_weighs_more(pool: ServedPool) -> None:
    pool.front.create("lecture", **{"meta_bbb-meeting-size-hint": "300"})

    pool.front.create_all(f"class {number}" for number in range(20))

    holder = pool.holder("lecture")
    assert len(holder.meetings()) == 1
    assert pool.load(holder) == 300


def test_weaker_server_gets_fewer(pool: ServedPool) -> None:
    update(pool, 0, load_multiplier=2)
    update(pool, 1, load_multiplier=2)

    pool.front.create_all((f"m{number}" for number in range(40)), at_once=1)

    assert spread(pool) == [10, 10, 20]


@pytest.mark.parametrize(
    ("tags", "wanted", "key", "chosen"),
    [
        (["", "big", "big"], None, "", {0}),
        (["", "big", "big"], "big", "", {1, 2}),
        (["", "big", "big"], "big!", "", {1, 2}),
        (["", "big", "small"], "small;big", "", {1, 2}),
        (["", "big", "small"], "none;small", "", {0, 2}),
        (["", "big", "big"], "other", "", {0}),
        (["", "big", "big"], "other!", "serverTagUnavailable", set()),
        (["big", "big", "big"], None, "internalError", set()),
        (["", "big", "big"], "!", "", {0}),
    ],
)
def test_tag_chooses_the_servers(
    pool: ServedPool, tags: list[str], wanted: str | None, key: str, chosen: set[int]
) -> None:
    for number, tag in enumerate(tags):
        update(pool, number, tag=tag)
    params = {} if wanted is None else {"meta_server-tag": wanted}

    answers = [pool.front.create(f"m{number}", **params) for number in range(6)]

    assert {answer.key for answer in answers} == {key}
    assert {number for number, count in enumerate(spread(pool)) if count} == chosen
    for meeting in (m for server in pool.servers for m in server.meetings().values()):
        server_tag = tags[next(iter(chosen))] if len(chosen) == 1 else None
        assert server_tag is None or meeting["metadata"].get("server-tag", "") == server_tag


def test_required_tag_is_named_in_the_answer(pool: ServedPool) -> None:
    answer = pool.front.create("m1", **{"meta_server-tag": "gpu!"})

    assert answer.message == "There is no available server with the required tag=gpu."


def test_limits_close_a_server(pool: ServedPool) -> None:
    update(pool, 0, max_meetings=1)
    update(pool, 1, max_users=30)
    update(pool, 2, max_meetings=2)

    answers = [pool.front.create(f"m{number}") for number in range(8)]

    assert [answer.returncode for answer in answers] == ["SUCCESS"] * 5 + ["FAILED"] * 3
    assert spread(pool) == [1, 2, 2]
    assert answers[-1].message == "Could not find any available servers."


def test_cordoned_server_keeps_its_meetings_and_takes_no_new_ones(pool: ServedPool) -> None:
    pool.front.create("old")
    holder = pool.holder("old")
    set_state(pool, list(pool.servers).index(holder), "cordon")

    pool.front.create_all(f"new {number}" for number in range(6))

    assert len(holder.meetings()) == 1
    assert pool.front.join("old").status == 302
    assert pool.front.info("old").returncode == "SUCCESS"
    assert "old" in pool.front.listed()
    assert pool.front.create("old").returncode == "SUCCESS"
    assert pool.holder("old") is holder


def test_meeting_that_a_cordoned_server_has_lost_is_placed_again(pool: ServedPool) -> None:
    pool.front.create("lost")
    holder = pool.holder("lost")
    set_state(pool, list(pool.servers).index(holder), "cordon")
    holder.forget_meetings()

    assert pool.front.create("lost").returncode == "SUCCESS"
    assert pool.holder("lost") is not holder


def test_empty_cordoned_server_becomes_disabled_by_its_next_poll(pool: ServedPool) -> None:
    set_state(pool, 0, "cordon")

    pool.appliance.poll()

    assert pool.appliance.server(pool.ids[0])["state"] == "disabled"


def test_disabled_server_is_left_alone(pool: ServedPool) -> None:
    pool.front.create("old")
    holder = pool.holder("old")
    number = list(pool.servers).index(holder)
    set_state(pool, number, "disable")
    assert pool.holders("old") == []
    pool.front.create_all(f"new {count}" for count in range(6))

    assert holder.meetings() == {}
    assert pool.front.join("old").key == "notFound"


def test_no_server_is_an_internal_error(empty_pool: ServedPool) -> None:
    answer = empty_pool.front.create("m1")

    assert (answer.status, answer.key) == (200, "internalError")
    assert answer.message == "Could not find any available servers."
    assert empty_pool.front.get("getMeetings").key == "noMeetings"


def test_added_server_takes_meetings_once_enabled(empty_pool: ServedPool) -> None:
    pool = empty_pool
    server_id = pool.appliance.add_server(pool.servers[0], enable=False)
    assert pool.front.create("early").key == "internalError"

    answer = pool.appliance.control.post("enableServer", {"id": server_id})

    assert answer["poll"]["succeeded"]
    assert pool.front.create("m1").returncode == "SUCCESS"
    assert pool.front.get("end", meetingID="m1", password=MODERATOR_PW).returncode == "SUCCESS"
