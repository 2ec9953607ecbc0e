"""getMeetings: who is asked, and what stands for a server that does not answer."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
import trio

from appliance.bbb.errors import UNABLE_TO_ACCESS_SERVER, ApiError
from appliance.bbb.params import Params
from appliance.bbb.signed_request import Caller
from appliance.meetings.calls import is_meeting_running, join_meeting
from appliance.meetings.listing import HANGING_LIMIT_S, get_meetings, get_sessions
from appliance.model import ServerId, ServerState, Tenant, TenantId
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import QUICK, LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

ROOM: Params = (("meetingID", "room"),)
NOBODY = Caller()
SCHOOL, OTHER = (Caller(Tenant(TenantId(f"t-{name}"), name, ("s",))) for name in ("1", "2"))


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool whose hanging servers cost little."""
    async with open_live(redis_url, redis_namespace, bbbs, **QUICK) as opened:
        yield opened


async def failure(pool: LivePool) -> str:
    """Ask for the meetings, which must fail; return key and text."""
    with pytest.raises(ApiError) as failed:
        await get_meetings(pool.res.meetings, NOBODY, ())
    return f"{failed.value.key}: {failed.value.message}"


async def elements_of(pool: LivePool, caller: Caller = NOBODY) -> list[dict[str, str]]:
    """Return the children of each meeting that getMeetings answers."""
    root = ElementTree.fromstring(await get_meetings(pool.res.meetings, caller, ()))
    found = root.iterfind("meetings/meeting")
    return [{child.tag: child.text or "" for child in meeting} for meeting in found]


async def listed(pool: LivePool, caller: Caller = NOBODY) -> list[str]:
    """The meetings that getMeetings answers, sorted."""
    root = ElementTree.fromstring(await get_meetings(pool.res.meetings, caller, ()))
    assert root.findtext("returncode") == "SUCCESS"
    found = sorted(item.text or "" for item in root.iterfind("meetings/meeting/meetingID"))
    if not found:
        assert root.findtext("messageKey") == "noMeetings"
    return found


async def test_get_meetings_merges_what_every_server_lists(pool: LivePool) -> None:
    for bbb in pool.servers:
        bbb.create_meeting(f"on {bbb.server_id}")

    assert await listed(pool) == ["on bbb-1", "on bbb-2", "on bbb-3"]


async def test_get_meetings_says_when_nothing_runs(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], pool: LivePool
) -> None:
    assert await listed(pool) == []
    async with open_live(redis_url, f"{redis_namespace}x", bbbs, enable=False) as empty:
        assert await listed(empty) == []


async def test_get_meetings_shows_each_tenant_its_own(pool: LivePool) -> None:
    for name, caller in (("school", SCHOOL), ("other", OTHER), ("nobody", NOBODY)):
        await pool.create(name, caller=caller)

    assert await listed(pool, SCHOOL) == ["school"]
    assert await listed(pool, OTHER) == ["other"]
    assert await listed(pool) == ["nobody"]


async def test_get_meetings_asks_cordoned_servers_but_no_disabled_or_lost_one(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs, **QUICK) as pool:
        for bbb in bbbs:
            bbb.create_meeting(f"on {bbb.server_id}")
        await pool.set_state("bbb-1", ServerState.CORDONED)
        await pool.set_state("bbb-2", ServerState.DISABLED)
        await pool.lose("bbb-3")

        assert await listed(pool) == ["on bbb-1"]
        assert [len(bbb.requests("getMeetings")) for bbb in bbbs] == [1, 0, 0]


async def test_get_meetings_can_be_switched_off(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], GET_MEETINGS_API_DISABLED="true"
    ) as pool:
        bbbs[0].create_meeting("room")

        assert await listed(pool) == []
        assert not bbbs[0].requests("getMeetings")


@pytest.mark.parametrize("kind", ["refuse", "hang", "status", "half", "garbage", "bomb", "failed"])
async def test_get_meetings_shows_what_is_known_of_a_server_that_fails(
    pool: LivePool, kind: str
) -> None:
    for bbb in pool.servers:
        bbb.create_meeting(f"on {bbb.server_id}")
    await pool.redis("ZADD", "server_load", -1, "bbb-2")
    await pool.create("placed there")
    pool.servers[1].add_fault(kind, "getMeetings")

    assert await listed(pool) == ["on bbb-1", "on bbb-3", "placed there"]
    await pool.settled()

    named = pool.log.named("server_call_failed") + pool.log.named("server_refused_call")
    assert [fields["subject"] for fields in named] == ["bbb-2"]
    assert (await pool.server("bbb-2")).suspected is (kind != "failed")


@pytest.mark.parametrize("offline", [False, True])
async def test_get_meetings_fails_when_no_server_answers_and_nothing_is_known(
    pool: LivePool, offline: bool
) -> None:
    await pool.create(caller=SCHOOL)
    for bbb in pool.servers:
        bbb.add_fault("status", "getMeetings")
        if offline:
            await pool.lose(bbb.server_id)

    text = await failure(pool)

    assert text == "internalError: Unable to access server."


async def test_get_meetings_waits_for_a_server_that_hangs_only_once(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    opening = open_live(
        redis_url, redis_namespace, bbbs, RESPONSE_TIMEOUT="5", POLLER_WAIT_TIMEOUT="5"
    )
    async with opening as pool:
        pool.servers[0].create_meeting("room")
        pool.servers[1].add_fault("hang", "getMeetings")
        took_s = []
        for _ in range(2):
            began_s = trio.current_time()
            assert await listed(pool) == ["room"]
            took_s.append(trio.current_time() - began_s)
            await pool.settled()

    assert took_s[0] > 4.5
    assert took_s[1] < 4


async def test_get_meetings_hears_a_slow_server_out_of_which_another_call_failed(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs, RESPONSE_TIMEOUT="60") as pool:
        first = pool.servers[0]
        await pool.create()
        first.add_fault("status", "isMeetingRunning")
        first.add_fault("delay", "getMeetings", seconds=HANGING_LIMIT_S + 0.5)
        with pytest.raises(ApiError):
            await is_meeting_running(pool.res.meetings, NOBODY, ROOM)
        await pool.settled()
        assert (await pool.server("bbb-1")).unstable

        assert await listed(pool) == ["room"]


async def test_get_meetings_hears_servers_out_when_all_hang(pool: LivePool) -> None:
    for bbb in pool.servers:
        bbb.create_meeting(f"on {bbb.server_id}")
        await pool.res.pool.records.suspect_server(ServerId(bbb.server_id), silent=True)

    assert await listed(pool) == ["on bbb-1", "on bbb-2", "on bbb-3"]


async def test_get_meetings_asks_all_servers_at_once(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    """So that it takes one deadline at most, not the sum of many."""
    async with open_live(redis_url, redis_namespace, bbbs, RESPONSE_TIMEOUT="300") as pool:
        for bbb in pool.servers:
            bbb.add_fault("hang", "getMeetings")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listed, pool)
            for bbb in pool.servers:
                await bbb.until_called("getMeetings")
            nursery.cancel_scope.cancel()


async def test_get_meetings_merges_long_lists_too(pool: LivePool) -> None:
    for bbb in pool.servers:
        for number in range(80):
            bbb.create_meeting(f"{bbb.server_id} {number}", welcome="w", name="n" * 900)

    assert len(await listed(pool)) == 240


# --- what is known of servers that do not answer --------------------------------------------------


@pytest.mark.parametrize("offline", [False, True])
async def test_known_meeting_is_shown_as_of_the_last_poll(pool: LivePool, offline: bool) -> None:
    created = await pool.create(name="Maths & more", voiceBridge="1")
    pool.servers[0].set_users("room", participants=5, moderators=2, videos=1)
    await pool.poll("bbb-1")
    if offline:
        await pool.lose("bbb-1")
    else:
        pool.servers[0].add_fault("status", "getMeetings")

    (shown,) = await elements_of(pool)

    digest = hashlib.sha1(b"room").hexdigest()
    assert shown == {
        "meetingName": "Maths & more",
        "meetingID": "room",
        "internalMeetingID": f"{digest}-{created['createTime']}",
        "createTime": created["createTime"],
        "voiceBridge": created["voiceBridge"],
        "running": "true",
        "participantCount": "5",
        "videoCount": "1",
        "moderatorCount": "2",
    }
    assert shown["internalMeetingID"] == created["internalMeetingID"]


async def test_meeting_that_no_poll_has_seen_is_shown_with_what_its_create_told(
    pool: LivePool,
) -> None:
    created = await pool.create()
    await pool.lose("bbb-1")

    (shown,) = await elements_of(pool)

    assert (shown["createTime"], shown["running"]) == (created["createTime"], "false")
    assert "meetingName" not in shown


async def test_known_meeting_is_shown_to_its_tenant_under_its_own_id(pool: LivePool) -> None:
    for caller in (SCHOOL, OTHER):
        await pool.create(caller=caller)
    for bbb in pool.servers:
        await pool.lose(bbb.server_id)

    assert [await listed(pool, SCHOOL), await listed(pool, OTHER)] == [["room"], ["room"]]


async def test_detached_meeting_is_not_shown_once_it_was_created_elsewhere(pool: LivePool) -> None:
    await pool.create()
    await pool.lose("bbb-1")
    await pool.create()

    assert await listed(pool) == ["room"]
    assert await pool.home() == "bbb-2"


async def test_meeting_of_a_disabled_server_is_not_shown(pool: LivePool) -> None:
    await pool.create()
    await pool.set_state("bbb-1", ServerState.DISABLED)
    await pool.lose("bbb-1")

    assert await listed(pool) == []


# --- getSessions ----------------------------------------------------------------------------------


async def sessions(pool: LivePool, caller: Caller = NOBODY) -> list[tuple[str, str]]:
    """Return meeting and user of each session, sorted; the ids of all meetings must be right."""
    root = ElementTree.fromstring(await get_sessions(pool.res.meetings, caller, ()))
    assert root.findtext("returncode") == "SUCCESS"
    internal = {
        meeting["internal_id"]: meeting["name"]
        for bbb in pool.servers
        for meeting in bbb.meetings().values()
    }
    found = []
    for one in root.iterfind("sessions/meeting"):
        assert internal[one.findtext("meetingID") or ""] == one.findtext("meetingName")
        found.append((one.findtext("meetingName") or "", one.findtext("userName") or ""))
    if not found:
        assert root.findtext("messageKey") == "noSessions"
        assert root.find("sessions") is not None
    return sorted(found)


async def join(pool: LivePool, meeting_id: str, name: str, caller: Caller = NOBODY) -> None:
    params = (("meetingID", meeting_id), ("fullName", name), ("role", "VIEWER"))
    url = await join_meeting(pool.res.meetings, caller, params)
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).status_code == 302


async def test_get_sessions_merges_those_of_the_servers_with_meetings(pool: LivePool) -> None:
    for index, name in enumerate(("one", "two")):
        await pool.redis("ZADD", "server_load", -1 - index, pool.servers[index].server_id)
        await pool.create(name)
        await join(pool, name, f"<{name}> & Co")
    await join(pool, "two", "Ann")

    assert await sessions(pool) == [
        ("one", "<one> & Co"),
        ("two", "<two> & Co"),
        ("two", "Ann"),
    ]
    assert [len(bbb.requests("getSessions")) for bbb in pool.servers] == [1, 1, 0]


async def test_get_sessions_shows_each_tenant_its_own(pool: LivePool) -> None:
    for bbb in pool.servers[1:]:
        await pool.set_state(bbb.server_id, ServerState.DISABLED)
    own = ((SCHOOL, "room", "Ann"), (OTHER, "room", "Bob"), (NOBODY, "hall", "Cy"))
    for caller, meeting_id, user in own:
        await pool.create(meeting_id, caller=caller, name=meeting_id)
        await join(pool, meeting_id, user, caller)

    for caller, meeting_id, user in own:
        assert await sessions(pool, caller) == [(meeting_id, user)]


async def test_get_sessions_says_when_nobody_has_joined(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], pool: LivePool
) -> None:
    assert await sessions(pool) == []
    await pool.create("room")
    assert await sessions(pool) == []
    async with open_live(redis_url, f"{redis_namespace}x", bbbs, enable=False) as empty:
        assert await sessions(empty) == []
    hidden: dict[str, Any] = {"GET_MEETINGS_API_DISABLED": "true"}
    async with open_live(redis_url, f"{redis_namespace}y", bbbs, **hidden) as closed:
        assert await sessions(closed) == []


@pytest.mark.parametrize("call", ["getMeetings", "getSessions"])
@pytest.mark.parametrize("kind", ["hang", "half", "bomb", "failed"])
async def test_get_sessions_leaves_out_a_server_that_fails(
    pool: LivePool, call: str, kind: str
) -> None:
    for index, bbb in enumerate(pool.servers[:2]):
        await pool.redis("ZADD", "server_load", -1 - index, bbb.server_id)
        await pool.create(f"on {bbb.server_id}")
        await join(pool, f"on {bbb.server_id}", "Ann")
    pool.servers[0].add_fault(kind, call)

    assert await sessions(pool) == [("on bbb-2", "Ann")]

    pool.servers[1].add_fault(kind, call)
    if call == "getMeetings":
        pool.servers[2].add_fault(kind, call)
    with pytest.raises(ApiError) as failed:
        await get_sessions(pool.res.meetings, NOBODY, ())
    assert failed.value.failure == UNABLE_TO_ACCESS_SERVER
