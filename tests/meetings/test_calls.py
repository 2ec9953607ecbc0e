"""The calls that name a meeting, and getMeetings: who is asked, what is handed on and forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import pytest
import trio

from appliance.bbb.caller import Caller
from appliance.bbb.errors import ApiError
from appliance.bbb.params import Params
from appliance.bbb.request_body import RequestBody
from appliance.faults import Ambiguous
from appliance.meetings import calls as meetings
from appliance.meetings.deps import MeetingDeps
from appliance.model import ServerId, ServerState, Tenant, TenantId
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import rewire
from tests.doubles.live_pool import QUICK, LivePool, elements, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

NOBODY = Caller()
SCHOOL = Caller(
    Tenant(
        TenantId("t-1"),
        "school",
        ("s",),
        default_join=(("userdata-a", "tenant"), ("userdata-b", "tenant")),
        override_join=(("userdata-c", "tenant override"),),
    )
)
OTHER = Caller(Tenant(TenantId("t-2"), "other", ("s",)))
ROOM: Params = (("meetingID", "room"),)
MEETING_GONE = "Unable to access meeting on server."

Call = Callable[[MeetingDeps, Caller, Params], Awaitable[Any]]


async def insert_document(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    return await meetings.insert_document(
        deps, caller, params, RequestBody("application/xml", b"<modules/>", 10)
    )


async def send_chat(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    return await meetings.pass_through(
        deps, "sendChatMessage", caller, (*params, ("message", "Hello & welcome"))
    )


CALLS: dict[str, Call] = {
    "isMeetingRunning": meetings.is_meeting_running,
    "getMeetingInfo": meetings.get_meeting_info,
    "join": meetings.join_meeting,
    "end": meetings.end_meeting,
    "insertDocument": insert_document,
    "sendChatMessage": send_chat,
}


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool whose hanging servers cost little."""
    async with open_live(redis_url, redis_namespace, bbbs, **QUICK) as opened:
        yield opened


async def failure(
    call: Call, pool: LivePool, caller: Caller = NOBODY, params: Params = ROOM
) -> str:
    """Make a call that must fail; return key and text."""
    with pytest.raises(ApiError) as failed:
        await call(pool.res.meetings, caller, params)
    return f"{failed.value.key}: {failed.value.message}"


# --- every call -----------------------------------------------------------------------------------


async def check_unknown(pool: LivePool, caller: Caller = NOBODY) -> None:
    """Check that every call answers as for a meeting that nobody knows, and asks no server."""
    for bbb in pool.servers:
        bbb.clear_requests()
    for name, call in CALLS.items():
        if name == "isMeetingRunning":
            answer = elements(await call(pool.res.meetings, caller, ROOM))
            assert answer == {"returncode": "SUCCESS", "running": "false"}
        else:
            assert (await failure(call, pool, caller)).startswith("notFound: We could not find")
    assert not any(bbb.requests() for bbb in pool.servers)


@pytest.mark.parametrize("name", CALLS)
async def test_call_without_a_meeting_id_is_refused(pool: LivePool, name: str) -> None:
    for params in ((), (("meetingID", ""),)):
        text = await failure(CALLS[name], pool, params=params)
        assert text.startswith("missingParamMeetingID")


async def test_meeting_that_nobody_knows_is_not_found(pool: LivePool) -> None:
    await check_unknown(pool)


@pytest.mark.parametrize(("owner", "asker"), [(SCHOOL, OTHER), (SCHOOL, NOBODY), (NOBODY, SCHOOL)])
async def test_meeting_of_another_tenant_is_not_found(
    pool: LivePool, owner: Caller, asker: Caller
) -> None:
    await pool.create(caller=owner)
    load = (await pool.server("bbb-1")).load

    await check_unknown(pool, asker)

    assert (pool.holders(), await pool.home()) == (["bbb-1"], "bbb-1")
    assert (await pool.server("bbb-1")).load == load


async def test_detached_meeting_is_not_found(pool: LivePool) -> None:
    await pool.create()
    await pool.lose("bbb-1")

    await check_unknown(pool)


async def test_meeting_of_a_removed_server_is_not_found(pool: LivePool) -> None:
    await pool.create()
    await pool.res.servers.store.remove_server(ServerId("bbb-1"), force=True)

    await check_unknown(pool)


@pytest.mark.parametrize("name", ["isMeetingRunning", "getMeetingInfo", "join"])
async def test_call_takes_one_round_trip(pool: LivePool, name: str) -> None:
    await pool.create()
    before = pool.client.round_trips

    await CALLS[name](pool.res.meetings, NOBODY, ROOM)

    assert pool.client.round_trips - before == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("isMeetingRunning", MEETING_GONE),
        ("getMeetingInfo", MEETING_GONE),
        ("end", MEETING_GONE),
        ("sendChatMessage", MEETING_GONE),
        ("insertDocument", "Unable to insert document on server."),
    ],
)
@pytest.mark.parametrize("kind", ["refuse", "hang", "status", "garbage"])
async def test_server_that_does_not_answer_is_an_error_and_watched(
    pool: LivePool, name: str, text: str, kind: str
) -> None:
    await pool.create()
    pool.servers[0].add_fault(kind, name)

    assert await failure(CALLS[name], pool) == f"internalError: {text}"
    await pool.settled()

    assert await pool.home() == "bbb-1"
    assert (await pool.server("bbb-1")).suspected
    (named,) = pool.log.named("server_call_failed")
    assert (named["subject"], named["call"]) == ("bbb-1", name)


# --- isMeetingRunning, getMeetingInfo -------------------------------------------------------------


async def test_servers_answer_is_handed_on_as_it_is(pool: LivePool) -> None:
    await pool.create(name="Physics")
    pool.servers[0].set_users("room", participants=3)

    running = elements(await meetings.is_meeting_running(pool.res.meetings, NOBODY, ROOM))
    info = elements(await meetings.get_meeting_info(pool.res.meetings, NOBODY, ROOM))

    assert running["running"] == "true"
    assert (info["meetingName"], info["participantCount"]) == ("Physics", "3")


async def test_failed_answer_is_handed_on(pool: LivePool) -> None:
    await pool.create()
    pool.servers[0].add_fault("failed", "getMeetingInfo", key="checksumError", message="Odd")

    answer = elements(await meetings.get_meeting_info(pool.res.meetings, NOBODY, ROOM))

    assert answer["messageKey"] == "checksumError"
    assert await pool.home() == "bbb-1"


async def test_meeting_that_its_server_does_not_know_is_forgotten(pool: LivePool) -> None:
    await pool.create()
    pool.servers[0].forget_meetings()

    first = elements(await meetings.get_meeting_info(pool.res.meetings, NOBODY, ROOM))

    assert first["messageKey"] == "notFound"
    assert await pool.home() is None
    await check_unknown(pool)


async def test_meeting_is_not_forgotten_while_it_is_being_created(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with (
        open_live(redis_url, redis_namespace, bbbs, RESPONSE_TIMEOUT="60") as pool,
        trio.open_nursery() as nursery,
    ):
        first = pool.servers[0]
        first.add_fault("delay", "create", seconds=60, executed=False)
        nursery.start_soon(pool.create)
        await first.until_called("create")
        first.forget_meetings()
        answer = elements(await meetings.get_meeting_info(pool.res.meetings, NOBODY, ROOM))
        assert answer["messageKey"] == "notFound"
        ended = elements(await meetings.end_meeting(pool.res.meetings, NOBODY, ROOM))
        assert ended["messageKey"] == "notFound"
        assert await pool.home() == "bbb-1"
        first.clear_faults()


# --- join -----------------------------------------------------------------------------------------


async def join_params(pool: LivePool, caller: Caller = NOBODY, **given: str) -> dict[str, str]:
    url = await meetings.join_meeting(pool.res.meetings, caller, (*ROOM, *given.items()))
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


async def test_join_leads_to_the_meetings_server_and_is_signed_with_its_secret(
    pool: LivePool,
) -> None:
    created = await pool.create()
    given = (("fullName", "Ann Ön"), ("password", created["moderatorPW"]), ("redirect", "false"))

    url = await meetings.join_meeting(pool.res.meetings, NOBODY, (*ROOM, *given))

    bbb = pool.servers[0]
    params = (*ROOM, *given)
    assert url == bbb.sign("join", params)


async def test_join_parameters_are_merged_by_their_strength(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url,
        redis_namespace,
        bbbs[:1],
        DEFAULT_JOIN_PARAMS="userdata-a=default,userdata-d=default",
        OVERRIDE_JOIN_PARAMS="userdata-c=override,userdata-e=override",
        JOIN_EXCLUDE_PARAMS="userdata-x",
    ) as pool:
        await pool.create(caller=SCHOOL)

        params = await join_params(
            pool, SCHOOL, **{"userdata-b": "mine", "userdata-c": "mine", "userdata-x": "mine"}
        )

        values = {key[-1]: value for key, value in params.items() if key.startswith("userdata-")}
        assert values == {
            **{"a": "tenant", "b": "mine", "c": "tenant override"},
            **{"d": "default", "e": "override"},
        }


async def test_join_counts_once_the_reservation_is_used_up(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], LOAD_MIN_USER_COUNT="2", LOAD_FORECAST="false"
    ) as pool:
        await pool.create()
        loads = []
        for _ in range(4):
            await meetings.join_meeting(pool.res.meetings, NOBODY, ROOM)
            loads.append((await pool.server("bbb-1")).load)

        assert loads == [2, 2, 3, 4]


async def go_offline(pool: LivePool) -> None:
    await pool.redis("HSET", "server:bbb-1", "online", "false")
    await pool.redis("ZREM", "server_load", "bbb-1")


async def go_disabled(pool: LivePool) -> None:
    await pool.set_state("bbb-1", ServerState.DISABLED)


@pytest.mark.parametrize("go", [go_offline, go_disabled])
async def test_join_says_that_the_server_is_unavailable(
    pool: LivePool, go: Callable[[LivePool], Awaitable[None]]
) -> None:
    await pool.create()
    await go(pool)

    text = await failure(meetings.join_meeting, pool)

    assert text == "serverUnavailable: The server for this meeting is disabled/offline."


async def test_join_goes_on_when_the_server_is_cordoned(pool: LivePool) -> None:
    await pool.create()
    await pool.set_state("bbb-1", ServerState.CORDONED)

    assert (await join_params(pool))["meetingID"] == "room"


# --- end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [(), (("password", ""),)])
async def test_end_uses_the_stored_password_and_forgets_the_meeting(
    pool: LivePool, given: Params
) -> None:
    await pool.create(moderatorPW="secret-mp")

    answer = elements(await meetings.end_meeting(pool.res.meetings, NOBODY, (*ROOM, *given)))

    assert answer["messageKey"] == "sentEndMeetingRequest"
    assert "password=secret-mp" in pool.servers[0].requests("end")[0]["query"]
    assert (pool.holders(), await pool.home()) == ([], None)
    assert (await pool.traces())["bridges"] == []


async def test_end_with_a_wrong_password_keeps_the_meeting(pool: LivePool) -> None:
    await pool.create()

    params = (*ROOM, ("password", "wrong"))
    answer = elements(await meetings.end_meeting(pool.res.meetings, NOBODY, params))

    assert answer["messageKey"] == "invalidPassword"
    assert (pool.holders(), await pool.home()) == (["bbb-1"], "bbb-1")


async def test_end_of_a_meeting_that_its_server_does_not_know_forgets_it(pool: LivePool) -> None:
    await pool.create()
    pool.servers[0].forget_meetings()

    answer = elements(await meetings.end_meeting(pool.res.meetings, NOBODY, ROOM))

    assert answer["messageKey"] == "notFound"
    assert await pool.home() is None


# --- insertDocument and calls that are passed through ---------------------------------------------


async def test_document_is_handed_on_to_the_meetings_server(pool: LivePool) -> None:
    await pool.create()
    document = b"<modules><module name='presentation'><document/></module></modules>"

    body = RequestBody("application/xml", document, len(document))
    answer = elements(await meetings.insert_document(pool.res.meetings, NOBODY, ROOM, body))

    assert answer["returncode"] == "SUCCESS"
    assert pool.servers[0].requests("insertDocument")[0]["body_start"] == document.decode()


async def test_document_that_breaks_off_is_the_clients_error(pool: LivePool) -> None:
    await pool.create()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionAbortedError("client gone")

    with pytest.raises(ConnectionAbortedError):
        await meetings.insert_document(
            pool.res.meetings, NOBODY, ROOM, RequestBody("application/xml", chunks(), None)
        )

    await pool.settled()
    assert not (await pool.server("bbb-1")).suspected


async def test_other_call_is_signed_anew_and_passed_through(pool: LivePool) -> None:
    await pool.create()

    assert elements(await send_chat(pool.res.meetings, NOBODY, ROOM))["returncode"] == "SUCCESS"

    assert pool.servers[0].meetings()["room"]["chat"] == ["Hello & welcome"]


# --- getMeetings ----------------------------------------------------------------------------------


async def listed(pool: LivePool, caller: Caller = NOBODY) -> list[str]:
    """The meetings that getMeetings answers, sorted."""
    root = ElementTree.fromstring(await meetings.get_meetings(pool.res.meetings, caller, ()))
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
async def test_get_meetings_leaves_out_a_server_that_fails(pool: LivePool, kind: str) -> None:
    for bbb in pool.servers:
        bbb.create_meeting(f"on {bbb.server_id}")
    pool.servers[1].add_fault(kind, "getMeetings")

    assert await listed(pool) == ["on bbb-1", "on bbb-3"]
    await pool.settled()

    named = pool.log.named("server_call_failed") + pool.log.named("server_refused_call")
    assert [fields["subject"] for fields in named] == ["bbb-2"]
    assert (await pool.server("bbb-2")).suspected is (kind != "failed")


async def test_get_meetings_fails_when_every_server_fails(pool: LivePool) -> None:
    for bbb in pool.servers:
        bbb.add_fault("status", "getMeetings")

    text = await failure(meetings.get_meetings, pool)

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
        first.add_fault("delay", "getMeetings", seconds=meetings.HANGING_LIMIT_S + 0.5)
        with pytest.raises(ApiError):
            await meetings.is_meeting_running(pool.res.meetings, NOBODY, ROOM)
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


# --- trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "suspected"), [(413, False), (414, False), (404, True)])
async def test_server_that_finds_a_request_too_large_is_not_suspected(
    pool: LivePool, status: int, suspected: bool
) -> None:
    await pool.create()
    pool.servers[0].add_fault("status", "insertDocument", status=status)
    document = RequestBody("application/xml", b"<modules/>", 10)

    with pytest.raises(ApiError, match="Unable to insert document"):
        await meetings.insert_document(pool.res.meetings, NOBODY, ROOM, document)
    await pool.settled()

    assert len(pool.log.named("server_call_failed")) == 1
    assert (await pool.server("bbb-1")).suspected is suspected


async def test_trouble_is_named_once_and_the_poller_is_asked_to_look(pool: LivePool) -> None:
    asked: list[str] = []
    res = rewire(pool.res, servers__poll_soon=asked.append)

    for _ in range(5):
        meetings.report_failed_call(res.meetings, Ambiguous(ServerId("bbb-2"), "no answer"), "end")
    await pool.settled()

    assert asked == ["bbb-2"] * 5
    assert len(pool.log.named("server_call_failed")) == 5
    warnings = [event for event in pool.log.events if event[0] == "warning"]
    assert len(warnings) == 1
