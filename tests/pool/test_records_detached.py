"""Meetings of a server that went offline: detached, then taken back or ended where too many."""

from __future__ import annotations

import pytest

from appliance.meetings.placement import Replaced
from appliance.model import ServerState, TenantId
from tests.doubles.store_pool import MINUTE_MS, StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

DAY_MS = 86_400_000
T1 = TenantId("t1")


async def test_offline_server_detaches_its_meetings(pool: StorePool) -> None:
    one = await pool.add("a")
    other = await pool.create("other", tenant_id=T1)
    await pool.add("b")
    mine = await pool.create("mine", tie_breaker=0.99)
    assert (other.server_id, mine.server_id) == ("a", "b")
    result = await pool.lose(one)
    assert (result.went_offline, result.detached) == (True, 1)
    assert await pool.find("other") is None
    assert await pool.join("other") is None
    assert [meeting.id for meeting in await pool.store.list_meetings()] == ["mine"]
    assert await pool.bridges() == {other.voice_bridge: "other", mine.voice_bridge: "mine"}


async def test_detached_meeting_is_taken_back_as_it_was(pool: StorePool) -> None:
    one = await pool.add("a")
    before = await pool.create("m:ü %1", tenant_id=T1, size_hint=30)
    for _ in range(5):
        await pool.join("m:ü %1", T1)
    await pool.lose(one)
    pool.now_ms += 2 * MINUTE_MS
    result = await pool.poll(one, {"m:ü %1": 4})
    assert (result.came_online, result.taken_back) == (True, ("m:ü %1",))
    assert (result.to_end, result.missing) == ((), ())
    after = await pool.find("m:ü %1")
    assert after is not None
    assert (after.server_id, after.voice_bridge) == (one, before.voice_bridge)
    assert (after.moderator_pw, after.tenant_id) == (before.moderator_pw, T1)
    assert after.confirmed
    assert await pool.redis("HMGET", "appliance:meeting:m:ü %1", "expected", "joins") == ["30", "5"]
    # Its own reservation: it was gone from the record when this poll's load was computed.
    assert (await pool.poll(one, {"m:ü %1": 4})).load == 30
    assert await pool.redis("EXISTS", "appliance:detached:a") == 0


async def test_detached_meeting_that_ran_without_us_seeing_it_is_taken_back_below_threshold_only(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    assert (await pool.poll(one, {"m": 1}, healthy_threshold=2)).taken_back == ()
    assert await pool.find("m") is None
    assert (await pool.poll(one, {"m": 1}, healthy_threshold=2)).taken_back == ("m",)


async def test_detached_meeting_is_forgotten_when_its_server_does_not_list_it(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    # The poll that was under way when it was detached says nothing about it.
    result = await pool.poll(one, {}, began_ms=pool.now_ms)
    assert (result.taken_back, result.to_end) == ((), ())
    assert await pool.redis("HEXISTS", "appliance:detached:a", "m") == 1
    pool.now_ms += 1
    await pool.poll(one, {})
    assert await pool.redis("EXISTS", "appliance:detached:a") == 0
    assert await pool.redis("EXISTS", "appliance:detached_meeting:m") == 0


async def test_meeting_created_elsewhere_meanwhile_is_ended_at_the_old_place(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    old = await pool.create("m")
    await pool.lose(one)
    two = await pool.add("b")
    new = await pool.create("m")
    assert new.moderator_pw == old.moderator_pw
    for _ in range(2):  # until it is gone
        pool.now_ms += 1
        result = await pool.poll(one, {"m": 3})
        assert (result.taken_back, result.to_end) == ((), (("m", old.moderator_pw),))
    found = await pool.find("m")
    assert found is not None
    assert found.server_id == two
    pool.now_ms += 1
    assert (await pool.poll(one, {})).to_end == ()
    assert await pool.redis("EXISTS", "appliance:detached:a") == 0


async def test_meeting_created_elsewhere_is_ended_at_the_old_place_even_after_it_is_over(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    await pool.add("b")
    await pool.forget(await pool.create("m"))
    result = await pool.poll(one, {"m": 3})
    assert (result.taken_back, len(result.to_end)) == ((), 1)
    assert await pool.find("m") is None


async def test_old_place_waits_while_the_meeting_is_being_created_elsewhere(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    await pool.add("b")
    attempt = await pool.create("m", confirm=False)
    result = await pool.poll(one, {"m": 3})
    assert (result.taken_back, result.to_end) == ((), ())
    assert await pool.store.abandon_meeting(attempt, now_ms=pool.now_ms, may_exist=True)
    assert (await pool.poll(one, {"m": 3})).taken_back == ("m",)


async def test_meeting_taken_back_is_confirmed_whatever_else_was_tried(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    await pool.add("b")
    await pool.create("m", confirm=False)
    await pool.redis("DEL", "meeting:m")  # a Scalelite beside us ended it
    assert (await pool.poll(one, {"m": 3})).taken_back == ("m",)
    found = await pool.find("m")
    assert found is not None
    assert found.confirmed


@pytest.mark.parametrize("first", ["a", "b"])
async def test_only_the_last_of_two_lost_servers_may_give_the_meeting_back(
    pool: StorePool, first: str
) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    two = await pool.add("b")
    await pool.create("m")
    await pool.lose(two)
    results = {}
    for name, server in sorted({"a": one, "b": two}.items(), reverse=first == "b"):
        results[name] = await pool.poll(server, {"m": 3})
    assert results["b"].taken_back == ("m",)
    assert [meeting for meeting, _ in results["a"].to_end] == ["m"]


async def test_server_where_it_was_never_confirmed_does_not_take_the_claim(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    two = await pool.add("b")
    await pool.create("m", confirm=False)
    pool.now_ms += pool.store.rules.creating_ms
    await pool.lose(two)
    assert [meeting for meeting, _ in (await pool.poll(two, {"m": 0})).to_end] == ["m"]
    assert (await pool.poll(one, {"m": 3})).taken_back == ("m",)


async def test_detached_meeting_is_left_alone_after_a_day(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    pool.now_ms += DAY_MS
    result = await pool.poll(one, {"m": 3})
    assert (result.taken_back, result.to_end) == ((), ())
    assert await pool.bridges() == {}


async def test_meeting_being_created_is_not_detached_before_that_has_failed(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m", confirm=False)
    assert (await pool.lose(one)).detached == 0
    assert await pool.find("m") is not None
    assert (await pool.lose(one)).detached == 0
    assert await pool.store.confirm_meeting(meeting, now_ms=pool.now_ms)
    assert (await pool.lose(one)).detached == 1
    assert await pool.find("m") is None


async def test_meeting_left_in_creation_is_detached_by_a_later_poll(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m", confirm=False)
    await pool.lose(one)
    pool.now_ms += pool.store.rules.creating_ms
    assert (await pool.lose(one)).detached == 1
    assert (await pool.poll(one, {"m": 2})).taken_back == ("m",)


async def test_meetings_of_scalelites_are_detached_too(pool: StorePool) -> None:
    one = await pool.add("a")
    record = ("server_id", "a", "moderator_pw", "pw", "voice_bridge", "1", "tenant_id", "t1")
    await pool.redis("HSET", "meeting:m", *record)
    await pool.redis("SADD", "meetings", "m")
    await pool.redis("HSET", "voice_bridges", "1", "m")
    assert (await pool.lose(one)).detached == 1
    assert (await pool.poll(one, {"m": 2})).taken_back == ("m",)
    found = await pool.find("m")
    assert found is not None
    assert (found.moderator_pw, found.voice_bridge, found.tenant_id) == ("pw", "1", T1)


async def test_cordoned_server_detaches_and_takes_back_too(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.store.set_server_state(one, ServerState.CORDONED)
    assert (await pool.lose(one)).detached == 1
    assert (await pool.poll(one, {"m": 2})).taken_back == ("m",)
    assert await pool.redis("ZSCORE", "server_load", "a") is None


async def test_abandoned_leftover_is_ended_when_it_shows_up(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m", confirm=False, moderator_pw="pw")
    assert await pool.store.abandon_meeting(meeting, now_ms=pool.now_ms, may_exist=True)
    pool.now_ms += 40_000
    assert (await pool.poll(one, {})).to_end == ()  # it may still be on its way
    pool.now_ms += 10_000
    assert (await pool.poll(one, {"m": 0})).to_end == (("m", "pw"),)
    pool.now_ms += 20_000
    await pool.poll(one, {})
    assert await pool.redis("EXISTS", "appliance:detached:a") == 0


async def test_abandoned_meeting_is_not_ended_where_it_is_wanted_again(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m", confirm=False)
    assert await pool.store.abandon_meeting(meeting, now_ms=pool.now_ms, may_exist=True)
    await pool.create("m")
    result = await pool.poll(one, {"m": 0})
    assert (result.to_end, result.taken_back) == ((), ())
    assert await pool.redis("EXISTS", "appliance:detached:a") == 0


async def test_failed_over_create_is_ended_where_it_failed_if_it_appears(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.add("b", load=90)
    first = await pool.create("m", confirm=False)
    replaces = Replaced(one, first.placement)
    await pool.create("m", replaces=replaces, excluded=frozenset({one}))
    assert len((await pool.poll(one, {"m": 0})).to_end) == 1


async def test_failed_create_leaves_a_detached_meeting_to_be_taken_back(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    await pool.poll(one, {"m": 1}, healthy_threshold=2)  # not back yet
    await pool.redis("HSET", "server:a", "online", "true")
    await pool.redis("ZADD", "server_load", 0, "a")
    attempt = await pool.create("m", confirm=False)
    assert await pool.store.abandon_meeting(attempt, now_ms=pool.now_ms, may_exist=True)

    assert (await pool.poll(one, {"m": 1})).taken_back == ("m",)


async def test_what_a_cordoned_server_said_it_does_not_know_is_not_awaited_there(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    old = await pool.create("m")
    await pool.store.set_server_state(one, ServerState.CORDONED)
    await pool.add("b")
    assert await pool.store.forget_meeting(old, now_ms=pool.now_ms)
    new = await pool.create("m")
    assert new.server_id == "b"
    assert await pool.redis("EXISTS", "appliance:detached:a") == 0


@pytest.mark.parametrize("to_be_ended", [True, False])
async def test_cleared_server_has_no_meetings(pool: StorePool, to_be_ended: bool) -> None:
    one = await pool.add("a")
    detached = await pool.create("detached", moderator_pw="pw1")
    await pool.lose(one)
    await pool.poll(one, {}, began_ms=pool.now_ms)
    present = await pool.create("present", moderator_pw="pw2")
    await pool.add("b", load=90)
    await pool.redis("ZADD", "server_load", 91, "a")
    elsewhere = await pool.create("elsewhere")
    cleared = await pool.store.clear_server(one, now_ms=pool.now_ms, to_be_ended=to_be_ended)
    assert sorted(cleared or ()) == [(detached.id, "pw1"), (present.id, "pw2")]
    assert [meeting.id for meeting in await pool.store.list_meetings()] == [elsewhere.id]
    assert await pool.bridges() == {elsewhere.voice_bridge: elsewhere.id}
    pool.now_ms += 1
    result = await pool.poll(one, {"detached": 1, "present": 1})
    assert len(result.to_end) == (2 if to_be_ended else 0)
    assert result.taken_back == ()


async def test_clearing_an_old_place_leaves_the_claim_of_the_last(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m")
    await pool.lose(one)
    two = await pool.add("b")
    await pool.create("m")
    await pool.lose(two)
    await pool.store.clear_server(one, now_ms=pool.now_ms, to_be_ended=False)
    assert (await pool.poll(two, {"m": 3})).taken_back == ("m",)
