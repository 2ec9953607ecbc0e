"""Servers that die, hang, come back and change, as the poller of a real process sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.doubles.appliance_pool import ServedPool
from tests.doubles.appliance_process import wait_for
from tests.doubles.bbb_process import BbbProcess

INTERVAL_S, RETRY_S, TIMEOUT_S = 0.5, 0.2, 1.0
TTL_S = 6
OFFLINE_S = 40.0
"""Until a dead server is out: the wait for a poll and two failures take three; the rest is for a
busy machine."""


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Give quick polls."""
    return {
        "POLL_INTERVAL": str(INTERVAL_S),
        "POLL_RETRY_INTERVAL": str(RETRY_S),
        "POLLER_WAIT_TIMEOUT": str(TIMEOUT_S),
        "CONNECT_TIMEOUT": "1",
        "RESPONSE_TIMEOUT": "2",
        "DEFAULT_MEETING_TTL": str(TTL_S),
    }


@pytest.fixture
def two(pool: ServedPool) -> Iterator[tuple[BbbProcess, BbbProcess]]:
    """Give the server that has the meeting `class`, and another one; both behave again after."""
    pool.front.create("class", attendeePW="a1", moderatorPW="m1")
    holder = pool.holder("class")
    holder.set_users("class", participants=5)
    yield holder, pool.others(holder)[0]
    if holder.pid is None:
        holder.start()
    holder.resume()


def until_status(pool: ServedPool, server: BbbProcess, status: str, within_s: float) -> None:
    """Wait until a server has this status."""
    server_id = pool.id_of(server)
    wait_for(lambda: pool.appliance.status(server_id) == status, within_s, status)


def polls(server: BbbProcess) -> int:
    """Return how often a server was polled since its requests were cleared."""
    return len(server.requests("getMeetings"))


LOSSES: list[Callable[[BbbProcess], None]] = [
    BbbProcess.kill,
    BbbProcess.pause,
    lambda server: server.add_fault("refuse"),
    lambda server: server.add_fault("hang"),
    lambda server: server.add_fault("hang_accept"),
    lambda server: server.add_fault("status", status=500),
    lambda server: server.add_fault("truncated"),
    lambda server: server.add_fault("failed"),
]
LOSS_IDS = ["dead", "stopped", "refuses", "hangs", "hangs-accept", "500", "truncated", "failed"]


@pytest.mark.parametrize("lose", LOSSES, ids=LOSS_IDS)
def test_lost_server_is_out_within_seconds_and_its_meetings_are_detached(
    pool: ServedPool, two: tuple[BbbProcess, BbbProcess], lose: Callable[[BbbProcess], None]
) -> None:
    lost, _other = two

    lose(lost)
    until_status(pool, lost, "offline", OFFLINE_S)

    front = pool.front
    assert front.info("class").key == "notFound"
    assert front.join("class").key == "notFound"
    assert front.is_running("class") == "false"
    event = pool.appliance.wait_event("server_offline", server=pool.id_of(lost))
    assert (event["level"], event["detached_meetings"]) == ("warning", 1)
    answers = [front.create(f"new {number}") for number in range(6)]
    assert {answer.returncode for answer in answers} == {"SUCCESS"}
    server = pool.appliance.server(pool.id_of(lost))
    assert (server["meetings"], server["users"], server["load"]) == (0, 0, "unavailable")


def test_meeting_is_taken_back_when_its_server_is(
    pool: ServedPool, two: tuple[BbbProcess, BbbProcess]
) -> None:
    lost, _other = two
    before = pool.front.info("class").text("internalMeetingID")
    bridge = pool.record("class")["voice_bridge"]
    lost.pause()
    until_status(pool, lost, "offline", OFFLINE_S)
    assert pool.front.info("class").key == "notFound"

    lost.resume()
    until_status(pool, lost, "online", 40)

    wait_for(lambda: pool.front.info("class").returncode == "SUCCESS", 40, "taken back")
    assert pool.front.info("class").text("internalMeetingID") == before
    assert pool.record("class")["voice_bridge"] == bridge
    assert pool.front.join("class", password="a1").location.startswith(lost.url)
    assert lost.requests("end") == []


def test_meeting_that_was_created_elsewhere_is_ended_on_the_server_that_is_back(
    pool: ServedPool, two: tuple[BbbProcess, BbbProcess]
) -> None:
    lost, _other = two
    lost.pause()
    until_status(pool, lost, "offline", OFFLINE_S)

    assert pool.front.create("class", attendeePW="a1", moderatorPW="m1").returncode == "SUCCESS"
    home = pool.record("class")["server_id"]
    lost.resume()

    wait_for(lambda: lost.meetings() == {}, 40, "ended where it was lost")
    assert pool.record("class")["server_id"] == home != pool.id_of(lost)
    assert pool.front.info("class").returncode == "SUCCESS"


def test_meetings_that_a_restarted_server_has_lost_are_forgotten(
    pool: ServedPool, two: tuple[BbbProcess, BbbProcess]
) -> None:
    lost, _other = two

    lost.restart()

    wait_for(lambda: pool.record("class") == {}, 40, "forgotten")
    until_status(pool, lost, "online", 40)
    assert pool.front.create("class").returncode == "SUCCESS"


def test_other_servers_are_polled_on_while_one_hangs(
    pool: ServedPool, two: tuple[BbbProcess, BbbProcess]
) -> None:
    lost, other = two
    lost.pause()
    other.clear_requests()

    wait_for(lambda: polls(other) >= 4, 40, "polled as before")
    assert pool.appliance.status(pool.id_of(other)) == "online"


def test_poll_is_one_request_and_tells_load_and_counts(
    pool: ServedPool, two: tuple[BbbProcess, BbbProcess]
) -> None:
    holder, _other = two
    for number in range(5):
        pool.front.create(f"more {number}", **{"meta_bbb-meeting-size-hint": "1"})
        pool.holder(f"more {number}").set_users(f"more {number}", participants=40, moderators=2)
    holder.set_users("class", participants=60, moderators=3, videos=7)
    # Meetings are younger than LOAD_JOIN_BUFFER_TIME: the greater of users and expected counts.
    wait_for(lambda: pool.appliance.server(pool.id_of(holder))["videos"] == 7, 40, "polled")
    pool.clear_requests()
    wait_for(lambda: min(map(polls, pool.servers)) >= 2, 40, "two polls of each")

    assert pool.requests("getMeetingInfo") == 0
    expected = sum(
        meeting["participants"] + meeting["moderators"] for meeting in holder.meetings().values()
    )
    server = pool.appliance.server(pool.id_of(holder))
    assert server["largest_meeting"] == 60
    assert server["load"] == expected
    assert server["bbb_version"] == "3.0.10"
    assert sum(pool.appliance.server(one)["users"] for one in pool.ids) == 260


def test_expiry_is_pushed_on_while_the_meeting_is_seen(
    pool: ServedPool, two: tuple[BbbProcess, BbbProcess]
) -> None:
    lowest = TTL_S * 1000

    def is_pushed_on() -> bool:
        nonlocal lowest
        left = pool.keys.ask("PTTL", "meeting:class")
        assert 0 < left <= TTL_S * 1000
        pushed = bool(left > lowest + 100)
        lowest = min(lowest, left)
        return pushed

    for _ in range(3):
        lowest = TTL_S * 1000
        wait_for(is_pushed_on, 40, "pushed on")


def test_meeting_that_ended_vanishes(pool: ServedPool, two: tuple[BbbProcess, BbbProcess]) -> None:
    holder, _other = two

    holder.end_meeting("class", callback=False)

    wait_for(lambda: pool.record("class") == {}, 40, "forgotten")
    assert pool.keys.ask("HVALS", "voice_bridges") == []
    assert pool.keys.ask("SMEMBERS", "meetings") in ([], set())


def test_get_meeting_info_forgets_at_once(
    pool: ServedPool, two: tuple[BbbProcess, BbbProcess]
) -> None:
    holder, _other = two
    holder.end_meeting("class", callback=False)

    assert pool.front.info("class").key == "notFound"
    assert pool.record("class") == {}


def test_foreign_meeting_counts_as_load_but_is_not_ours(pool: ServedPool) -> None:
    pool.servers[0].create_meeting("foreign")
    pool.servers[0].set_users("foreign", participants=50)

    wait_for(lambda: (pool.load(pool.servers[0]) or 0) >= 50, 40, "counted")
    assert pool.front.info("foreign").key == "notFound"
    assert "foreign" in pool.front.listed()
    pool.front.create_all((f"m{number}" for number in range(4)), at_once=1)
    assert len(pool.servers[0].meetings()) == 1


def test_cordoned_server_is_disabled_once_empty(
    pool: ServedPool, two: tuple[BbbProcess, BbbProcess]
) -> None:
    holder, _other = two
    holder_id = pool.id_of(holder)
    pool.appliance.control.post("cordonServer", {"id": holder_id})
    holder.clear_requests()
    wait_for(lambda: polls(holder) >= 2, 40, "polled on")
    assert pool.appliance.server(holder_id)["state"] == "cordoned"

    holder.end_meeting("class", callback=False)

    wait_for(lambda: pool.appliance.server(holder_id)["state"] == "disabled", 40, "disabled")
    pool.clear_requests()
    wait_for(lambda: min(map(polls, pool.others(holder))) >= 2, 40, "the others are polled")
    assert polls(holder) <= 1  # the one that was under way


def test_server_with_another_secret_goes_offline_until_it_is_corrected(pool: ServedPool) -> None:
    server_id = pool.ids[0]
    pool.appliance.sensitive.add("not-the-secret")
    change = {"id": server_id, "server": {"secret": "not-the-secret"}}
    pool.appliance.control.post("updateServer", change)
    until_status(pool, pool.servers[0], "offline", OFFLINE_S)

    change["server"] = {"secret": pool.servers[0].secret}
    pool.appliance.control.post("updateServer", change)

    until_status(pool, pool.servers[0], "online", 40)


def test_removed_server_is_polled_no_more(pool: ServedPool) -> None:
    removed, *others = pool.servers
    pool.appliance.control.post("deleteServer", {"id": pool.ids[0]})
    wait_for(lambda: len(pool.appliance.control.get("getStatus")["servers"]) == 2, 40, "gone")
    wait_for(lambda: polls(others[0]) >= 5, 40, "a tick later")  # followed within a second
    pool.clear_requests()

    wait_for(lambda: min(map(polls, others)) >= 3, 40, "the others are polled on")
    assert polls(removed) == 0
