"""end: passed on, or remembered for a server that does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.bbb.errors import ApiError
from appliance.bbb.params import Params
from appliance.bbb.signed_request import Caller
from appliance.meetings.end import end_meeting
from appliance.model import Tenant, TenantId
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import QUICK, LivePool, elements, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

ROOM: Params = (("meetingID", "room"),)
NOBODY = Caller()
SCHOOL, OTHER = (Caller(Tenant(TenantId(f"t-{name}"), name, ("s",))) for name in ("1", "2"))
ENDED_URL = {"meetingEndedURL": "http://front-end.example.org/ended"}


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool whose hanging servers cost little."""
    async with open_live(redis_url, redis_namespace, bbbs, **QUICK) as opened:
        yield opened


async def end(pool: LivePool, caller: Caller = NOBODY, **params: str) -> str:
    """End the meeting and return the messageKey of the answer or the failure."""
    try:
        answer = await end_meeting(pool.res.meetings, caller, (*ROOM, *params.items()))
    except ApiError as error:
        return error.key
    return elements(answer)["messageKey"]


# --- its server answers ---------------------------------------------------------------------------


@pytest.mark.parametrize("given", [(), (("password", ""),)])
async def test_end_uses_the_stored_password_and_forgets_the_meeting(
    pool: LivePool, given: Params
) -> None:
    await pool.create(moderatorPW="secret-mp")

    answer = elements(await end_meeting(pool.res.meetings, NOBODY, (*ROOM, *given)))

    assert answer["messageKey"] == "sentEndMeetingRequest"
    assert "password=secret-mp" in pool.servers[0].requests("end")[0]["query"]
    assert (pool.holders(), await pool.home()) == ([], None)
    assert (await pool.traces())["bridges"] == []


async def test_end_with_a_wrong_password_keeps_the_meeting(pool: LivePool) -> None:
    await pool.create()

    params = (*ROOM, ("password", "wrong"))
    answer = elements(await end_meeting(pool.res.meetings, NOBODY, params))

    assert answer["messageKey"] == "invalidPassword"
    assert (pool.holders(), await pool.home()) == (["bbb-1"], "bbb-1")


async def test_end_of_a_meeting_that_its_server_does_not_know_forgets_it(pool: LivePool) -> None:
    await pool.create()
    pool.servers[0].forget_meetings()

    answer = elements(await end_meeting(pool.res.meetings, NOBODY, ROOM))

    assert answer["messageKey"] == "notFound"
    assert await pool.home() is None


# --- its server does not answer -------------------------------------------------------------------

AWAY: list[tuple[str, dict[str, Any]]] = [
    ("refuse", {}),
    ("hang", {}),
    ("close", {}),
    ("status", {"status": 502}),
    ("status", {"status": 504}),
]


@pytest.mark.parametrize(("kind", "options"), AWAY)
async def test_end_is_carried_out_when_the_server_is_back(
    pool: LivePool, kind: str, options: dict[str, Any]
) -> None:
    await pool.create()
    call = "*" if kind == "refuse" else "end"
    pool.servers[0].add_fault(kind, call, **options)

    assert await end(pool) == "sentEndMeetingRequest"
    assert (await pool.home(), pool.holders()) == (None, ["bbb-1"])

    pool.servers[0].clear_faults()
    await pool.poll("bbb-1")
    assert pool.holders() == []
    assert await pool.redis("EXISTS", "appliance:detached:bbb-1") == 0


async def test_end_of_a_detached_meeting_is_carried_out_instead_of_taking_it_back(
    pool: LivePool,
) -> None:
    await pool.create(moderatorPW="mp", **ENDED_URL)
    await pool.lose("bbb-1")

    assert await end(pool, password="mp") == "sentEndMeetingRequest"
    assert await end(pool) == "notFound"
    assert len(await pool.redis("ZRANGE", "appliance:ended_due", 0, -1)) == 1

    await pool.poll("bbb-1")
    assert (pool.holders(), await pool.home()) == ([], None)


@pytest.mark.parametrize("detached", [False, True])
async def test_end_with_a_wrong_password_is_not_remembered(pool: LivePool, detached: bool) -> None:
    await pool.create(moderatorPW="mp")
    pool.servers[0].add_fault("refuse")
    if detached:
        await pool.lose("bbb-1")

    assert await end(pool, password="wrong") == "invalidPassword"

    pool.servers[0].clear_faults()
    await pool.poll("bbb-1")
    assert (pool.holders(), await pool.home()) == (["bbb-1"], "bbb-1")


async def test_detached_meeting_of_another_tenant_is_not_found(pool: LivePool) -> None:
    await pool.create(caller=SCHOOL)
    await pool.lose("bbb-1")

    assert [await end(pool, OTHER), await end(pool)] == ["notFound", "notFound"]
    assert await end(pool, SCHOOL) == "sentEndMeetingRequest"


async def test_end_that_was_answered_with_garbage_is_an_error(pool: LivePool) -> None:
    await pool.create()
    pool.servers[0].add_fault("garbage", "end")

    assert await end(pool) == "internalError"
    assert await pool.home() == "bbb-1"


async def test_end_that_is_remembered_does_not_hit_a_newer_run_elsewhere(pool: LivePool) -> None:
    await pool.create()
    pool.servers[0].add_fault("refuse")
    await end(pool)
    await pool.create()

    pool.servers[0].clear_faults()
    for bbb in pool.servers:
        await pool.poll(bbb.server_id)

    assert (pool.holders(), await pool.home()) == (["bbb-2"], "bbb-2")


async def test_end_that_is_remembered_does_not_hit_a_newer_run_that_another_made(
    pool: LivePool,
) -> None:
    await pool.create()
    pool.servers[0].add_fault("refuse")
    await end(pool)
    pool.servers[0].clear_faults()
    pool.servers[0].forget_meetings()
    pool.servers[0].create_meeting("room")

    await pool.poll("bbb-1")

    assert pool.holders() == ["bbb-1"]


async def test_end_that_is_remembered_comes_before_a_create_on_the_same_server(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], **QUICK) as pool:
        first = await pool.create()
        pool.servers[0].add_fault("refuse")
        await end(pool)
        pool.servers[0].clear_faults()

        second = await pool.create()
        await pool.poll("bbb-1")

        assert second["messageKey"] == ""
        assert second["internalMeetingID"] != first["internalMeetingID"]
        assert (pool.holders(), await pool.home()) == (["bbb-1"], "bbb-1")
