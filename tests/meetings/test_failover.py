"""A create on its way from server to server: what moves it, what must not, what is left behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from appliance.model import ServerId, ServerState
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import QUICK, LivePool, black_hole, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

UNABLE = "Unable to create meeting on server."


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool whose creates prefer bbb-1, then bbb-2; hanging servers cost little."""
    async with open_live(redis_url, redis_namespace, bbbs, **QUICK) as opened:
        yield opened


# --- it moves -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "ends"),
    [
        ("refuse", {}, 0),
        ("status", {"status": 500}, 0),
        ("status", {"status": 500, "executed": True}, 1),
        ("status", {"status": 502, "executed": True}, 1),
        ("status", {"status": 503}, 0),
    ],
)
async def test_create_moves_to_the_next_server(
    pool: LivePool, kind: str, options: dict[str, Any], ends: int
) -> None:
    first = pool.servers[0]
    first.add_fault(kind, "create", **options)

    answer = await pool.create()
    await pool.settled()

    assert answer["returncode"] == "SUCCESS"
    assert (pool.holders(), await pool.home()) == (["bbb-2"], "bbb-2")
    assert len(first.requests("end")) == ends
    assert (await pool.traces())["load"] == {"bbb-2": 15.1, "bbb-3": 0.2}
    assert (await pool.server("bbb-1")).suspected
    assert pool.log.named("create_failed_over") == [
        {"meeting": "room", "failed": "bbb-1", "server": "bbb-2"}
    ]


async def test_create_moves_when_connecting_takes_too_long(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs, **QUICK) as pool:
        with black_hole() as url:
            await pool.redis("HSET", "server:bbb-1", "url", url)

            await pool.create()

            assert (pool.holders(), await pool.home()) == (["bbb-2"], "bbb-2")


async def test_create_tries_three_servers_and_leaves_nothing(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    with BbbProcess(server_id="bbb-4") as fourth:
        async with open_live(redis_url, redis_namespace, [*bbbs, fourth], **QUICK) as pool:
            bbbs[0].add_fault("status", "create", status=500, executed=True)
            bbbs[1].add_fault("refuse")
            bbbs[2].add_fault("status", "create", status=503, executed=True)
            before = await pool.traces()

            assert await pool.failure() == UNABLE
            await pool.settled()

            assert fourth.requests("create") == []
            assert await pool.traces() == before
            assert pool.holders() == []


@pytest.mark.parametrize("fault", [("refuse", {}), ("status", {"executed": True})])
async def test_create_leaves_nothing_when_the_only_server_fails(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], fault: tuple[str, Any]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], **QUICK) as pool:
        before = await pool.traces()
        bbbs[0].add_fault(fault[0], "create", **fault[1])

        assert await pool.failure() == UNABLE
        await pool.settled()

        assert await pool.traces() == before
        assert pool.holders() == []


async def test_create_stays_within_its_required_tag(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs, enable=False, **QUICK) as pool:
        for bbb, tag in zip(bbbs, ("gpu", "", "gpu"), strict=True):
            await pool.add(bbb, tag=tag)
        bbbs[0].add_fault("status", "create")
        bbbs[2].add_fault("status", "create")

        assert await pool.failure(**{"meta_server-tag": "gpu!"}) == UNABLE

        assert pool.calls("create") == [1, 0, 1]


# --- it must not move -----------------------------------------------------------------------------


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("hang", {}),
        ("status", {"status": 504}),
        ("close", {}),
        ("reset", {}),
        ("half", {}),
        ("truncated", {}),
        ("garbage", {}),
        ("bomb", {}),
        ("not_http", {}),
        ("redirect_loop", {}),
    ],
)
async def test_ambiguous_failure_places_nothing_elsewhere(
    pool: LivePool, kind: str, options: dict[str, Any], executed: bool
) -> None:
    before = await pool.traces()
    pool.servers[0].add_fault(kind, "create", executed=executed, **options)

    assert await pool.failure() == UNABLE
    await pool.settled()

    assert pool.calls("create") == [1, 0, 0]
    assert pool.calls("end") == [int(executed), 0, 0]
    assert (pool.holders(), await pool.traces()) == ([], before)
    assert (await pool.create())["returncode"] == "SUCCESS"
    assert pool.holders() == ["bbb-2"]


async def test_meeting_that_could_not_be_ended_is_ended_by_a_poll(pool: LivePool) -> None:
    first = pool.servers[0]
    first.add_fault("hang", "create", executed=True)
    first.add_fault("close", "end", times=1)
    await pool.failure()
    await pool.settled()
    assert pool.holders() == ["bbb-1"]

    await pool.create()
    await pool.poll("bbb-1")

    assert (pool.holders(), await pool.home()) == (["bbb-2"], "bbb-2")


async def test_failed_answer_is_passed_on_and_undoes_the_placement(pool: LivePool) -> None:
    before = await pool.traces()
    pool.servers[0].add_fault("failed", "create", key="maxMeetings", message="Too many")

    answer = await pool.create()

    assert answer == {"returncode": "FAILED", "messageKey": "maxMeetings", "message": "Too many"}
    assert await pool.traces() == before
    assert (pool.calls("create"), pool.calls("end")) == ([1, 0, 0], [0, 0, 0])


# --- meetings that are known ----------------------------------------------------------------------


async def test_meeting_on_a_cordoned_server_stays_while_it_exists(pool: LivePool) -> None:
    await pool.create()
    await pool.set_state("bbb-1", ServerState.CORDONED)

    assert (await pool.create())["messageKey"] == "duplicateWarning"
    assert pool.holders() == ["bbb-1"]


async def test_meeting_on_a_cordoned_server_is_placed_again_when_it_is_over(pool: LivePool) -> None:
    await pool.create(meetingEndedURL="http://front-end.example.org/first")
    await pool.set_state("bbb-1", ServerState.CORDONED)
    pool.servers[0].forget_meetings()

    answer = await pool.create(meetingEndedURL="http://front-end.example.org/second")

    assert answer["returncode"] == "SUCCESS"
    assert (pool.holders(), await pool.home()) == (["bbb-2"], "bbb-2")
    (ended,) = (await pool.redis("HGETALL", "appliance:ended"))[1::2]
    assert json.loads(ended)["url"] == "http://front-end.example.org/first"


async def test_unconfirmed_meeting_that_a_cordoned_server_does_not_know_is_ended_if_it_appears(
    pool: LivePool,
) -> None:
    await pool.create()
    await pool.set_state("bbb-1", ServerState.CORDONED)
    pool.servers[0].forget_meetings()
    await pool.redis("HSET", "appliance:meeting:room", "creating", 1)

    assert (await pool.create())["returncode"] == "SUCCESS"
    assert await pool.home() == "bbb-2"
    pool.servers[0].create_meeting("room")
    await pool.poll("bbb-1")
    await pool.settled()
    assert pool.holders() == ["bbb-2"]


@pytest.mark.parametrize("kind", ["refuse", "hang", "garbage"])
async def test_meeting_on_a_cordoned_server_is_kept_when_that_does_not_answer(
    pool: LivePool, kind: str
) -> None:
    await pool.create()
    await pool.set_state("bbb-1", ServerState.CORDONED)
    pool.servers[0].add_fault(kind, "getMeetingInfo")

    assert await pool.failure() == UNABLE
    assert (pool.holders(), await pool.home()) == (["bbb-1"], "bbb-1")


@pytest.mark.parametrize("kind", ["refuse", "hang", "status"])
async def test_known_meeting_is_kept_when_its_server_does_not_answer(
    pool: LivePool, kind: str
) -> None:
    await pool.create()
    pool.servers[0].add_fault(kind, "create")

    assert await pool.failure() == UNABLE
    assert (pool.holders(), await pool.home()) == (["bbb-1"], "bbb-1")
    assert pool.calls("end") == [0, 0, 0]


async def lose(pool: LivePool) -> None:
    await pool.redis("HSET", "server:bbb-1", "online", "false")
    await pool.redis("ZREM", "server_load", "bbb-1")


async def detach(pool: LivePool) -> None:
    await pool.lose("bbb-1")


async def disable(pool: LivePool) -> None:
    await pool.set_state("bbb-1", ServerState.DISABLED)


async def remove(pool: LivePool) -> None:
    await pool.res.servers.store.remove_server(ServerId("bbb-1"), force=True, now_ms=0)


@pytest.mark.parametrize("gone", [lose, detach, disable, remove])
async def test_known_meeting_is_placed_again_when_its_server_is_gone(
    pool: LivePool, gone: Callable[[LivePool], Any]
) -> None:
    first = await pool.create()
    await gone(pool)

    answer = await pool.create()

    assert answer["returncode"] == "SUCCESS"
    assert await pool.home() == "bbb-2"
    if gone is not remove:
        assert answer["voiceBridge"] == first["voiceBridge"]
        assert answer["moderatorPW"] == first["moderatorPW"]


async def test_move_from_a_lost_server_is_logged_as_a_warning(pool: LivePool) -> None:
    await pool.create()
    await lose(pool)

    await pool.create()

    assert ("warning", "meeting_moved") in [(level, name) for level, name, _ in pool.log.events]
