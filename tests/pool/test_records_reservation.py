"""What a placement reserves, what joins add, and what becomes of it when a meeting goes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
import trio

from appliance.meetings.placement import Replaced
from appliance.model import MeetingId, PlacementOutcome, PlacementRules, ServerState
from appliance.servers.values import ServerChange
from tests.doubles.store_pool import MINUTE_MS, StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a meeting, and the seats that must be reserved for it."""

    seats: int
    hint: int | None = None
    peak: int | None = None
    limit: int | None = None
    minimum: int = 15
    forecast: bool = True


CASES = {
    "nothing known": Case(15),
    "the hint": Case(80, hint=80),
    "the minimum where the hint is less": Case(15, hint=3),
    "the peak of the previous run": Case(120, peak=120),
    "the hint before the peak": Case(40, hint=40, peak=120),
    "the minimum where the peak is less": Case(15, peak=2),
    "capped": Case(500, hint=100_000),
    "a peak is capped too": Case(500, peak=700),
    "the minimum is not capped": Case(600, minimum=600),
    "never more than the meeting admits": Case(30, hint=80, limit=30),
    "less than the minimum where the meeting admits less": Case(2, limit=2),
    "a limit above what is expected": Case(80, hint=80, limit=100),
    "the cap before a larger limit": Case(500, hint=900, limit=800),
    "no forecast": Case(15, hint=80, peak=120, forecast=False),
    "no forecast, not less for a limit": Case(15, limit=2, forecast=False),
    "no minimum": Case(0, minimum=0),
    "no minimum, with a hint": Case(7, minimum=0, hint=7),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_place_reserves(redis_url: str, redis_namespace: str, case: Case) -> None:
    rules = PlacementRules(min_user_count=case.minimum, forecast=case.forecast)
    async with open_store_pool(redis_url, redis_namespace, rules) as pool:
        one = await pool.add("a", load_multiplier=2.0)
        if case.peak is not None:
            before = await pool.create("m")
            await pool.poll(one, {"m": case.peak})
            await pool.poll(one, {"m": 1})
            assert await pool.store.forget_meeting(before, now_ms=pool.now_ms)
            await pool.poll(one, {})
        meeting = await pool.create("m", size_hint=case.hint, max_participants=case.limit)
        assert await pool.expected(meeting.id) == [str(case.seats), None, None]
        assert await pool.load(one) == 2 * case.seats
        await pool.check_layout()


async def test_peak_is_of_the_last_run_not_of_an_earlier_one(pool: StorePool) -> None:
    one = await pool.add("a")
    for peak in (200, 60):
        meeting = await pool.create("m")
        await pool.poll(one, {"m": peak})
        assert await pool.store.forget_meeting(meeting, now_ms=pool.now_ms)
    await pool.create("m")
    assert (await pool.expected("m"))[0] == "60"


async def test_peak_is_remembered_for_sixty_days(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.poll(one, {"m": 5})
    ttl_s = await pool.redis("TTL", "appliance:size:m")
    assert 60 * 86_400 - 5 <= ttl_s <= 60 * 86_400


async def test_join_raises_load_once_the_reservation_is_used_up(pool: StorePool) -> None:
    one = await pool.add("a", load_multiplier=2.5)
    await pool.create("m", size_hint=20)
    loads = []
    for _ in range(22):
        await pool.join("m")
        loads.append(await pool.load(one))
    assert loads == [50.0] * 20 + [52.5, 55.0]


async def test_join_raises_load_once_the_buffer_has_lapsed(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m")
    pool.now_ms += pool.store.rules.join_buffer_ms
    await pool.join("m")
    assert await pool.load(one) == 15
    pool.now_ms += 1
    await pool.join("m")
    assert await pool.load(one) == 16


@pytest.mark.parametrize("gone", ["online", "state"])
async def test_join_counts_nothing_where_nobody_can_join(pool: StorePool, gone: str) -> None:
    pool.loose_ends = True  # a Scalelite beside us would take it out of the load set
    one = await pool.add("a")
    await pool.create("m", size_hint=1, max_participants=1)
    await pool.redis("HSET", "server:a", gone, {"online": "false", "state": "disabled"}[gone])
    for _ in range(3):
        meeting = await pool.join("m")
        assert meeting is not None
        assert not meeting.reachable
    assert await pool.load(one) == 1


async def test_join_of_another_tenant_counts_nothing(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m", tenant_id="t1", max_participants=1)
    for tenant in ("t2", None, "t2"):
        assert await pool.join("m", tenant) is None
    assert await pool.load(one) == 1
    await pool.join("m", "t1")
    await pool.join("m", "t1")
    assert await pool.load(one) == 2


async def test_join_finds_nothing_of_an_unknown_meeting(pool: StorePool) -> None:
    assert await pool.join("m") is None


async def test_each_join_counts_for_a_meeting_of_scalelites(pool: StorePool) -> None:
    one = await pool.add("a", load=4)
    await pool.redis(
        "HSET", "meeting:m", "server_id", "a", "moderator_pw", "pw", "voice_bridge", "1"
    )
    await pool.redis("EXPIRE", "meeting:m", 86_400)
    await pool.redis("SADD", "meetings", "m")
    await pool.redis("HSET", "voice_bridges", "1", "m")
    await pool.join("m")
    assert await pool.load(one) == 5
    assert await pool.redis("EXISTS", "appliance:meeting:m") == 0


@pytest.mark.parametrize("way", ["abandon", "forget", "replace"])
async def test_reservation_and_joins_go_with_the_meeting(pool: StorePool, way: str) -> None:
    one = await pool.add("a", load=7, load_multiplier=3.0)
    meeting = await pool.create("m", confirm=False)
    for _ in range(20):
        await pool.join("m")
    assert await pool.load(one) == 7 + 3 * 20
    if way == "abandon":
        await pool.store.abandon_meeting(meeting, now_ms=pool.now_ms, may_exist=True)
    elif way == "forget":
        await pool.store.forget_meeting(meeting, now_ms=pool.now_ms, even_if_creating=True)
    else:
        await pool.add("b", load=1000)
        await pool.place("m", replaces=Replaced(one, meeting.placement), excluded=frozenset({one}))
    assert await pool.load(one) == 7
    counts = await pool.redis("HMGET", "appliance:load:a", "pending_meetings", "pending_users")
    assert counts == ["0", "5"]  # five users joined beyond the reservation; the next poll knows


async def test_load_never_falls_below_zero(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m")
    await pool.redis("ZADD", "server_load", 3, "a")
    await pool.store.forget_meeting(meeting, now_ms=pool.now_ms)
    assert await pool.load(one) == 0


async def test_reservation_of_a_cordoned_server_is_undone_in_its_own_set(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m")
    await pool.store.set_server_state(one, ServerState.CORDONED)
    await pool.store.forget_meeting(meeting, now_ms=pool.now_ms)
    assert await pool.redis("ZSCORE", "cordoned_server_load", "a") == "0"
    assert await pool.redis("ZSCORE", "server_load", "a") is None


async def test_changed_multiplier_undoes_what_was_reserved_with_the_old_one(
    pool: StorePool,
) -> None:
    one = await pool.add("a", load_multiplier=4.0)
    meeting = await pool.create("m")
    await pool.store.update_server(one, ServerChange(load_multiplier=1.0))
    await pool.store.forget_meeting(meeting, now_ms=pool.now_ms)
    assert await pool.load(one) == 0


async def test_a_thousand_creates_spread_evenly(redis_url: str, pool: StorePool) -> None:
    at_once = trio.Semaphore(100)  # of more, the last would wait for Redis too long

    async def place(number: int) -> None:
        async with at_once:
            here = (pool, beside)[number % 2]
            await _place(here, f"m{number}", (number * 0.618) % 1, number)

    servers = [await pool.add(f"s{number}") for number in range(10)]
    async with open_store_pool(redis_url, pool.namespace) as beside, trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(place, number)
    placed = Counter(meeting.server_id for meeting in await pool.store.list_meetings())
    assert placed == dict.fromkeys(servers, 100)
    assert [server.load for server in await pool.store.list_servers()] == [1500.0] * 10


async def _place(pool: StorePool, meeting_id: str, tie_breaker: float, number: int) -> None:
    bridge = str(200_000_000 + number)
    placement = await pool.place(meeting_id, tie_breaker=tie_breaker, voice_bridges=(bridge,))
    assert placement.outcome is PlacementOutcome.PLACED
    assert placement.meeting is not None
    assert await pool.store.confirm_meeting(placement.meeting, now_ms=pool.now_ms)


async def test_placements_of_one_id_at_once_agree(redis_url: str, pool: StorePool) -> None:
    servers = [await pool.add(f"s{number}") for number in range(5)]
    seen = []

    async def place(here: StorePool, number: int) -> None:
        seen.append(await here.place("m", tie_breaker=number / 32, new_moderator_pw=f"pw{number}"))

    async with open_store_pool(redis_url, pool.namespace) as beside, trio.open_nursery() as nursery:
        beside.numbers += 1000
        for number in range(32):
            nursery.start_soon(place, (pool, beside)[number % 2], number)
    outcomes = Counter(placement.outcome for placement in seen)
    assert outcomes == {PlacementOutcome.PLACED: 1, PlacementOutcome.KNOWN: 31}
    meetings = [placement.meeting for placement in seen]
    assert all(meeting == meetings[0] for meeting in meetings)
    assert meetings[0] is not None
    assert meetings[0].creating
    assert sum([await pool.load(server) or 0 for server in servers]) == 15
    assert await pool.bridges() == {meetings[0].voice_bridge: MeetingId("m")}


async def test_meeting_lives_as_long_as_its_ttl_says(redis_url: str, redis_namespace: str) -> None:
    # A number of seconds that Lua would write as 1e+08.
    rules = PlacementRules(ttl_s=100_000_000)
    async with open_store_pool(redis_url, redis_namespace, rules) as pool:
        one = await pool.add("a")
        await pool.create("m")
        await pool.poll(one, {"m": 1})
        for key in ("meeting:m", "appliance:meeting:m"):
            assert 99_999_990 < await pool.redis("TTL", key) <= 100_000_000
        pool.now_ms += MINUTE_MS
        await pool.check_layout()
