"""Many creates of one meeting at once, and records that change under a create."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import trio

from appliance.bbb.signed_request import Caller
from appliance.callbacks.ended import record_end
from appliance.meetings.calls import get_meeting_info
from appliance.meetings.end import end_meeting
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import open_features, rewire
from tests.doubles.live_pool import QUICK, LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

UNABLE = "Unable to create meeting on server."


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool whose creates prefer bbb-1, then bbb-2, and wait for a slow server."""
    async with open_live(redis_url, redis_namespace, bbbs, RESPONSE_TIMEOUT="60") as opened:
        yield opened


async def create_many(pool: LivePool, count: int = 32, **params: str) -> list[dict[str, str]]:
    answers: list[dict[str, str]] = []

    async def create() -> None:
        answers.append(await pool.create(**params))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(create)
    return answers


@pytest.mark.parametrize("given", [{}, {"moderatorPW": "mp", "attendeePW": "ap"}])
async def test_creates_of_one_meeting_at_once_all_get_the_same(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], given: dict[str, Any]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs, spread=True) as pool:
        answers = await create_many(pool, **given)

        assert {answer["returncode"] for answer in answers} == {"SUCCESS"}
        assert len({answer["internalMeetingID"] for answer in answers}) == 1
        assert pool.holders() == [await pool.home()]
        assert list((await pool.traces())["load"].values()) == [15]
        assert sum(pool.calls("create")) == 32


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("status", {"executed": True}),
        ("status", {"executed": True, "times": 16}),
        ("status", {"executed": False, "times": 1}),
        ("refuse", {}),
    ],
)
async def test_creates_of_one_meeting_at_once_end_on_one_server_when_the_first_fails(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    kind: str,
    options: dict[str, Any],
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs) as pool:
        bbbs[0].add_fault(kind, "create", **options)

        answers = await create_many(pool)
        await pool.settled()

        meeting = await pool.meeting()
        assert meeting is not None
        assert {answer["returncode"] for answer in answers} == {"SUCCESS"}
        assert meeting.confirmed
        assert pool.holders() == [meeting.server_id]
        load = (await pool.traces())["load"]
        assert sum(load.values()) == pytest.approx(15.3)
        assert load[meeting.server_id] > 15


async def test_creates_of_many_meetings_at_once_spread_over_the_pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs, spread=True) as pool:
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(pool.create, f"room-{number}")

        assert [len(bbb.meetings()) for bbb in bbbs] == [10, 10, 10]


async def test_create_follows_a_meeting_that_was_moved_meanwhile(pool: LivePool) -> None:
    first = pool.servers[0]
    first.add_fault("delay", "create", seconds=60, executed=True, times=1)
    answers: list[dict[str, str]] = []

    async def create() -> None:
        answers.append(await pool.create())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(create)
        await first.until_called("create")
        meeting = await pool.meeting()
        assert meeting is not None
        await pool.res.pool.records.forget_meeting(
            meeting, now_ms=pool.res.now_ms(), even_if_creating=True
        )
        await pool.redis("ZADD", "server_load", 100, "bbb-1")
        answers.append(await pool.create())
        first.clear_faults()

    assert pool.holders() == ["bbb-2"]
    assert len({answer["internalMeetingID"] for answer in answers}) == 1
    assert pool.calls("end") == [1, 0, 0]


async def test_meeting_created_anew_is_not_lost_when_it_was_forgotten_meanwhile(
    pool: LivePool,
) -> None:
    await pool.create()
    first = pool.servers[0]
    first.forget_meetings()
    first.add_fault("delay", "create", seconds=60, executed=True, times=1)
    first.clear_requests()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.create)
        await first.until_called("create")
        meeting = await pool.meeting()
        assert meeting is not None
        await pool.res.pool.records.forget_meeting(meeting, now_ms=pool.res.now_ms())
        first.clear_faults()

    assert pool.holders() == [await pool.home()]


async def test_end_of_what_an_earlier_attempt_began_does_not_end_the_meeting(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], RESPONSE_TIMEOUT="60") as pool:
        first, caller = pool.servers[0], Caller(base_url="http://lb.example.org")
        first.add_fault("delay", "create", seconds=60, executed=True, times=1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(pool.create, caller=caller))
            await first.until_called("create")
            placed = await pool.meeting()
            assert placed is not None
            await pool.res.pool.records.forget_meeting(
                placed, now_ms=pool.res.now_ms(), even_if_creating=True
            )
            first.clear_faults()

        attempts = [dict(parse_qsl(one["query"])) for one in first.requests("create")]
        assert len(attempts) == 2
        ended_url = urlsplit(attempts[0]["meetingEndedURL"])
        assert await record_end(pool.res.callbacks, ended_url.query.encode())
        assert pool.holders() == [await pool.home()]


@pytest.mark.parametrize(
    ("call", "ask"), [("end", end_meeting), ("getMeetingInfo", get_meeting_info)]
)
async def test_meeting_begun_anew_is_not_lost_when_the_end_before_is_told_late(
    pool: LivePool, call: str, ask: Callable[..., Awaitable[bytes]]
) -> None:
    await pool.create()
    first = pool.servers[0]
    if call != "end":
        first.forget_meetings()
    first.add_fault("delay", call, seconds=60, executed=True, times=1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, pool.res.meetings, Caller(), (("meetingID", "room"),))
        await first.until_called(call)
        await pool.create()
        first.clear_faults()

    assert pool.holders() == [await pool.home()]


@asynccontextmanager
async def end_under_way(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], **variables: Any
) -> AsyncIterator[LivePool]:
    """Give a pool of one server, which has a meeting from a failed create and an `end` to execute.

    The server executes it when its faults are cleared.
    """
    async with open_live(redis_url, redis_namespace, bbbs[:1], **variables) as pool:
        first = pool.servers[0]
        first.add_fault("status", "create", status=504, executed=True, times=1)
        first.add_fault("delay", "end", seconds=60, executed=False, times=1)
        assert await pool.failure() == UNABLE
        await first.until_called("end")
        yield pool


@pytest.mark.parametrize("appliance", ["same", "second"])
async def test_create_gets_another_run_than_the_one_that_an_end_is_under_way_for(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], appliance: str
) -> None:
    async with (
        end_under_way(redis_url, redis_namespace, bbbs, RESPONSE_TIMEOUT="60") as pool,
        open_features(redis_url, redis_namespace, RESPONSE_TIMEOUT="60") as second,
    ):
        asked = replace(pool, res=second) if appliance == "second" else pool
        left = bbbs[0].meetings()["room"]["internal_id"]

        created = await asked.create()

        assert (created["returncode"], created["messageKey"]) == ("SUCCESS", "")
        assert created["internalMeetingID"] != left
        bbbs[0].clear_faults()  # the late `end` is executed
        await pool.settled()
        assert bbbs[0].meetings()["room"]["internal_id"] == created["internalMeetingID"]
        assert await pool.home() == "bbb-1"


async def test_meeting_that_was_moved_under_its_create_is_ended_where_it_was_created(
    pool: LivePool,
) -> None:
    first = pool.servers[0]
    first.add_fault("delay", "create", seconds=60, executed=False, times=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.create)
        await first.until_called("create")
        await pool.redis("HSET", "server:bbb-1", "url", "http://127.0.0.1:1/bigbluebutton/api")
        await pool.create()  # cannot be sent to bbb-1, and moves the meeting
        assert await pool.home() == "bbb-2"
        await pool.redis("HSET", "server:bbb-1", "url", first.url)
        first.clear_faults()
        first.add_fault("close", "end", times=1)
    assert pool.holders() == ["bbb-1", "bbb-2"]

    await pool.poll("bbb-1")

    assert pool.holders() == ["bbb-2"]


async def test_detached_meeting_is_not_ended_by_a_create_that_is_answered_late(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], RESPONSE_TIMEOUT="60") as pool:
        first = pool.servers[0]
        first.add_fault("delay", "create", seconds=60, executed=True, times=2)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(pool.failure)
            await first.until_called("create", 2)
            meeting = await pool.meeting()
            assert meeting is not None
            assert await pool.res.meetings.store.confirm_meeting(meeting, now_ms=pool.res.now_ms())
            await pool.lose("bbb-1")
            first.clear_faults()
        assert (pool.holders(), pool.calls("end")) == (["bbb-1"], [0])

        await pool.poll("bbb-1")
        assert await pool.home() == "bbb-1"


async def test_leftover_is_ended_although_its_password_is_not_the_recorded_one(
    pool: LivePool,
) -> None:
    first = pool.servers[0]
    first.add_fault("status", "create", status=504, executed=False, times=1)
    await pool.failure()
    await pool.settled()
    first.create_meeting("room", moderatorPW="of an earlier create", attendeePW="ap")

    await pool.poll("bbb-1")

    assert pool.holders() == []


async def test_create_is_refused_when_the_run_that_may_be_ended_cannot_be_ended(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with end_under_way(redis_url, redis_namespace, bbbs, **QUICK) as pool:
        bbbs[0].add_fault("close", "end", times=1)

        assert await pool.failure() == UNABLE


async def test_meeting_is_ended_by_its_meeting_id_when_the_server_knows_no_internal_ids(
    pool: LivePool,
) -> None:
    first = pool.servers[0]
    first.add_fault("status", "create", status=504, executed=True, times=1)
    first.add_fault("failed", "end", key="notFound", times=1)

    assert await pool.failure() == UNABLE
    await pool.settled()

    assert (pool.holders(), pool.calls("end")) == ([], [2, 0, 0])


async def test_leftover_is_not_ended_where_the_meeting_was_placed_again(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], RESPONSE_TIMEOUT="60") as pool:
        held: list[Callable[[], None]] = []
        later = pool.res.callbacks.later
        slow = rewire(pool.res, later=lambda *work: held.append(lambda: later(*work)))
        slow_pool = replace(pool, res=slow)
        bbbs[0].add_fault("status", "create", status=504, times=1)
        assert await slow_pool.failure() == UNABLE

        await pool.create()
        for start in held:
            start()
        await pool.settled()

        assert (pool.holders(), pool.calls("end")) == (["bbb-1"], [0])
