"""Polling a server: what counts as up and down, and what a poll does to meetings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from appliance.bbb.errors import ApiError
from appliance.bbb.signed_request import Caller
from appliance.faults import StoreDown
from appliance.meetings import calls as meetings
from appliance.model import MeetingId, ServerId, ServerState
from appliance.servers.model import PollMemory
from appliance.servers.polling import PollResult, check_version, poll_pool, poll_server
from appliance.servers.store import CHUNK
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.descriptors import no_free_descriptors
from tests.doubles.live_pool import QUICK, LivePool, black_hole, elements, open_live
from tests.doubles.redis_processes import DURABLE, redis_process

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

TWO_STRIKES: dict[str, Any] = {**QUICK, "SERVER_UNHEALTHY_THRESHOLD": "2"}
DAY_S = 86_400


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool whose servers are offline after two failed polls."""
    async with open_live(redis_url, redis_namespace, bbbs, **TWO_STRIKES) as opened:
        yield opened


async def is_running(pool: LivePool, meeting_id: str = "room") -> str:
    params = (("meetingID", meeting_id),)
    return elements(await meetings.is_meeting_running(pool.res.meetings, Caller(), params))[
        "running"
    ]


# --- a poll that succeeds -------------------------------------------------------------------------


async def test_poll_is_one_request(pool: LivePool) -> None:
    for number in range(20):
        await pool.create(f"room {number}")
    for bbb in pool.servers:
        bbb.clear_requests()

    await pool.poll("bbb-1")

    assert [request["call"] for request in pool.servers[0].requests()] == ["getMeetings"]


async def test_poll_that_finds_nothing_new_is_one_round_trip_and_records_nothing(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], LOAD_JOIN_BUFFER_TIME="0") as pool:
        await pool.create("room")
        server, redis = await pool.server("bbb-1"), pool.res.servers.store.redis.background.client

        async def poll() -> tuple[PollResult, str, int]:
            """Return the result, when the meeting was last recorded, and the round trips."""
            await trio.sleep(0.002)
            memory, before = pool.memories.setdefault("bbb-1", PollMemory()), redis.round_trips
            deps = pool.res.servers
            result = await poll_server(deps, server, read_version=False, memory=memory)
            trips = redis.round_trips - before
            return result, await pool.redis("HGET", "appliance:meeting:room", "seen_ms"), trips

        first, recorded, trips = await poll()
        assert trips == 2
        assert await poll() == (first, recorded, 1)

        await pool.create("other")
        more, since, trips = await poll()
        assert (more.meetings, since > recorded, trips) == (2, True, 2)
        _, again, trips = await poll()
        assert (again, trips) == (since, 1)

        pool.memories["bbb-1"].until_s = trio.current_time()
        _, again, trips = await poll()
        assert (again > since, trips) == (True, 2)


async def test_poll_reads_the_version_when_asked_to(pool: LivePool) -> None:
    result = await pool.poll("bbb-1", read_version=True)

    assert [request["call"] for request in pool.servers[0].requests()] == ["getMeetings", "index"]
    assert result.bbb_version == (await pool.server("bbb-1")).bbb_version == "3.0.10"


async def test_version_that_cannot_be_read_leaves_the_poll_and_the_old_one(pool: LivePool) -> None:
    await pool.poll("bbb-1", read_version=True)
    pool.servers[0].add_fault("status", "index")

    result = await pool.poll("bbb-1", read_version=True)

    assert (result.succeeded, result.bbb_version) == (True, "3.0.10")


async def test_poll_measures_load_and_counts(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], LOAD_JOIN_BUFFER_TIME="0", enable=False
    ) as pool:
        await pool.add(bbbs[0], load_multiplier=2.0)
        for name, users, moderators, videos in (("a", 7, 2, 3), ("b", 4, 1, 0)):
            bbbs[0].create_meeting(name)
            bbbs[0].set_users(name, participants=users, moderators=moderators, videos=videos)

        result = await pool.poll("bbb-1")

        server = await pool.server("bbb-1")
        assert (server.meetings, server.users, server.largest_meeting, server.videos) == (
            2,
            11,
            7,
            3,
        )
        assert server.load == result.load == 2 * (7 + 2 + 4 + 1)
        assert (result.meetings, result.users, result.online) == (2, 11, True)


async def test_poll_keeps_the_reservation_of_a_young_meeting(pool: LivePool) -> None:
    await pool.create(**{"meta_bbb-meeting-size-hint": "40"})

    assert (await pool.poll("bbb-1")).load == 40


async def test_poll_pushes_the_expiry_of_a_meeting_on(pool: LivePool) -> None:
    await pool.create()
    for key in ("meeting:room", "appliance:meeting:room"):
        await pool.redis("EXPIRE", key, 60)

    await pool.poll("bbb-1")

    for key in ("meeting:room", "appliance:meeting:room"):
        assert await pool.redis("TTL", key) > DAY_S - 60


async def test_poll_reads_long_lists_too(pool: LivePool) -> None:
    for number in range(300):
        pool.servers[0].create_meeting(f"room {number}", name="n" * 900)

    assert (await pool.poll("bbb-1")).meetings == 300


async def test_meetings_in_a_long_list_are_counted_and_taken_back(pool: LivePool) -> None:
    await pool.create()
    pool.servers[0].set_users("room", participants=1)
    for number in range(CHUNK + 100):
        pool.servers[0].create_meeting(f"other {number}")
    await lose_first(pool)

    result = await pool.poll("bbb-1")

    assert (result.meetings, result.online) == (CHUNK + 101, True)
    assert await is_running(pool) == "true"
    assert (await pool.poll("bbb-1")).load == result.load
    assert await pool.redis("EXISTS", "appliance:meeting:other 1") == 0


async def test_server_that_lists_too_many_meetings_fails_its_poll(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], MAX_MEETINGS_PER_SERVER="3", **TWO_STRIKES
    ) as pool:
        for number in range(4):
            bbbs[0].create_meeting(f"room {number}")

        result = await pool.poll("bbb-1")

        assert not result.succeeded
        assert result.reason == "the list has more than 3 meetings (MAX_MEETINGS_PER_SERVER)"
        assert (await pool.server("bbb-1")).unhealthy_count == 1


async def test_poll_ends_the_suspicion(pool: LivePool) -> None:
    await pool.res.pool.records.suspect_server(ServerId("bbb-1"))
    assert (await pool.server("bbb-1")).unstable

    await pool.poll("bbb-1")

    assert not (await pool.server("bbb-1")).unstable


async def test_poll_of_a_server_that_is_gone_asks_nobody(pool: LivePool) -> None:
    server = await pool.server("bbb-1")
    await pool.res.servers.store.remove_server(server.id, force=True, now_ms=0)

    result = await poll_server(pool.res.servers, server, read_version=True)

    assert (result.succeeded, result.reason) == (False, "not in the pool any more")
    assert pool.servers[0].requests() == []


# --- a poll that fails ----------------------------------------------------------------------------

FAILURES: list[tuple[str, dict[str, Any]]] = [
    ("refuse", {}),
    ("hang", {}),
    ("hang_accept", {}),
    ("slow_drip", {"seconds": 0.3}),
    ("status", {"status": 500}),
    ("status", {"status": 404}),
    ("status", {"status": 504}),
    ("close", {}),
    ("reset", {}),
    ("half", {}),
    ("truncated", {}),
    ("garbage", {}),
    ("empty", {}),
    ("bomb", {}),
    ("external_entity", {}),
    ("no_returncode", {}),
    ("failed", {"key": "checksumError"}),
    ("redirect_loop", {}),
    ("big", {"size": 0}),
    ("not_http", {}),
    ("gzip", {}),
]


@pytest.mark.parametrize(("kind", "options"), FAILURES)
async def test_failed_poll_counts_and_two_take_the_server_offline(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    kind: str,
    options: dict[str, Any],
) -> None:
    variables: dict[str, Any] = {**TWO_STRIKES, "RESPONSE_MAX_BYTES": "1000000"}
    async with open_live(redis_url, redis_namespace, bbbs[:1], **variables) as pool:
        bbbs[0].create_meeting("room")
        bbbs[0].add_fault(kind, "getMeetings", **options)

        first = await pool.poll("bbb-1")
        unstable = await pool.server("bbb-1")
        second = await pool.poll("bbb-1")
        offline = await pool.server("bbb-1")

        assert (first.succeeded, first.online, first.unhealthy_count) == (False, True, 1)
        assert first.reason
        assert (unstable.online, unstable.unstable, unstable.load) == (True, True, 0)
        assert (second.online, second.unhealthy_count) == (False, 2)
        assert (offline.online, offline.load, offline.meetings, offline.users) == (
            False,
            None,
            0,
            0,
        )
        (logged,) = pool.log.named("server_offline")
        assert logged["detached_meetings"] == 0
        assert len(pool.log.named("server_unstable")) == 1


async def test_poll_that_takes_too_long_counts_although_the_call_may_take_longer(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], POLLER_WAIT_TIMEOUT="0.3", RESPONSE_TIMEOUT="20"
    ) as pool:
        bbbs[0].add_fault("hang", "getMeetings")

        result = await pool.poll("bbb-1")

        assert (result.reason, result.unhealthy_count) == (
            "no answer within POLLER_WAIT_TIMEOUT",
            1,
        )


async def test_poll_of_a_server_that_cannot_be_connected_counts(pool: LivePool) -> None:
    with black_hole() as url:
        await pool.redis("HSET", "server:bbb-1", "url", url)

        assert (await pool.poll("bbb-1")).unhealthy_count == 1


@pytest.mark.parametrize("state", [ServerState.ENABLED, ServerState.DISABLED])
async def test_poll_without_a_free_descriptor_says_nothing_about_the_server(
    state: ServerState, pool: LivePool
) -> None:
    await pool.res.servers.store.set_server_state(ServerId("bbb-1"), state)
    pool.servers[0].drop_connections()
    with no_free_descriptors():
        results = [await pool.poll("bbb-1") for _ in range(3)]

    server = await pool.server("bbb-1")
    assert [result.succeeded for result in results] == [False] * 3
    assert "Too many open files" in results[0].reason
    assert (server.online, server.unhealthy_count) == (True, 0)
    assert pool.log.named("own_limit_reached")


async def test_call_without_a_free_descriptor_says_nothing_about_the_server(pool: LivePool) -> None:
    await pool.create()
    home = await pool.home()
    assert home is not None
    pool.bbb(home).drop_connections()
    with no_free_descriptors(), pytest.raises(ApiError):
        await meetings.get_meeting_info(pool.res.meetings, Caller(), (("meetingID", "room"),))

    assert not (await pool.server(home)).suspected


async def test_successful_poll_forgets_failures(pool: LivePool) -> None:
    bbb = pool.servers[0]
    with bbb.fault("status", "getMeetings"):
        await pool.poll("bbb-1")
    await pool.poll("bbb-1")
    with bbb.fault("status", "getMeetings"):
        result = await pool.poll("bbb-1")

    assert (result.online, result.unhealthy_count) == (True, 1)


async def test_unstable_server_takes_meetings_only_when_no_other_is_healthy(pool: LivePool) -> None:
    with pool.servers[0].fault("status", "getMeetings"):
        await pool.poll("bbb-1")
    await pool.create("one")
    await pool.set_state("bbb-2", ServerState.CORDONED)
    await pool.set_state("bbb-3", ServerState.CORDONED)
    await pool.create("two")

    assert (pool.holders("one"), pool.holders("two")) == (["bbb-2"], ["bbb-1"])


async def test_offline_server_comes_back_after_as_many_polls_as_configured(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], SERVER_HEALTHY_THRESHOLD="3", enable=False
    ) as pool:
        bbb = bbbs[0]
        await pool.register(bbb)
        online = [(await pool.poll("bbb-1")).online for _ in range(2)]
        with bbb.fault("status", "getMeetings"):
            online.append((await pool.poll("bbb-1")).online)
        for _ in range(3):
            online.append((await pool.poll("bbb-1")).online)

        assert online == [False] * 5 + [True]
        assert pool.log.named("server_online") == [{"server": "bbb-1"}]
        assert (await pool.server("bbb-1")).load == 0


async def test_failure_is_not_logged_when_the_server_was_disabled_meanwhile(
    pool: LivePool,
) -> None:
    bbb = pool.servers[0]
    bbb.add_fault("hang", "getMeetings")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.poll, "bbb-1")
        await bbb.until_called("getMeetings")
        await pool.set_state("bbb-1", ServerState.DISABLED)

    assert not pool.log.named("server_unstable")
    assert not pool.log.named("server_offline")


# --- meetings of a server that goes and comes back ------------------------------------------------


async def lose_first(pool: LivePool) -> None:
    """Fail the polls of bbb-1 until it is offline."""
    with pool.servers[0].fault("close", "getMeetings"):
        await pool.poll("bbb-1")
        await pool.poll("bbb-1")
    assert not (await pool.server("bbb-1")).online


async def test_meetings_are_detached_and_taken_back_as_they_were(pool: LivePool) -> None:
    created = await pool.create()
    pool.servers[0].set_users("room", participants=1)
    before = await pool.meeting()
    await lose_first(pool)
    assert await is_running(pool) == "false"
    assert pool.log.named("server_offline")[0]["detached_meetings"] == 1

    await pool.poll("bbb-1")

    after = await pool.meeting()
    assert before is not None
    assert after is not None
    assert await is_running(pool) == "true"
    assert (after.server_id, after.moderator_pw, after.voice_bridge, after.confirmed) == (
        "bbb-1",
        created["moderatorPW"],
        created["voiceBridge"],
        True,
    )
    assert ("warning", "meetings_taken_back") in [event[:2] for event in pool.log.events]
    assert pool.servers[0].requests("end") == []
    assert (await pool.create())["internalMeetingID"] == created["internalMeetingID"]


async def test_meeting_created_elsewhere_meanwhile_is_ended_where_it_was(pool: LivePool) -> None:
    await pool.create()
    await lose_first(pool)
    await pool.create()
    assert pool.holders() == ["bbb-1", "bbb-2"]
    pool.servers[0].clear_requests()

    await pool.poll("bbb-1")

    assert (pool.holders(), await pool.home()) == (["bbb-2"], "bbb-2")
    assert len(pool.servers[0].requests("end")) == 1
    assert ("warning", "duplicate_ended") in [event[:2] for event in pool.log.events]


async def test_duplicate_that_cannot_be_ended_is_ended_by_the_next_poll(pool: LivePool) -> None:
    await pool.create()
    await lose_first(pool)
    await pool.create()

    with pool.servers[0].fault("close", "end"):
        assert (await pool.poll("bbb-1")).succeeded
    assert pool.holders() == ["bbb-1", "bbb-2"]
    await pool.poll("bbb-1")

    assert pool.holders() == ["bbb-2"]


async def test_meeting_that_ended_while_its_server_was_away_is_forgotten(pool: LivePool) -> None:
    await pool.create()
    await lose_first(pool)
    pool.servers[0].forget_meetings()

    await pool.poll("bbb-1")

    assert await pool.home() is None
    assert (await pool.traces())["bridges"] == []


# --- meetings that are not listed -----------------------------------------------------------------


async def test_meeting_that_is_not_listed_is_looked_for_and_forgotten(pool: LivePool) -> None:
    await pool.create()
    await pool.create("other")
    pool.servers[0].forget_meetings()

    await pool.poll("bbb-1")

    assert await pool.home() is None
    assert [request["call"] for request in pool.servers[0].requests()][-2:] == [
        "getMeetings",
        "getMeetingInfo",
    ]


@pytest.mark.parametrize("kind", ["status", "failed", "hang"])
async def test_meeting_that_is_not_listed_is_kept_without_a_clear_no(
    pool: LivePool, kind: str
) -> None:
    await pool.create()
    pool.servers[0].forget_meetings()
    pool.servers[0].add_fault(kind, "getMeetingInfo")

    assert (await pool.poll("bbb-1")).succeeded

    assert await pool.home() == "bbb-1"


async def test_meeting_that_is_begun_anew_while_it_is_looked_for_is_kept(pool: LivePool) -> None:
    await pool.create()
    first = pool.servers[0]
    first.forget_meetings()
    first.add_fault("delay", "getMeetingInfo", seconds=60, executed=True, times=1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.poll, "bbb-1")
        await first.until_called("getMeetingInfo")
        await pool.create()
        first.clear_faults()

    assert pool.holders() == [await pool.home()]


async def test_meeting_being_created_is_not_looked_for(pool: LivePool) -> None:
    first = pool.servers[0]
    first.add_fault("delay", "create", seconds=60, executed=False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.create)
        await first.until_called("create")
        first.forget_meetings()
        result = await pool.poll("bbb-1")
        first.clear_faults()

    assert await pool.home() == "bbb-1"
    assert first.requests("getMeetingInfo") == []
    assert result.load == 15


async def test_many_missing_meetings_take_no_longer_than_a_poll(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    limits = {**QUICK, "RESPONSE_TIMEOUT": "5"}
    async with open_live(redis_url, redis_namespace, bbbs[:1], **limits) as pool:
        for number in range(60):
            await pool.create(f"room {number}")
        bbbs[0].forget_meetings()
        bbbs[0].add_fault("hang", "getMeetingInfo")

        with trio.fail_after(20):  # the limit is 1 s; the calls alone would take 40 s
            assert (await pool.poll("bbb-1")).succeeded
        bbbs[0].clear_faults()
        await pool.poll("bbb-1")

        assert await pool.res.pool.records.list_meetings() == []


async def test_meetings_that_we_never_placed_count_but_are_not_adopted(pool: LivePool) -> None:
    pool.servers[0].create_meeting("foreign")

    assert (await pool.poll("bbb-1")).load == 15
    assert await pool.home("foreign") is None


# --- cordoned and disabled servers ----------------------------------------------------------------


async def test_cordoned_server_is_disabled_when_it_is_empty(pool: LivePool) -> None:
    await pool.create()
    pool.servers[0].set_users("room", participants=1)
    await pool.set_state("bbb-1", ServerState.CORDONED)
    await pool.poll("bbb-1")
    assert (await pool.server("bbb-1")).state is ServerState.CORDONED

    pool.servers[0].forget_meetings()
    await pool.poll("bbb-1")
    await pool.poll("bbb-1")

    assert (await pool.server("bbb-1")).state is ServerState.DISABLED
    assert pool.log.named("cordoned_server_is_empty") == [{"server": "bbb-1", "state": "disabled"}]


async def test_disabled_server_is_only_asked_for_its_version(pool: LivePool) -> None:
    await pool.set_state("bbb-1", ServerState.DISABLED)

    result = await pool.poll("bbb-1")

    assert (result.succeeded, result.bbb_version) == (True, "3.0.10")
    assert [request["call"] for request in pool.servers[0].requests()] == ["index"]
    assert (await pool.server("bbb-1")).bbb_version == "3.0.10"


@pytest.mark.parametrize("kind", ["refuse", "hang", "garbage"])
async def test_disabled_server_that_does_not_answer_goes_offline_until_it_does(
    pool: LivePool, kind: str
) -> None:
    await pool.set_state("bbb-1", ServerState.DISABLED)
    with pool.servers[0].fault(kind, "index"):
        first, second = await pool.poll("bbb-1"), await pool.poll("bbb-1")

    assert (first.succeeded, first.online, first.unhealthy_count) == (False, True, 1)
    assert first.reason
    assert not second.online
    assert not (await pool.server("bbb-1")).online
    offline = pool.log.named("server_offline")[0]
    assert (offline["server"], offline["detached_meetings"]) == ("bbb-1", 0)

    assert (await pool.poll("bbb-1")).online
    assert (await pool.server("bbb-1")).online
    assert pool.log.named("server_online")[-1] == {"server": "bbb-1", "state": "disabled"}


async def test_version_check_has_the_time_of_a_poll(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], POLLER_WAIT_TIMEOUT="0.2", RESPONSE_TIMEOUT="20"
    ) as pool:
        bbbs[0].add_fault("hang", "index")

        result = await check_version(pool.res.servers, await pool.server("bbb-1"))

        assert result.reason == "no answer within POLLER_WAIT_TIMEOUT"


# --- the whole pool, and the store ----------------------------------------------------------------


async def test_pool_is_polled_at_once_and_told_by_id(pool: LivePool) -> None:
    pool.servers[1].add_fault("hang", "getMeetings")
    await pool.set_state("bbb-3", ServerState.DISABLED)

    results = await poll_pool(pool.res.servers)

    assert [(one.server.id, one.succeeded) for one in results] == [
        ("bbb-1", True),
        ("bbb-2", False),
        ("bbb-3", True),
    ]


async def test_versions_alone_are_read_on_request(pool: LivePool) -> None:
    results = await poll_pool(pool.res.servers, versions_only=True)

    assert [one.bbb_version for one in results] == ["3.0.10"] * 3
    assert {request["call"] for bbb in pool.servers for request in bbb.requests()} == {"index"}


async def test_store_that_is_down_is_said_as_such(
    redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    with redis_process() as redis:
        async with open_live(redis.unix_url, redis_namespace, bbbs) as pool:
            server = await pool.server("bbb-1")
            for bbb in bbbs:
                bbb.add_fault("delay", "getMeetings", seconds=60)

            async def stop_redis() -> None:
                await bbbs[0].until_called("getMeetings")
                redis.kill()
                for bbb in bbbs:
                    bbb.clear_faults()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(stop_redis)
                with pytest.raises(StoreDown):
                    await poll_pool(pool.res.servers)
            with pytest.raises(StoreDown):
                await poll_server(pool.res.servers, server, read_version=True)
            redis.start()
            redis.wait_ready()
            await pool.res.redis.background.client.wait_connected()
            await pool.res.redis.foreground.client.wait_connected()


async def test_store_that_goes_away_while_meetings_are_looked_for_is_no_crash(
    redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    with redis_process(*DURABLE) as redis:
        async with open_live(redis.unix_url, redis_namespace, bbbs) as pool:
            for number in range(4):
                await pool.create(f"room {number}")
            bbbs[0].forget_meetings()
            bbbs[0].add_fault("delay", "getMeetingInfo", seconds=60)

            async def kill_redis() -> None:
                await bbbs[0].until_called("getMeetingInfo")
                redis.kill()
                bbbs[0].clear_faults()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(kill_redis)
                assert (await pool.poll("bbb-1")).succeeded
            redis.start()
            redis.wait_ready()
            await pool.res.redis.background.client.wait_connected()
            await pool.res.redis.foreground.client.wait_connected()
            await pool.poll("bbb-1")
            found = await pool.res.pool.records.find_meeting(
                MeetingId("room 0"), now_ms=pool.res.now_ms()
            )
            assert found is None


async def test_server_that_comes_back_is_asked_for_its_version(pool: LivePool) -> None:
    await pool.redis("HSET", "server:bbb-1", "bbb_version", "2.7.1")
    await pool.poll("bbb-1")
    assert (await pool.server("bbb-1")).bbb_version == "2.7.1"
    await pool.lose("bbb-1")
    while not (await pool.poll("bbb-1")).online:
        pass

    assert (await pool.server("bbb-1")).bbb_version == "3.0.10"
