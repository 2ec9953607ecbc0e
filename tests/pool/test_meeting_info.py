"""A server that takes a meetingID for the beginning of another meeting's internal id.

Each server has a meeting that it finds by the id of the tested one, with the same password.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from appliance.admin_calls.refusal import Refused
from appliance.bbb.params import Params
from appliance.bbb.signed_request import Caller
from appliance.meetings.administration import end_meetings, show_meeting
from appliance.meetings.calls import get_meeting_info
from appliance.meetings.end import end_meeting
from appliance.model import ServerState
from appliance.pool.ending import EndOutcome
from appliance.servers.clearing import panic_server
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import QUICK, LivePool, elements, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

OWN = "20"
OTHER = next(
    name
    for name in (f"room-{number}" for number in range(100_000))
    if hashlib.sha1(name.encode()).hexdigest().startswith(OWN)
)
PARAMS: Params = (("meetingID", OWN),)
PASSWORD = {"moderatorPW": "mp"}


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    async with open_live(redis_url, redis_namespace, bbbs, **QUICK) as opened:
        for bbb in opened.servers:
            bbb.create_meeting(OTHER, name="Other", **PASSWORD)
        yield opened
        assert len(opened.holders(OTHER)) == len(opened.servers)


@pytest.mark.parametrize("executed", [True, False])
async def test_create_that_is_undone_ends_its_own_meeting_only(
    pool: LivePool, executed: bool
) -> None:
    pool.servers[0].add_fault("close", "create", executed=executed)

    await pool.failure(meeting_id=OWN, **PASSWORD)
    await pool.settled()

    assert pool.holders(OWN) == []


async def test_info_is_about_the_meeting_that_was_asked_for(pool: LivePool) -> None:
    await pool.create(OWN, name="Own", **PASSWORD)

    answer = elements(await get_meeting_info(pool.res.meetings, Caller(), PARAMS))
    shown = await show_meeting(pool.res.meetings, OWN)

    assert (answer["meetingID"], answer["meetingName"]) == (OWN, "Own")
    assert shown.info.name == "Own"


async def test_meeting_that_is_over_is_not_found_and_forgotten(pool: LivePool) -> None:
    await pool.create(OWN, **PASSWORD)
    pool.servers[0].end_meeting(OWN, callback=False)

    answer = elements(await get_meeting_info(pool.res.meetings, Caller(), PARAMS))

    assert answer["messageKey"] == "notFound"
    assert await pool.home(OWN) is None


async def test_meeting_that_is_over_is_forgotten_when_an_operator_looks(pool: LivePool) -> None:
    await pool.create(OWN, **PASSWORD)
    pool.servers[0].end_meeting(OWN, callback=False)

    with pytest.raises(Refused, match=f"no meeting with id {OWN}"):
        await show_meeting(pool.res.meetings, OWN)


async def test_meeting_that_is_over_is_forgotten_by_a_poll(pool: LivePool) -> None:
    await pool.create(OWN, **PASSWORD)
    pool.servers[0].end_meeting(OWN, callback=False)

    await pool.poll("bbb-1")

    assert await pool.home(OWN) is None


async def test_end_of_a_front_end_ends_its_meeting(pool: LivePool) -> None:
    await pool.create(OWN, **PASSWORD)

    answer = elements(await end_meeting(pool.res.meetings, Caller(), PARAMS))

    assert answer["messageKey"] == "sentEndMeetingRequest"
    assert (pool.holders(OWN), await pool.home(OWN)) == ([], None)


async def test_end_of_a_meeting_that_is_over_ends_nothing(pool: LivePool) -> None:
    await pool.create(OWN, **PASSWORD)
    pool.servers[0].end_meeting(OWN, callback=False)

    answer = elements(await end_meeting(pool.res.meetings, Caller(), PARAMS))

    assert answer["messageKey"] == "notFound"
    assert await pool.home(OWN) is None


@pytest.mark.parametrize(("over", "outcome"), [(False, "ended"), (True, "gone")])
async def test_operator_ends_the_meeting_that_was_named(
    pool: LivePool, over: bool, outcome: str
) -> None:
    await pool.create(OWN, **PASSWORD)
    if over:
        pool.servers[0].end_meeting(OWN, callback=False)

    (ended,) = (await end_meetings(pool.res.meetings, "me", [OWN])).meetings

    assert ended.outcome == EndOutcome(outcome)
    assert (pool.holders(OWN), await pool.home(OWN)) == ([], None)


@pytest.mark.parametrize(("over", "outcome"), [(False, "ended"), (True, "gone")])
async def test_panic_ends_the_meetings_of_the_pool_only(
    pool: LivePool, over: bool, outcome: str
) -> None:
    await pool.create(OWN, **PASSWORD)
    if over:
        pool.servers[0].end_meeting(OWN, callback=False)

    (ended,) = (await panic_server(pool.res.servers, "me", "bbb-1")).meetings

    assert ended.outcome == EndOutcome(outcome)
    assert pool.holders(OWN) == []


async def test_meeting_on_a_cordoned_server_is_placed_again_when_it_is_over(pool: LivePool) -> None:
    await pool.create(OWN, **PASSWORD)
    await pool.set_state("bbb-1", ServerState.CORDONED)
    pool.servers[0].end_meeting(OWN, callback=False)

    await pool.create(OWN, **PASSWORD)

    assert (pool.holders(OWN), await pool.home(OWN)) == (["bbb-2"], "bbb-2")
