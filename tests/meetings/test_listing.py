"""getMeetings: who is asked, and what stands for a server that does not answer."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
import trio

from appliance.bbb.errors import UNABLE_TO_ACCESS_SERVER, UNSUPPORTED_REQUEST, ApiError
from appliance.bbb.params import Params
from appliance.bbb.signed_request import Caller
from appliance.meetings.calls import is_meeting_running, join_meeting
from appliance.meetings.end import end_meeting
from appliance.meetings.listing import HANGING_LIMIT_S, MeetingLists, get_sessions
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


async def get_meetings(pool: LivePool, caller: Caller = NOBODY) -> bytes:
    """Return the answer to getMeetings."""
    return b"".join(await MeetingLists(pool.res.meetings).get(caller, ()))


async def begin(pool: LivePool, *names: str, on: str = "", **fields: Any) -> None:
    """Begin meetings on servers (default: one on each) that no load balancer knows, and poll."""
    for bbb in pool.servers:
        if on in ("", bbb.server_id):
            for name in names or [f"on {bbb.server_id}"]:
                bbb.create_meeting(name, **fields)
            await pool.poll(bbb.server_id)
            bbb.clear_requests()


async def failure(pool: LivePool) -> str:
    """Ask for the meetings, which must fail; return key and text."""
    with pytest.raises(ApiError) as failed:
        await get_meetings(pool)
    return f"{failed.value.key}: {failed.value.message}"


async def elements_of(pool: LivePool, caller: Caller = NOBODY) -> list[dict[str, str]]:
    """Return the children of each meeting that getMeetings answers."""
    root = ElementTree.fromstring(await get_meetings(pool, caller))
    found = root.iterfind("meetings/meeting")
    return [{child.tag: child.text or "" for child in meeting} for meeting in found]


async def listed(pool: LivePool, caller: Caller = NOBODY) -> list[str]:
    """The meetings that getMeetings answers, sorted."""
    root = ElementTree.fromstring(await get_meetings(pool, caller))
    assert root.findtext("returncode") == "SUCCESS"
    found = sorted(item.text or "" for item in root.iterfind("meetings/meeting/meetingID"))
    if not found:
        assert root.findtext("messageKey") == "noMeetings"
    return found


async def test_get_meetings_merges_what_every_server_lists(pool: LivePool) -> None:
    await begin(pool)

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
        await begin(pool)
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
    await begin(pool)
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
    if not offline:
        await begin(pool)
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
        await begin(pool, "room", on="bbb-1")
        await begin(pool, "on bbb-2", on="bbb-2")
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
    await begin(pool)
    for bbb in pool.servers:
        await pool.res.pool.records.suspect_server(ServerId(bbb.server_id), silent=True)

    assert await listed(pool) == ["on bbb-1", "on bbb-2", "on bbb-3"]


async def test_get_meetings_waits_briefly_for_the_only_server_with_meetings_if_it_hangs(
    pool: LivePool,
) -> None:
    await pool.create()
    await pool.poll("bbb-1")
    await pool.res.pool.records.suspect_server(ServerId("bbb-1"), silent=True)
    pool.servers[0].add_fault("delay", "getMeetings", seconds=HANGING_LIMIT_S + 0.3)

    (shown,) = await elements_of(pool)

    assert "attendeePW" not in shown  # what is known of it, not what it answers


async def test_get_meetings_asks_all_servers_at_once(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    """So that it takes one deadline at most, not the sum of many."""
    async with open_live(redis_url, redis_namespace, bbbs, RESPONSE_TIMEOUT="300") as pool:
        await begin(pool)
        for bbb in pool.servers:
            bbb.add_fault("hang", "getMeetings")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listed, pool)
            for bbb in pool.servers:
                await bbb.until_called("getMeetings")
            nursery.cancel_scope.cancel()


class Begun(trio.abc.Instrument):
    """Counts the requests to servers that begin between two moments at which other tasks run."""

    def __init__(self) -> None:
        self.counts = [0]
        self.running = self.most_running = 0

    def before_io_wait(self, timeout: float) -> None:
        """Start counting again from zero."""
        self.counts.append(0)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Count a request."""
        self.counts[-1] += "ask_one" in task.name
        self.running += "ask_one" in task.name
        self.most_running = max(self.most_running, self.running)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Count a request that has ended."""
        self.running -= "ask_one" in task.name


async def test_get_meetings_begins_few_requests_at_a_time(pool: LivePool) -> None:
    pool.servers[0].create_meeting("room")
    await pool.poll("bbb-1")
    fields = await pool.redis("HGETALL", "server:bbb-1")
    for number in range(60):
        await pool.redis("HSET", f"server:copy-{number}", *fields)
        await pool.redis("SADD", "servers", f"copy-{number}")
    pool.servers[0].add_fault("delay", "getMeetings", seconds=0.01)
    trio.lowlevel.add_instrument(begun := Begun())

    found = await listed(pool)

    trio.lowlevel.remove_instrument(begun)
    assert set(found) == {"room"}
    assert sum(begun.counts) == 61
    assert max(begun.counts) <= 2  # before other tasks run
    assert begun.most_running < 61  # all of which might be answered in one moment


async def test_get_meetings_merges_long_lists_too(pool: LivePool) -> None:
    for bbb in pool.servers:
        names = [f"{bbb.server_id} {number}" for number in range(80)]
        await begin(pool, *names, on=bbb.server_id, welcome="w", name="n" * 900)

    assert len(await listed(pool)) == 240


# --- which servers are asked ----------------------------------------------------------------------


async def asked(pool: LivePool, caller: Caller = NOBODY) -> list[int]:
    """Return how often each server is asked for one call."""
    for bbb in pool.servers:
        bbb.clear_requests()
    await get_meetings(pool, caller)
    return pool.calls("getMeetings")


@pytest.mark.parametrize("caller", [NOBODY, SCHOOL])
async def test_only_servers_with_meetings_of_the_caller_are_asked(
    pool: LivePool, caller: Caller
) -> None:
    if caller is SCHOOL:
        await pool.create("other", caller=OTHER)
    assert await asked(pool, caller) == [0, 0, 0]
    await pool.redis("ZADD", "server_load", -1, "bbb-2")
    await pool.create("room", caller=caller)
    assert await asked(pool, caller) == [0, 1, 0]
    assert await listed(pool, caller) == ["room"]

    await pool.poll("bbb-2")
    assert await asked(pool, caller) == [0, 1, 0]
    await end_meeting(pool.res.meetings, caller, ROOM)
    assert await asked(pool, caller) == [0, 0, 0]
    assert await listed(pool, caller) == []


@pytest.mark.parametrize(("caller", "tenant"), [(NOBODY, ""), (SCHOOL, "t-1")])
async def test_meetings_that_others_created_on_a_server_are_listed_after_its_poll(
    pool: LivePool, caller: Caller, tenant: str
) -> None:
    fields = {"meta_tenant-id": tenant} if tenant else {}
    await begin(pool, "direct", on="bbb-3", **fields)

    assert await asked(pool, caller) == [0, 0, 1]
    assert await listed(pool, caller) == ["direct"]
    assert await asked(pool, OTHER) == [0, 0, 0]
    pool.servers[2].forget_meetings()
    await pool.poll("bbb-3")
    assert await asked(pool, caller) == [0, 0, 0]


@pytest.mark.parametrize(("caller", "tenant"), [(NOBODY, ""), (SCHOOL, "t-1")])
async def test_meeting_that_a_scalelite_beside_has_just_created_is_listed(
    pool: LivePool, caller: Caller, tenant: str
) -> None:
    await pool.create("known", caller=caller)
    assert await listed(pool, caller) == ["known"]
    fields = {"server_id": "bbb-2", "moderator_pw": "m", "voice_bridge": "7"}
    fields |= {"tenant_id": tenant} if tenant else {}
    await pool.redis("HSET", "meeting:theirs", *chain.from_iterable(fields.items()))
    await pool.redis("EXPIRE", "meeting:theirs", 60)
    await pool.redis("SADD", "meetings", "theirs")
    await pool.redis("HSET", "voice_bridges", "7", "theirs")
    pool.servers[1].create_meeting("theirs", **({"meta_tenant-id": tenant} if tenant else {}))

    assert await listed(pool, caller) == ["known", "theirs"]


async def test_meetings_that_are_in_no_index_are_added_to_it_in_several_steps(
    pool: LivePool,
) -> None:
    names = [f"theirs {number:04}" for number in range(1_200)]
    for number, name in enumerate(names):  # as a Scalelite beside us writes them
        fields = {"server_id": "bbb-2", "moderator_pw": "m", "voice_bridge": number}
        await pool.redis("HSET", f"meeting:{name}", *chain.from_iterable(fields.items()))
        await pool.redis("EXPIRE", f"meeting:{name}", 60)
        await pool.redis("HSET", "voice_bridges", number, name)
    await pool.redis("SADD", "meetings", *names)
    store = pool.res.meetings.store
    client = store.redis.foreground.client
    before = client.round_trips

    assert [one.id for one in (await store.find_listing_servers(None)).asked] == ["bbb-2"]
    assert client.round_trips >= before + 4
    assert await pool.redis("SCARD", "appliance:meetings_of:bbb-2") == 1_200

    before = client.round_trips
    await store.find_listing_servers(None)
    assert client.round_trips == before + 1


async def test_a_server_that_no_poll_has_seen_is_asked(pool: LivePool) -> None:
    pool.servers[0].create_meeting("direct")
    await pool.redis("DEL", "appliance:strays:bbb-1")  # an earlier version has polled it

    assert await listed(pool) == ["direct"]


# --- calls that share a round ---------------------------------------------------------------------


async def test_calls_that_arrive_during_a_round_share_the_next_one(pool: LivePool) -> None:
    await begin(pool, "first", on="bbb-1")
    pool.servers[0].add_fault("delay", "getMeetings", seconds=0.1)
    lists, found = MeetingLists(pool.res.meetings), []

    async def call() -> None:
        answer = b"".join(await lists.get(NOBODY, ()))
        found.append(b"<meetingID>late</meetingID>" in answer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await pool.servers[0].until_called("getMeetings")
        pool.servers[0].create_meeting("late")
        for _ in range(20):
            nursery.start_soon(call)

    assert found[-20:] == [True] * 20
    assert pool.calls("getMeetings") == [2, 0, 0]
    assert pool.res.metrics.list_rounds.values[()] == 2


@pytest.mark.parametrize(("count", "parts"), [(30, 1), (450, 4)])
async def test_a_list_that_has_changed_in_a_long_answer_is_read_again(
    pool: LivePool, count: int, parts: int
) -> None:
    names = [f"room {number:03}" for number in range(2 * count)]
    await begin(pool, *names[:count], on="bbb-1", name="n" * 900)
    await begin(pool, *names[count:], on="bbb-2", name="n" * 900)
    lists = MeetingLists(pool.res.meetings)

    async def ids() -> list[str]:
        root = ElementTree.fromstring(b"".join(await lists.get(NOBODY, ())))
        return sorted(one.text or "" for one in root.iterfind("meetings/meeting/meetingID"))

    first, again = await lists.get(NOBODY, ()), await lists.get(NOBODY, ())
    assert len(first) == parts
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert await ids() == sorted(names)
    pool.servers[0].create_meeting("zz")
    assert await ids() == [*sorted(names), "zz"]
    pool.servers[0].forget_meetings()
    assert await ids() == names[count:]


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


async def test_known_meeting_whose_stored_id_is_a_hash_is_shown_under_its_own_id(
    pool: LivePool,
) -> None:
    longest, bbb = "Q" * 256, pool.servers[0]
    for other in pool.servers[1:]:
        await pool.set_state(other.server_id, ServerState.DISABLED)
    for caller in (SCHOOL, OTHER):
        await pool.create(longest, caller=caller)

    async def shown() -> list[list[str]]:
        return [await listed(pool, SCHOOL), await listed(pool, OTHER)]

    with bbb.fault("garbage", "getMeetings"):
        assert await shown() == [[longest], [longest]]
    await pool.lose("bbb-1")
    assert await shown() == [[longest], [longest]]
    await pool.poll("bbb-1")  # it takes them back
    with bbb.fault("garbage", "getMeetings"):
        assert await shown() == [[longest], [longest]]


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
    with pytest.raises(ApiError) as failed:
        await get_sessions(pool.res.meetings, NOBODY, ())
    assert failed.value.failure == UNABLE_TO_ACCESS_SERVER


async def test_get_sessions_is_unsupported_if_no_server_knows_it(pool: LivePool) -> None:
    for index, bbb in enumerate(pool.servers[:2]):
        await pool.redis("ZADD", "server_load", -1 - index, bbb.server_id)
        await pool.create(f"on {bbb.server_id}")
        await join(pool, f"on {bbb.server_id}", "Ann")
    first, second = pool.servers[:2]
    first.add_fault("failed", "getSessions", key="unsupportedRequest", message="no")
    assert await sessions(pool) == [("on bbb-2", "Ann")]

    with second.fault("status", "getSessions"), pytest.raises(ApiError) as failed:
        await get_sessions(pool.res.meetings, NOBODY, ())
    assert failed.value.failure == UNABLE_TO_ACCESS_SERVER
    second.add_fault("failed", "getSessions", key="unsupportedRequest", message="no")
    with pytest.raises(ApiError) as failed:
        await get_sessions(pool.res.meetings, NOBODY, ())
    assert failed.value.failure == UNSUPPORTED_REQUEST
