"""Two appliances on the same stores: one answer for one meeting, one poller for one server."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from tests.doubles.appliance_client import Answer
from tests.doubles.appliance_pool import Keys, ServedPool, two_appliances
from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.store_servers import RedisServer

INTERVAL_S = 0.5
LEASE_S = 5.0
FOLLOWED_S = 1.0
SLACK_S = 30.0
"""For a machine with other work; on an idle one nothing of it is used."""


@dataclass
class Pair:
    """Two appliances and the pool behind them, seen through the first."""

    first: ApplianceProcess
    second: ApplianceProcess
    pool: ServedPool


@pytest.fixture(scope="module")
def appliances(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ApplianceProcess]]:
    """Give two appliances that differ in nothing."""
    environ = {
        "POLL_INTERVAL": str(INTERVAL_S),
        "POLL_RETRY_INTERVAL": "0.2",
        "POLLER_WAIT_TIMEOUT": "1",
        "CONNECT_TIMEOUT": "1",
        "RESPONSE_TIMEOUT": "4",
    }
    with two_appliances(redis_server, tmp_path_factory, "two-appliances", **environ) as both:
        yield both


@pytest.fixture
def pair(
    appliances: list[ApplianceProcess], servers: list[BbbProcess], redis_server: RedisServer
) -> Iterator[Pair]:
    """Give both with the three servers in the pool, added through the first."""
    for appliance in appliances:
        if appliance.pid is None:
            appliance.start()
    keys = Keys(redis_server.socket_path, appliances[0].environ["REDIS_NAMESPACE"])
    pool = ServedPool(appliances[0], servers, keys)
    pool.reset()
    pool.add_all()
    appliances[1].sensitive |= {server.secret for server in servers}
    yield Pair(appliances[0], appliances[1], pool)
    for appliance in appliances:
        appliance.check_log()


def owners(pair: Pair) -> dict[str, str | None]:
    """Return who holds the lease of each server."""
    return {one: pair.pool.keys.ask("HGET", "appliance:leases", one) for one in pair.pool.ids}


def is_shared(pair: Pair) -> bool:
    """Return whether both appliances poll, one a server."""
    found = Counter(owners(pair).values())
    return None not in found and sorted(found.values()) == [1, 2]


def create_through_both(pair: Pair, meeting_ids: list[str]) -> list[Answer]:
    """Create meetings all at once, the appliances by turns."""
    fronts = [pair.first.front, pair.second.front]
    with ThreadPoolExecutor(len(meeting_ids)) as threads:
        made = [
            threads.submit(fronts[number % 2].create, meeting_id)
            for number, meeting_id in enumerate(meeting_ids)
        ]
    return [future.result() for future in made]


def polls(pair: Pair) -> list[int]:
    """Return how often each server was polled since its requests were cleared."""
    return [len(server.requests("getMeetings")) for server in pair.pool.servers]


def test_32_creates_of_one_new_meeting_give_one_meeting(pair: Pair) -> None:
    for round_number in range(5):
        meeting_id = f"race {round_number}"
        answers = create_through_both(pair, [meeting_id] * 32)

        assert Counter(answer.returncode for answer in answers) == {"SUCCESS": 32}
        for field in ("internalMeetingID", "moderatorPW", "attendeePW", "voiceBridge"):
            assert len({answer.text(field) for answer in answers}) == 1, field
        assert pair.pool.holder(meeting_id) in pair.pool.servers
    assert sum(pair.pool.load(server) or 0 for server in pair.pool.servers) == 5 * 15


def test_creates_without_passwords_race_too(pair: Pair) -> None:
    fronts = [pair.first.front, pair.second.front] * 16
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda front: front.get("create", meetingID="bare"), fronts))

    assert Counter(answer.returncode for answer in answers) == {"SUCCESS": 32}
    assert len({answer.text("moderatorPW") for answer in answers}) == 1
    assert pair.pool.holder("bare") in pair.pool.servers


def test_race_on_a_failing_server_still_gives_one_meeting(pair: Pair) -> None:
    pair.pool.servers[0].add_fault("status", "create", status=503, executed=True)
    pair.pool.servers[1].add_fault("delay", "create", seconds=0.3)

    answers = create_through_both(pair, ["broken race"] * 16)

    assert {answer.returncode for answer in answers} == {"SUCCESS"}
    wait_for(lambda: len(pair.pool.holders("broken race")) == 1, 40, "on one server")


def test_parallel_creates_spread_evenly_over_the_pool(pair: Pair) -> None:
    ids = [f"many {number}" for number in range(60)]
    answers = create_through_both(pair, ids)

    assert {answer.returncode for answer in answers} == {"SUCCESS"}
    counts = [len(server.meetings()) for server in pair.pool.servers]
    assert sum(counts) == 60
    # A poll between two creates may see a meeting or not, so not to the last one.
    assert max(counts) - min(counts) <= 4
    bridges = [pair.pool.record(one)["voice_bridge"] for one in ids]
    assert len(set(bridges)) == 60


def test_what_one_does_the_other_knows(pair: Pair) -> None:
    first, second = pair.first.front, pair.second.front
    assert first.create("shared").returncode == "SUCCESS"

    assert second.info("shared").returncode == "SUCCESS"
    assert second.join("shared").status == 302
    assert second.is_running("shared") == "false"
    assert second.get("end", meetingID="shared").returncode == "SUCCESS"
    assert first.info("shared").key == "notFound"


def test_each_server_is_polled_by_one_of_them(pair: Pair) -> None:
    wait_for(lambda: is_shared(pair), LEASE_S + SLACK_S, "the work is shared")

    pair.pool.clear_requests()
    began_s = time.monotonic()
    wait_for(lambda: min(polls(pair)) >= 4, 40, "four polls of each")
    counts = polls(pair)

    took_s = time.monotonic() - began_s
    assert max(counts) <= took_s / INTERVAL_S + 2, (counts, took_s)


def test_changes_through_one_are_followed_by_the_other_within_a_second(pair: Pair) -> None:
    wait_for(lambda: is_shared(pair), LEASE_S + SLACK_S, "the work is shared")

    def is_polled_and_online(server: BbbProcess, server_id: str) -> bool:
        # A disabled server is not polled with getMeetings, so this is because of the change.
        return bool(server.requests("getMeetings")) and pair.second.status(server_id) == "online"

    for server, server_id in zip(pair.pool.servers, pair.pool.ids, strict=True):
        # Whoever polls the server: both have made the change once.
        for change in (pair.first, pair.second):
            change.control.post("disableServer", {"id": server_id, "confirmed": True})
            assert pair.first.server(server_id)["state"] == "disabled"
            assert pair.second.server(server_id)["state"] == "disabled"
            change.control.post("updateServer", {"id": server_id, "server": {"state": "enable"}})
            server.clear_requests()
            wait_for(
                partial(is_polled_and_online, server, server_id),
                FOLLOWED_S + SLACK_S,
                "polled again",
            )


def test_cordon_through_one_is_obeyed_by_the_other_at_once(pair: Pair) -> None:
    for server_id in pair.pool.ids[:2]:
        pair.first.control.post("cordonServer", {"id": server_id})

    for number in range(4):
        assert pair.second.front.create(f"m{number}").returncode == "SUCCESS"

    assert len(pair.pool.servers[2].meetings()) == 4


def test_server_added_through_one_is_polled_and_used(pair: Pair) -> None:
    with BbbProcess(server_id="bbb-new") as new:
        pair.second.sensitive.add(new.secret)
        server_id = pair.first.add_server(new, tag="new")
        assert pair.second.front.create("on-new", **{"meta_server-tag": "new!"}).key == ""
        assert "on-new" in new.meetings()
        new.clear_requests()
        wait_for(lambda: len(new.requests("getMeetings")) >= 2, 3 + SLACK_S, "polled")
        pair.second.control.post("deleteServer", {"id": server_id, "force": True})


def test_survivor_takes_over_when_one_is_killed(pair: Pair) -> None:
    wait_for(lambda: is_shared(pair), LEASE_S + SLACK_S, "the work is shared")
    pair.first.front.create("survives")

    pair.first.kill()

    limit_s = LEASE_S + INTERVAL_S + SLACK_S
    wait_for(lambda: len(set(owners(pair).values())) == 1, limit_s, "taken over")
    pair.pool.clear_requests()
    wait_for(lambda: min(polls(pair)) >= 1, 40, "polled on")
    front = pair.second.front
    assert front.info("survives").returncode == "SUCCESS"
    assert front.create("after").returncode == "SUCCESS"
    pair.first.start()
    wait_for(lambda: is_shared(pair), LEASE_S + SLACK_S, "shared again")


def test_work_is_handed_over_at_once_when_one_stops_orderly(pair: Pair) -> None:
    wait_for(lambda: is_shared(pair), LEASE_S + SLACK_S, "the work is shared")

    assert pair.first.terminate() == 0

    # No lease has to run out: what it held is free, or the other's already.
    assert len(set(owners(pair).values()) - {None}) <= 1
    wait_for(lambda: None not in owners(pair).values(), SLACK_S, "taken over")
    assert pair.second.front.create("after").returncode == "SUCCESS"
    pair.first.start()


def test_meeting_whose_creator_was_killed_can_be_created_again(pair: Pair) -> None:
    """The record is left `creating`; the other appliance follows it to the same server."""
    for server in pair.pool.servers:
        server.add_fault("delay", "create", seconds=60)
    with ThreadPoolExecutor(1) as threads:
        dying = threads.submit(pair.first.front.create, "orphan")
        wait_for(lambda: pair.pool.requests("create") == 1, 40, "sent")
        pair.first.kill()
        with pytest.raises(OSError, match=r"."):
            dying.result()
    for server in pair.pool.servers:
        server.clear_faults()

    assert pair.second.front.create("orphan").returncode == "SUCCESS"
    assert pair.pool.holder("orphan") in pair.pool.servers
    pair.first.start()
