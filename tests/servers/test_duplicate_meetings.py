"""Meetings that two servers have although no failover explains it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from appliance.bbb.signed_request import Caller
from appliance.meetings.calls import join_meeting
from appliance.model import ServerId
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import QUICK, LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool whose meeting was placed on bbb-1 and made on bbb-2 by another load balancer."""
    async with open_live(redis_url, redis_namespace, bbbs, **QUICK) as opened:
        await opened.create(moderatorPW="mp", attendeePW="ap")
        await trio.sleep(0.002)  # simulated servers are so fast that both would be the same run
        opened.servers[1].create_meeting("room", moderatorPW="other", voiceBridge="54321")
        yield opened


def set_users(pool: LivePool, first: int, second: int) -> None:
    """Set the users of the copies on bbb-1 and bbb-2."""
    for bbb, count in zip(pool.servers, (first, second), strict=False):
        bbb.set_users("room", participants=count)


async def poll_both(pool: LivePool, times: int) -> None:
    for _ in range(times):
        for server_id in ("bbb-1", "bbb-2"):
            await pool.poll(server_id)


async def doubles(pool: LivePool) -> list[tuple[str, str, str]]:
    """Return what doctor shows."""
    ids = [ServerId(bbb.server_id) for bbb in pool.servers]
    found = await pool.res.servers.store.list_doubles(ids)
    return [(one.id, one.server_id, one.other) for one in found if not one.same_run]


async def test_meeting_on_two_servers_is_warned_about_once(pool: LivePool) -> None:
    set_users(pool, 1, 1)

    await poll_both(pool, 3)

    assert pool.log.named("meeting_on_two_servers") == [
        {"meeting": "room", "server": "bbb-1", "other": "bbb-2"}
    ]
    assert await doubles(pool) == [("room", "bbb-1", "bbb-2")]


async def test_both_copies_stay_when_users_are_in_both(pool: LivePool) -> None:
    set_users(pool, 1, 1)

    await poll_both(pool, 4)

    assert (pool.holders(), await pool.home()) == (["bbb-1", "bbb-2"], "bbb-1")


@pytest.mark.parametrize("first", [0, 3])
async def test_other_copy_is_ended_when_two_polls_saw_it_without_users(
    pool: LivePool, first: int
) -> None:
    set_users(pool, first, 0)

    await poll_both(pool, 1)
    assert pool.holders() == ["bbb-1", "bbb-2"]
    await poll_both(pool, 1)

    assert (pool.holders(), await pool.home()) == (["bbb-1"], "bbb-1")
    await poll_both(pool, 1)
    assert await doubles(pool) == []


async def test_own_copy_is_ended_when_only_the_other_has_users(pool: LivePool) -> None:
    set_users(pool, 0, 2)

    await poll_both(pool, 1)
    assert pool.holders() == ["bbb-1", "bbb-2"]
    await poll_both(pool, 1)

    meeting = await pool.meeting()
    assert meeting is not None
    assert (pool.holders(), meeting.server_id) == (["bbb-2"], "bbb-2")
    assert (meeting.moderator_pw, meeting.voice_bridge) == ("other", "54321")


async def test_copy_stays_when_a_user_is_on_the_way_to_it(pool: LivePool) -> None:
    set_users(pool, 0, 2)
    await poll_both(pool, 1)

    params = (("meetingID", "room"), ("fullName", "Ada"))
    await join_meeting(pool.res.meetings, Caller(), params)
    await poll_both(pool, 1)

    assert (pool.holders(), await pool.home()) == (["bbb-1", "bbb-2"], "bbb-1")


async def test_copy_stays_when_its_server_does_not_confirm_that_it_is_empty(
    pool: LivePool,
) -> None:
    set_users(pool, 1, 0)
    await poll_both(pool, 1)
    await pool.poll("bbb-1")

    with pool.servers[1].fault("failed", "getMeetingInfo"):
        await pool.poll("bbb-2")

    assert pool.holders() == ["bbb-1", "bbb-2"]


async def test_failover_is_no_meeting_on_two_servers(pool: LivePool) -> None:
    await pool.lose("bbb-1")
    pool.servers[1].forget_meetings()
    await pool.create()
    pool.servers[0].add_fault("close", "end")  # the old copy cannot be ended yet

    await poll_both(pool, 3)

    assert pool.holders() == ["bbb-1", "bbb-2"]
    assert pool.log.named("meeting_on_two_servers") == []


PASSWORDS = {"moderatorPW": "mp", "attendeePW": "ap"}


@pytest.fixture
async def twice(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool in which bbb-1 is also there as `alias`; a meeting was placed on bbb-1."""
    async with open_live(redis_url, redis_namespace, bbbs[:1], **QUICK) as opened:
        await opened.create(**PASSWORDS)
        alias = BbbProcess(secret=bbbs[0].secret, port=bbbs[0].port, server_id="alias")
        await opened.add(alias, load=1)
        yield opened


async def poll_names(pool: LivePool, *server_ids: str) -> None:
    for server_id in server_ids:
        await pool.poll(server_id)


SAME = [{"server": "bbb-1", "other": "alias"}]


@pytest.mark.parametrize("users", [0, 2])
async def test_meeting_of_a_server_that_is_there_twice_is_not_ended(
    twice: LivePool, users: int
) -> None:
    twice.servers[0].set_users("room", participants=users)

    await poll_names(twice, *["alias", "bbb-1"] * 4)

    assert (twice.holders(), await twice.home()) == (["bbb-1"], "bbb-1")
    assert twice.log.named("duplicate_ended") == []


async def test_server_that_is_there_twice_is_reported_once(twice: LivePool) -> None:
    await twice.create("other")  # which goes to the alias
    await poll_names(twice, *["bbb-1", "alias"] * 2)

    found = await twice.res.servers.store.list_doubles([ServerId("alias"), ServerId("bbb-1")])

    assert twice.log.named("same_server_twice") == SAME
    assert {(one.id, one.server_id, one.other, one.same_run) for one in found} == {
        ("room", "bbb-1", "alias", True),
        ("other", "alias", "bbb-1", True),
    }
    assert twice.log.named("meeting_on_two_servers") == []


@pytest.mark.parametrize("polled_first", ["alias", "bbb-1"])
async def test_meeting_stays_after_a_failover_to_another_name_of_its_server(
    twice: LivePool, polled_first: str
) -> None:
    twice.servers[0].set_users("room", participants=2)
    await twice.lose("bbb-1")
    assert (await twice.create(**PASSWORDS))["messageKey"] == "duplicateWarning"

    await poll_names(twice, polled_first, *["bbb-1", "alias"] * 3)

    assert (twice.holders(), await twice.home()) == (["bbb-1"], "alias")
    assert twice.log.named("duplicate_ended") == []
    assert await twice.redis("EXISTS", "appliance:detached:bbb-1") == 0


async def test_meeting_stays_when_both_names_of_its_server_were_away(twice: LivePool) -> None:
    twice.servers[0].set_users("room", participants=2)
    await twice.lose("bbb-1")
    await twice.create(**PASSWORDS)
    await twice.lose("alias")

    await poll_names(twice, *["bbb-1", "alias"] * 2)

    assert (twice.holders(), await twice.home()) == (["bbb-1"], "alias")
