"""The calls that name a meeting, and getMeetings: who is asked, what is handed on and forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio

from appliance.bbb.errors import ApiError
from appliance.bbb.params import Params
from appliance.bbb.request_body import RequestBody
from appliance.bbb.signed_request import Caller
from appliance.faults import Ambiguous
from appliance.meetings import calls as meetings
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.end import end_meeting
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
    "end": end_meeting,
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


async def check_unknown(
    pool: LivePool, caller: Caller = NOBODY, *, without: tuple[str, ...] = ()
) -> None:
    """Check that every call answers as for an unknown meeting, without calling a server."""
    for bbb in pool.servers:
        bbb.clear_requests()
    for name, call in CALLS.items():
        if name in without:
            continue
        if name == "isMeetingRunning":
            answer = elements(await call(pool.res.meetings, caller, ROOM))
            assert answer == {"returncode": "SUCCESS", "running": "false"}
        else:
            assert (await failure(call, pool, caller)).startswith("notFound: We could not find")
    assert not any(bbb.requests() for bbb in pool.servers)


@pytest.mark.parametrize("name", CALLS)
async def test_meeting_is_found_by_its_trimmed_id(pool: LivePool, name: str) -> None:
    await pool.create(" room\t")

    await CALLS[name](pool.res.meetings, NOBODY, (("meetingID", "\nroom "),))

    assert "meetingID=room&" in f"{pool.servers[0].requests('create')[0]['query']}&"


@pytest.mark.parametrize("name", CALLS)
async def test_call_is_refused_when_its_meeting_id_has_control_characters(
    pool: LivePool, name: str
) -> None:
    text = await failure(CALLS[name], pool, params=(("meetingID", "ro\x00om"),))
    assert text == "validationError: Invalid meeting ID"


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

    await check_unknown(pool, without=("end",))


async def test_meeting_of_a_removed_server_is_not_found(pool: LivePool) -> None:
    await pool.create()
    await pool.res.servers.store.remove_server(ServerId("bbb-1"), force=True, now_ms=0)

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
        ended = elements(await end_meeting(pool.res.meetings, NOBODY, ROOM))
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


# --- breakout rooms that a server made itself -----------------------------------------------------


async def make_breakout_room(pool: LivePool, caller: Caller = NOBODY) -> None:
    """Have bbb-1 make a breakout room of a meeting, and poll it."""
    await pool.create("parent", caller=caller)
    tenant = {"meta_tenant-id": caller.tenant_id} if caller.tenant_id else {}
    pool.servers[0].create_meeting("room", isBreakout="true", parentMeetingID="parent", **tenant)
    await pool.poll("bbb-1")


@pytest.mark.parametrize("name", ["isMeetingRunning", "getMeetingInfo", "end", "sendChatMessage"])
async def test_call_finds_a_breakout_room_that_a_server_made_itself(
    pool: LivePool, name: str
) -> None:
    await make_breakout_room(pool)
    pool.servers[0].set_users("room", participants=1)
    before = pool.client.round_trips

    answer = elements(await CALLS[name](pool.res.meetings, NOBODY, ROOM))

    assert answer["returncode"] == "SUCCESS"
    assert answer.get("running") in (None, "true")
    assert pool.client.round_trips - before == (2 if name == "end" else 1)
    assert pool.holders() == ([] if name == "end" else ["bbb-1"])


async def test_join_finds_a_breakout_room_that_a_server_made_itself(pool: LivePool) -> None:
    await make_breakout_room(pool)

    assert (await join_params(pool))["meetingID"] == "room"


async def test_breakout_room_that_a_server_made_itself_is_its_tenants(pool: LivePool) -> None:
    await make_breakout_room(pool, SCHOOL)

    assert elements(await meetings.get_meeting_info(pool.res.meetings, SCHOOL, ROOM))
    for caller in (OTHER, NOBODY):
        assert "notFound" in await failure(meetings.get_meeting_info, pool, caller)


async def test_breakout_room_is_no_parent_and_does_not_count_as_placed(pool: LivePool) -> None:
    await make_breakout_room(pool)

    assert await pool.home() is None
    assert [meeting.id for meeting in await pool.res.pool.records.list_meetings()] == ["parent"]


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
