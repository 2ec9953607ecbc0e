"""Confirming, abandoning, moving and forgetting compare before they set; lost servers' meetings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from appliance.callbacks.ended_rules import MeetingRun
from appliance.meetings.placement import Replaced
from appliance.model import Meeting, PlacementOutcome, ServerId, ServerState, TenantId
from tests.doubles.store_pool import StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

Change = Callable[[StorePool, Meeting], Awaitable[bool]]
T1, T2 = TenantId("t1"), TenantId("t2")


async def confirm(pool: StorePool, meeting: Meeting) -> bool:
    return bool(await pool.store.confirm_meeting(meeting, now_ms=pool.now_ms))


async def extend(pool: StorePool, meeting: Meeting) -> bool:
    return await pool.store.extend_creating(meeting, until_ms=pool.now_ms + 60_000)


async def abandon(pool: StorePool, meeting: Meeting) -> bool:
    return await pool.store.abandon_meeting(meeting, now_ms=pool.now_ms, may_exist=False)


async def forget(pool: StorePool, meeting: Meeting) -> bool:
    return await pool.store.forget_meeting(meeting, now_ms=pool.now_ms)


async def forget_even_creating(pool: StorePool, meeting: Meeting) -> bool:
    return await pool.store.forget_meeting(meeting, now_ms=pool.now_ms, even_if_creating=True)


async def replace(pool: StorePool, meeting: Meeting) -> bool:
    wanted = Replaced(meeting.server_id, meeting.placement)
    placement = await pool.place(
        meeting.id, replaces=wanted, excluded=frozenset({meeting.server_id})
    )
    return placement.outcome is PlacementOutcome.PLACED


CHANGES: tuple[Change, ...] = (*(confirm, extend, abandon, forget, forget_even_creating, replace),)
ALLOWED: dict[str, set[Change]] = {
    "creating": {confirm, extend, abandon, forget_even_creating, replace},
    "lapsed": set(CHANGES),
    "confirmed": {confirm, forget, forget_even_creating},
}


async def record_in(pool: StorePool, state: str) -> Meeting:
    """Make a record that is being created, was left in creation, or is confirmed."""
    meeting = await pool.create("m", confirm=state == "confirmed")
    if state == "lapsed":
        pool.now_ms += pool.store.rules.creating_ms
    return meeting


@pytest.mark.parametrize("state", ALLOWED)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_change_is_allowed_or_not(pool: StorePool, change: Change, state: str) -> None:
    await pool.add("a")
    await pool.add("b", load=100)
    meeting = await record_in(pool, state)
    assert await change(pool, meeting) is (change in ALLOWED[state])
    found = await pool.find("m")
    if change not in ALLOWED[state]:
        assert found is not None
        assert (found.server_id, found.placement) == (meeting.server_id, meeting.placement)


@pytest.mark.parametrize("state", ALLOWED)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("meanwhile", ["moved", "replaced on the same server"])
async def test_change_loses_against_a_newer_record(
    pool: StorePool, change: Change, state: str, meanwhile: str
) -> None:
    await pool.add("a")
    await pool.add("b", load=100)
    old = await record_in(pool, "creating")
    excluded = frozenset({old.server_id}) if meanwhile == "moved" else frozenset()
    newer = await pool.create(
        "m",
        confirm=state == "confirmed",
        replaces=Replaced(old.server_id, old.placement),
        excluded=excluded,
    )
    if state == "lapsed":
        pool.now_ms += pool.store.rules.creating_ms
    before = await pool.find("m")
    assert not await change(pool, old)
    assert await pool.find("m") == before
    assert before is not None
    assert (before.server_id, before.placement) == (newer.server_id, newer.placement)


@pytest.mark.parametrize(
    "change", [confirm, extend, abandon, forget], ids=lambda change: change.__name__
)
async def test_change_loses_against_nothing(pool: StorePool, change: Change) -> None:
    await pool.add("a")
    meeting = await pool.create("m", confirm=False)
    assert await abandon(pool, meeting)
    assert not await change(pool, meeting)
    assert await pool.find("m") is None


@pytest.mark.parametrize(
    "before", [None, MeetingRun(1), MeetingRun(5)], ids=["unnoted", "older", "newer"]
)
@pytest.mark.parametrize("change", [forget, forget_even_creating])
async def test_forgetting_loses_against_a_run_that_was_begun_meanwhile(
    pool: StorePool, change: Change, before: MeetingRun | None
) -> None:
    await pool.add("a")
    await pool.store.confirm_meeting(
        await pool.create("m"), now_ms=pool.now_ms, run=before, created="1"
    )
    asked = await pool.find("m")
    assert asked is not None
    assert asked.run_ms == (before.began_ms if before else None)

    assert await pool.store.confirm_meeting(
        asked, now_ms=pool.now_ms, run=MeetingRun(3), created="2"
    )

    assert not await change(pool, asked)
    begun = await pool.find("m")
    assert begun is not None
    assert await change(pool, begun)
    assert await pool.find("m") is None


async def test_loser_of_a_move_is_told_the_newer_record(pool: StorePool) -> None:
    for name in "abc":
        await pool.add(name, load=ord(name))
    old = await pool.create("m", confirm=False)
    wanted = Replaced(old.server_id, old.placement)
    winner = await pool.place("m", replaces=wanted, excluded=frozenset({old.server_id}))
    loser = await pool.place("m", replaces=wanted, excluded=frozenset({old.server_id}))
    assert winner.outcome is PlacementOutcome.PLACED
    assert loser.outcome is PlacementOutcome.KNOWN
    assert loser.meeting == winner.meeting


async def test_confirm_may_be_said_by_everyone_who_created_the_record(pool: StorePool) -> None:
    await pool.add("a")
    meeting = await pool.create("m")
    assert await confirm(pool, meeting)


async def test_record_is_in_creation_until_confirmed_or_lapsed(pool: StorePool) -> None:
    await pool.add("a")
    meeting = await pool.create("m", confirm=False)
    assert (meeting.creating, meeting.confirmed) == (True, False)
    pool.now_ms += pool.store.rules.creating_ms - 1
    assert (await pool.find("m")) == meeting
    assert await pool.store.extend_creating(meeting, until_ms=pool.now_ms + 2)
    pool.now_ms += 1
    assert (await pool.find("m")) == meeting
    pool.now_ms += 1
    lapsed = await pool.find("m")
    assert lapsed is not None
    assert (lapsed.creating, lapsed.confirmed) == (False, False)
    assert await confirm(pool, meeting)
    found = await pool.find("m")
    assert found is not None
    assert (found.creating, found.confirmed) == (False, True)


async def test_failed_server_keeps_its_reservation_where_no_other_is_left(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m", confirm=False)
    assert not await replace(pool, meeting)
    assert await pool.load(one) == 15
    assert await pool.find("m") == meeting


async def test_replaced_record_keeps_password_and_number(pool: StorePool) -> None:
    await pool.add("a")
    await pool.add("b", load=99)
    first = await pool.create("m", confirm=False, moderator_pw="given")
    second = await pool.create(
        "m",
        replaces=Replaced(first.server_id, first.placement),
        excluded=frozenset({first.server_id}),
    )
    assert (second.moderator_pw, second.voice_bridge) == ("given", first.voice_bridge)
    assert second.placement > first.placement


@pytest.mark.parametrize(
    ("given", "stored"), [(None, "new pw"), ("given", "given"), ("", "")], ids=str
)
async def test_place_stores_the_password_of_the_front_end_or_a_new_one(
    pool: StorePool, given: str | None, stored: str
) -> None:
    await pool.add("a")
    meeting = await pool.create("m", moderator_pw=given, new_moderator_pw="new pw")
    assert meeting.moderator_pw == stored


async def test_known_meeting_is_not_touched(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m", moderator_pw="first")
    again = await pool.place("m", moderator_pw="second")
    assert again.outcome is PlacementOutcome.KNOWN
    assert again.meeting is not None
    assert (again.meeting.moderator_pw, again.meeting.placement) == ("first", meeting.placement)
    assert again.meeting.confirmed
    assert await pool.load(one) == 15


async def test_known_meeting_on_a_cordoned_server_stays_known(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.store.set_server_state(one, ServerState.CORDONED)
    again = await pool.place("m")
    assert again.outcome is PlacementOutcome.KNOWN
    assert again.meeting is not None
    assert again.meeting.server_state is ServerState.CORDONED


async def lose_by(pool: StorePool, server: ServerId, way: str) -> None:
    """Make a server one that its meetings cannot stay on, before any poll has noticed."""
    pool.loose_ends = True
    if way == "offline":
        await pool.redis("HSET", f"server:{server}", "online", "false")
        await pool.redis("ZREM", "server_load", server)
    elif way == "disabled":
        await pool.store.set_server_state(server, ServerState.DISABLED)
    else:  # as a Scalelite beside us removes one
        await pool.redis("DEL", f"server:{server}")
        await pool.redis("DEL", server)
        for key in ("servers", "server_enabled"):
            await pool.redis("SREM", key, server)
        await pool.redis("ZREM", "server_load", server)
        await pool.store.sweep(now_ms=pool.now_ms, grace_ms=60_000)


@pytest.mark.parametrize("confirmed", [True, False], ids=["confirmed", "creating"])
@pytest.mark.parametrize("way", ["offline", "disabled"])
async def test_meeting_of_a_lost_server_is_placed_again(
    pool: StorePool, way: str, confirmed: bool
) -> None:
    one, two = await pool.add("a"), await pool.add("b", load=99)
    old = await pool.create("m", confirm=confirmed)
    await lose_by(pool, one, way)
    placement = await pool.place("m")
    new = placement.meeting
    assert placement.outcome is PlacementOutcome.PLACED
    assert placement.moved_from == one
    assert new is not None
    assert new.server_id == two
    assert (new.moderator_pw, new.voice_bridge) == (old.moderator_pw, old.voice_bridge)
    assert new.placement > old.placement
    assert await pool.bridges() == {old.voice_bridge: "m"}
    assert await pool.redis("HKEYS", "appliance:detached:a") == ["m"]
    assert await pool.redis("SMEMBERS", "appliance:meetings_of:a") == []


async def test_meeting_of_a_server_that_is_gone_is_placed_again_with_its_number(
    pool: StorePool,
) -> None:
    one, two = await pool.add("a"), await pool.add("b", load=99)
    old = await pool.create("m", tenant_id=T1)
    await pool.redis("DEL", "server:a")
    placement = await pool.place("m", tenant_id=T1)
    assert placement.moved_from == one
    assert placement.meeting is not None
    assert placement.meeting.server_id == two
    assert placement.meeting.moderator_pw == old.moderator_pw
    assert placement.meeting.voice_bridge == old.voice_bridge
    pool.loose_ends = True


async def test_meeting_of_a_lost_server_stays_where_no_other_is_free(pool: StorePool) -> None:
    one = await pool.add("a")
    old = await pool.create("m")
    await lose_by(pool, one, "offline")
    assert (await pool.place("m")).outcome is PlacementOutcome.NO_SERVER
    found = await pool.find("m")
    assert found is not None
    assert (found.placement, found.reachable) == (old.placement, False)


@pytest.mark.parametrize("method", ["find", "join"])
async def test_meeting_of_a_server_that_is_gone_is_unknown_and_cleaned_up(
    pool: StorePool, method: str
) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await lose_by(pool, one, "gone")
    assert await (pool.find("m") if method == "find" else pool.join("m")) is None
    assert await pool.bridges() == {}
    assert await pool.store.list_meetings() == []
    pool.loose_ends = False


async def test_place_without_tenant_refuses_the_id_of_a_tenants_meeting(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m", tenant_id=T1)
    placement = await pool.place("m")
    assert placement.outcome is PlacementOutcome.FOREIGN
    assert placement.meeting is None
    again = await pool.place("m", tenant_id=T1)
    assert again.outcome is PlacementOutcome.KNOWN
    assert meeting.tenant_id == T1
    assert await pool.load(one) == 15


async def test_place_gives_the_id_to_another_tenant_once_its_server_is_gone(
    pool: StorePool,
) -> None:
    await pool.add("a")
    two = await pool.add("b", load=99)
    old = await pool.create("m", tenant_id=T1)
    await pool.redis("DEL", "server:a")
    new = await pool.create("m", tenant_id=T2)
    assert (new.server_id, new.tenant_id) == (two, T2)
    assert new.moderator_pw != old.moderator_pw
    assert await pool.bridges() == {new.voice_bridge: "m"}
    pool.loose_ends = True


async def test_place_gives_another_tenant_no_password_of_a_detached_meeting(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await pool.add("b", load=99)
    old = await pool.create("m", tenant_id=T1)
    await pool.lose(one)
    new = await pool.create("m", tenant_id=T2)
    assert new.moderator_pw != old.moderator_pw
    assert new.voice_bridge != old.voice_bridge
    pool.loose_ends = True  # the old number stays until it is swept


async def test_place_takes_nothing_over_from_leftovers_of_a_removed_record(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m")
    # A Scalelite beside us ends the meeting: it knows nothing of our key.
    await pool.redis("DEL", "meeting:m")
    await pool.redis("DEL", "voice_bridges")
    pool.now_ms += 1000
    await pool.create("m", confirm=False)
    assert await pool.redis("HGET", "appliance:meeting:m", "confirmed_ms") is None
