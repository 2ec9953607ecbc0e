"""Limits of tenants in the scripts of placement and join, with a clock of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.meetings.placement import Replaced
from appliance.model import PlacementOutcome, ServerId, TenantId
from appliance.tenants.limits import LIMITS, LimitStore, TenantLimits, check_limit
from tests.doubles.store_pool import StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

SCHOOL = TenantId("t1")
PLACED, KNOWN, LIMITED = PlacementOutcome.PLACED, PlacementOutcome.KNOWN, PlacementOutcome.LIMITED
SERVER = ServerId("a")


async def limit(pool: StorePool, tenant: TenantId | None = None, **values: float | str) -> None:
    """Set limits."""
    if tenant:
        await pool.redis("HSET", f"tenant:{tenant}", "name", "school", "secrets", "s")
        await pool.redis("SADD", "tenants", tenant)
        await pool.redis("HSET", "tenant_name:school", "id", tenant)
    store = LimitStore(pool.store.redis.background)
    assert await store.change(tenant, {name: str(value) for name, value in values.items()})


async def limits(pool: StorePool, tenant: TenantId | None = None) -> TenantLimits:
    """Read limits and what is in use."""
    return await LimitStore(pool.store.redis.background).read(tenant, now_ms=pool.now_ms)


async def outcomes(pool: StorePool, *ids: str, **fields: Any) -> list[str]:
    """Place meetings; return the outcome of each, or the limit that is reached."""
    found = []
    for meeting_id in ids:
        placement = await pool.place(meeting_id, **fields)
        refused = placement.notes.refused
        found.append(refused.name if refused else placement.outcome.value)
    return found


async def joins(pool: StorePool, meeting_id: str, number: int, tenant: str | None = None) -> int:
    """Join so many times; return how many were let in."""
    return sum([await pool.join(meeting_id, tenant) is not None for _ in range(number)])


@pytest.mark.parametrize("tenant", [None, SCHOOL])
async def test_a_create_beyond_max_meetings_is_refused_and_a_repeat_never_counts(
    pool: StorePool, tenant: TenantId | None
) -> None:
    await pool.add("a")
    await limit(pool, tenant, max_meetings=2)

    assert await outcomes(pool, "x", "y", "z", "x", "y", tenant_id=tenant) == [
        *("placed", "placed", "max_meetings", "known", "known"),
    ]
    meeting = await pool.find("x")
    assert meeting is not None
    await pool.store.confirm_meeting(meeting, now_ms=pool.now_ms)
    await pool.forget(meeting)
    assert await outcomes(pool, "z", "x", tenant_id=tenant) == ["placed", "max_meetings"]
    assert (await limits(pool, tenant)).used == {"max_meetings": 2}


async def test_limits_of_a_tenant_count_its_own_meetings_only(pool: StorePool) -> None:
    await pool.add("a")
    await limit(pool, SCHOOL, max_meetings=1)

    assert await outcomes(pool, "x", "y", tenant_id=TenantId("t2")) == ["placed", "placed"]
    assert await outcomes(pool, "z", "w", tenant_id=SCHOOL) == ["placed", "max_meetings"]


async def test_meetings_of_before_the_limit_count_and_lost_records_do_not(
    pool: StorePool,
) -> None:
    await pool.add("a")
    await pool.create("x", tenant_id=SCHOOL)
    await pool.redis("DEL", f"appliance:meetings_of_tenant:{SCHOOL}")  # an earlier version
    await limit(pool, SCHOOL, max_meetings=1)

    assert await outcomes(pool, "y", tenant_id=SCHOOL) == ["max_meetings"]
    pool.loose_ends = True
    await pool.redis("DEL", "meeting:x", "appliance:meeting:x")
    assert await outcomes(pool, "y", tenant_id=SCHOOL) == ["placed"]


async def test_a_meeting_that_is_placed_again_is_none_more(pool: StorePool) -> None:
    await pool.add("a")
    await limit(pool, max_meetings=1, max_creates_per_minute=1)
    await pool.create("x")
    await pool.add("b")
    await pool.redis("HSET", "server:a", "online", "false")
    await pool.redis("ZREM", "server_load", "a")

    placement = await pool.place("x")
    assert (placement.outcome, placement.moved_from) == (PLACED, "a")


async def test_creates_per_minute_are_counted_in_any_minute(pool: StorePool) -> None:
    await pool.add("a")
    await limit(pool, max_creates_per_minute=2)

    assert await outcomes(pool, "a1") == ["placed"]
    pool.now_ms += 50_000
    assert await outcomes(pool, "a1", "a2", "a3") == ["known", "placed", "max_creates_per_minute"]
    pool.now_ms += 10_001
    assert await outcomes(pool, "a3", "a4") == ["placed", "max_creates_per_minute"]


@pytest.mark.parametrize("tenant", [None, SCHOOL])
async def test_create_that_failed_does_not_count_also_after_a_failover(
    pool: StorePool, tenant: TenantId | None
) -> None:
    await pool.add("a")
    await pool.add("b")
    await limit(pool, tenant, max_creates_per_minute=2)
    assert await outcomes(pool, "x", tenant_id=tenant) == ["placed"]
    pool.now_ms += 1000
    first = (await pool.place("y", tenant_id=tenant)).meeting
    assert first is not None
    pool.now_ms += 1000
    replaced = Replaced(first.server_id, first.placement)
    second = (await pool.place("y", tenant_id=tenant, replaces=replaced)).meeting
    assert second is not None
    assert await outcomes(pool, "z", tenant_id=tenant) == ["max_creates_per_minute"]

    for _ in range(2):  # the second time there is nothing to undo
        await pool.store.abandon_meeting(second, now_ms=pool.now_ms, may_exist=True)

    assert await outcomes(pool, "z", "w", tenant_id=tenant) == ["placed", "max_creates_per_minute"]


async def test_confirmed_meeting_that_could_not_be_moved_still_counts(pool: StorePool) -> None:
    await pool.add("a")
    await limit(pool, max_creates_per_minute=1)
    await pool.create("x")
    await pool.add("b")
    await pool.redis("HSET", "server:a", "online", "false")
    await pool.redis("ZREM", "server_load", "a")
    moved = (await pool.place("x")).meeting
    assert moved is not None

    await pool.store.abandon_meeting(moved, now_ms=pool.now_ms, may_exist=False)

    assert await outcomes(pool, "y") == ["max_creates_per_minute"]


async def test_only_recorded_meetings_need_room_for_recordings(pool: StorePool) -> None:
    await pool.add("a")
    await limit(pool, max_recordings_gb="1.5")
    store = LimitStore(pool.store.redis.background)
    await store.record_recordings({None: 1_499_999_999, SCHOOL: 9_000_000_000})
    assert await outcomes(pool, "x", recorded=True) == ["placed"]
    await store.record_recordings({None: 1_500_000_000})

    assert await outcomes(pool, "y", recorded=True) == ["max_recordings_gb"]
    assert await outcomes(pool, "z", recorded=False) == ["placed"]
    assert (await limits(pool)).used == {"max_recordings_gb": 1.5}


async def test_a_placement_tells_the_maximum_duration_and_the_version(pool: StorePool) -> None:
    await pool.add("a")
    await pool.redis("HSET", "server:a", "bbb_version", "3.0.4")
    await limit(pool, max_duration=45)

    for _ in range(2):
        notes = (await pool.place("x", wants_version=True)).notes
        assert (notes.max_duration_min, notes.bbb_version) == (45, "3.0.4")
    assert (await pool.place("x")).notes.bbb_version is None


@pytest.mark.parametrize("name", ["max_users", "max_users_per_meeting"])
@pytest.mark.parametrize("tenant", [None, SCHOOL])
async def test_joins_that_no_poll_has_seen_count(
    pool: StorePool, name: str, tenant: TenantId | None
) -> None:
    server = await pool.add("a")
    await limit(pool, tenant, **{name: 5})
    await pool.create("x", tenant_id=tenant)

    assert await joins(pool, "x", 9, tenant) == 5
    assert pool.notes.refused is not None
    assert pool.notes.refused.name == name
    # A poll sees three: those are no longer under way, and two still are.
    pool.now_ms += 10_000
    await pool.poll(server, {"x": 3})
    assert await joins(pool, "x", 9, tenant) == 0
    # One of the three has left, and the second poll could have seen the two.
    pool.now_ms += 10_000
    await pool.poll(server, {"x": 2})
    pool.now_ms += 2_000
    assert await joins(pool, "x", 9, tenant) == 3


async def test_a_join_counts_for_a_minute_if_no_second_poll_could_see_it(pool: StorePool) -> None:
    server = await pool.add("a")
    await limit(pool, max_users_per_meeting=1)
    await pool.create("x")
    assert await joins(pool, "x", 2) == 1
    for seconds in (1, 4):  # people are still on their way to the meeting
        pool.now_ms += seconds * 1000
        await pool.poll(server, {"x": 0})
    pool.now_ms += 5_000
    await pool.poll(server, {"x": 0})
    pool.now_ms += 49_000
    assert await joins(pool, "x", 2) == 0
    pool.now_ms += 3_000
    assert await joins(pool, "x", 2) == 1


async def test_users_of_all_meetings_are_added_up(pool: StorePool) -> None:
    server = await pool.add("a")
    await limit(pool, SCHOOL, max_users=10)
    for meeting_id in ("x", "y"):
        await pool.create(meeting_id, tenant_id=SCHOOL)
    pool.now_ms += 1
    await pool.poll(server, {"x": 4, "y": 3})

    assert await joins(pool, "x", 2, SCHOOL) == 2
    assert await joins(pool, "y", 9, SCHOOL) == 1
    pool.now_ms += 2_000
    assert await joins(pool, "y", 9, SCHOOL) == 0
    assert (await limits(pool, SCHOOL)).used == {"max_users": 10}
    meeting = await pool.find("x")
    assert meeting is not None
    await pool.forget(meeting)
    pool.now_ms += 2_000
    assert await joins(pool, "y", 9, SCHOOL) == 6


async def test_operators_are_warned_once_at_80_percent(pool: StorePool) -> None:
    await pool.add("a")
    await limit(pool, max_meetings=5)

    near = [(await pool.place(f"m{number}")).notes.near for number in range(5)]
    assert [[(one.name, one.maximum, one.used) for one in each] for each in near] == [
        *([], [], [], [("max_meetings", 5, 4)], []),
    ]
    assert [one.name for one in (await limits(pool)).near] == ["max_meetings"]


async def test_limits_are_read_of_all_changed_and_removed(pool: StorePool) -> None:
    store = LimitStore(pool.store.redis.background)
    await limit(pool, max_users=1, max_duration=60)
    await limit(pool, SCHOOL, max_meetings=0)

    found = await store.read_all(now_ms=pool.now_ms)
    assert {name: dict(one.limits) for name, one in found.items()} == {
        None: {"max_users": 1, "max_duration": 60},
        SCHOOL: {"max_meetings": 0},
    }
    await limit(pool, max_users="", max_duration="")
    assert (await limits(pool)).limits == {}
    assert list(await store.read_all(now_ms=pool.now_ms)) == [SCHOOL]
    assert not await store.change(TenantId("nobody"), {"max_users": "1"})


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_numbers(name: str) -> None:
    assert (check_limit(name, " 007 "), check_limit(name, "")) == (
        "007" if name == "max_recordings_gb" else "7",
        "",
    )
    if name != "max_recordings_gb":
        assert check_limit(name, "5.0") == "5"
    for wrong in ("-1", "x", "1e3", "9999999999", "1.0.0", "5.", "٣"):
        with pytest.raises(ValueError, match=name):
            check_limit(name, wrong)


def test_an_unknown_limit_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="max_meetings, max_users"):
        check_limit("max_rooms", "1")
