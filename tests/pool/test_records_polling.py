"""observe_server.lua and fail_server.lua: load, counts, health, what is missing, what is kept."""

from __future__ import annotations

import json

import pytest

from appliance.model import MeetingId, PlacementRules, ServerId, ServerState
from appliance.pool.records import SUSPECT_MS
from appliance.servers.model import (
    Observation,
)
from appliance.servers.values import ServerChange
from tests.doubles.store_pool import MINUTE_MS, StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]


async def test_poll_replaces_the_estimate_by_what_it_measured(pool: StorePool) -> None:
    one = await pool.add("a", load=999)
    await pool.create("m")
    pool.now_ms += MINUTE_MS
    result = await pool.poll(one, {"m": 20})
    assert result.load == 20
    assert await pool.load(one) == 20
    assert result.missing == ()


async def test_poll_keeps_reservations_made_since_it_began(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("seen")
    pool.now_ms += 1
    began_ms = pool.now_ms
    await pool.create("at the same millisecond")
    pool.now_ms += 1
    await pool.create("since", size_hint=40)
    result = await pool.poll(one, {"seen": 30}, began_ms=began_ms)
    assert result.load == 30 + 15 + 40
    assert result.missing == ()


async def test_poll_keeps_the_reservation_of_a_meeting_confirmed_since_it_began(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m", confirm=False)
    pool.now_ms += MINUTE_MS
    began_ms = pool.now_ms
    assert await pool.store.confirm_meeting(meeting, now_ms=pool.now_ms)
    result = await pool.poll(one, {}, began_ms=began_ms)
    assert (result.load, result.missing) == (15, ())


async def test_poll_keeps_the_reservation_of_a_meeting_still_being_created(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await pool.create("m", confirm=False)
    pool.now_ms += pool.store.rules.creating_ms - 1
    result = await pool.poll(one, {})
    assert (result.load, result.missing) == (15, ())


async def test_poll_reports_what_it_misses(pool: StorePool) -> None:
    one = await pool.add("a")
    confirmed = await pool.create("confirmed")
    lapsed = await pool.create("lapsed", confirm=False)
    pool.now_ms += pool.store.rules.creating_ms
    result = await pool.poll(one, {"foreign": 3})
    assert set(result.missing) == {("confirmed", confirmed.placement), ("lapsed", lapsed.placement)}
    assert result.load == 15
    assert await pool.find("confirmed") is not None


async def test_missing_meeting_takes_nothing_off_the_measured_load_when_it_is_forgotten(
    pool: StorePool,
) -> None:
    one = await pool.add("a", max_meetings=2)
    over = await pool.create("over")
    pool.now_ms += MINUTE_MS
    await pool.poll(one, {"foreign": 3})
    await pool.forget(over)
    assert await pool.load(one) == 15
    await pool.create("m")
    counts = await pool.redis("HMGET", "appliance:load:a", "pending_meetings", "pending_users")
    assert counts == ["1", "15"]


async def test_times_are_kept_to_the_millisecond(pool: StorePool) -> None:
    one = await pool.add("a")
    pool.now_ms = 1_700_000_000_123
    await pool.create("m")
    assert await pool.redis("HGET", "appliance:meeting:m", "placed_ms") == "1700000000123"
    result = await pool.poll(one, {}, began_ms=1_700_000_000_124)
    assert [meeting for meeting, _ in result.missing] == ["m"]


async def test_poll_keeps_joins_made_since_it_began(pool: StorePool) -> None:
    one = await pool.add("a", load_multiplier=2.0)
    await pool.create("m", size_hint=1, max_participants=1)
    await pool.join("m")
    await pool.join("m")
    start = await pool.store.begin_poll(one)
    assert start is not None
    assert (start.state, start.joins) == (ServerState.ENABLED, 2.0)
    await pool.join("m")
    await pool.join("m")
    pool.now_ms += 1
    result = await pool.poll(one, {"m": 2}, joins_before=start.joins)
    assert result.load == 2 * 2 + 2 * 2
    assert (await pool.poll(one, {"m": 4})).load == 8


@pytest.mark.parametrize("kind", ["begin", "fail", "observe"])
async def test_poll_of_a_server_that_is_gone_changes_nothing(pool: StorePool, kind: str) -> None:
    ghost = ServerId("ghost")
    if kind == "begin":
        assert await pool.store.begin_poll(ghost) is None
    elif kind == "fail":
        assert not (await pool.fail(ghost)).known
    else:
        assert not (await pool.poll(ghost, {"m": 1}, bbb_version="3.0")).known
    assert await pool.store.client.command("KEYS", f"{pool.namespace}:*") == []


@pytest.mark.parametrize("kind", ["fail", "observe"])
async def test_disabled_server_is_not_touched(pool: StorePool, kind: str) -> None:
    one = await pool.add("a", state=ServerState.DISABLED)
    before = await pool.store.find_server(one)
    known = (await (pool.fail(one) if kind == "fail" else pool.poll(one, {"m": 4}))).known
    assert not known
    assert await pool.store.find_server(one) == before


async def test_disabled_server_is_online_as_long_as_it_answers(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.store.set_server_state(one, ServerState.DISABLED)

    async def is_online() -> bool:
        found = await pool.store.find_server(one)
        return found is not None and found.online

    assert (await pool.fail(one, disabled=True)).unhealthy_count == 1
    assert await is_online()
    assert not await pool.store.reach_server(one, healthy_threshold=1)  # it was online all along
    assert (await pool.fail(one, disabled=True)).unhealthy_count == 1
    assert (await pool.fail(one, disabled=True)).went_offline
    assert not await is_online()

    assert not (await pool.fail(one, disabled=True)).known
    assert not await pool.store.reach_server(one, healthy_threshold=2)
    assert await pool.store.reach_server(one, healthy_threshold=2)
    assert await is_online()
    assert not await pool.store.reach_server(one, healthy_threshold=2)
    assert await pool.load(one) is None


async def test_disabled_server_that_was_never_polled_stays_offline(pool: StorePool) -> None:
    one = ServerId("new")
    await pool.store.add_server(one, ServerChange(url="https://a.example/api", secret="s"))

    assert not (await pool.fail(one, disabled=True)).known
    assert not await pool.store.reach_server(one, healthy_threshold=1)
    found = await pool.store.find_server(one)
    assert found is not None
    assert (found.online, found.unhealthy_count) == (False, 0)


@pytest.mark.parametrize("kind", ["fail", "reach"])
async def test_look_at_a_disabled_server_does_not_count_once_it_is_enabled(
    pool: StorePool, kind: str
) -> None:
    one = await pool.add("a")
    await pool.fail(one)
    before = await pool.store.find_server(one)

    if kind == "fail":
        assert not (await pool.fail(one, disabled=True)).known
    else:
        assert not await pool.store.reach_server(one, healthy_threshold=1)
    assert await pool.store.find_server(one) == before


async def test_poll_stores_counts_and_version(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.store.observe_server(
        Observation(
            server_id=one,
            began_ms=pool.now_ms,
            now_ms=pool.now_ms,
            joins_before=0,
            meetings=7,
            users=100_000_000,
            largest_meeting=4,
            videos=3,
            listed=(),
            bbb_version="3.0.10",
        ),
        healthy_threshold=1,
    )
    found = await pool.store.find_server(one)
    assert found is not None
    assert (found.meetings, found.users, found.largest_meeting) == (7, 100_000_000, 4)
    assert (found.videos, found.bbb_version, found.load) == (3, "3.0.10", 0)
    assert await pool.redis("HGET", "server:a", "users") == "100000000"


async def test_poll_pushes_the_expiry_on(pool: StorePool) -> None:
    one = await pool.add("a")
    for name in ("seen", "missed"):
        await pool.create(name)
        await pool.redis("EXPIRE", f"meeting:{name}", 100)
        await pool.redis("EXPIRE", f"appliance:meeting:{name}", 100)
    pool.now_ms += 1
    await pool.poll(one, {"seen": 1})
    for key in ("meeting", "appliance:meeting"):
        assert await pool.redis("TTL", f"{key}:seen") > 86_000
        assert await pool.redis("TTL", f"{key}:missed") <= 100
        await pool.redis("EXPIRE", f"{key}:seen", 100)
    pool.now_ms += 60 * MINUTE_MS
    await pool.poll(one, {"seen": 1})
    for key in ("meeting", "appliance:meeting"):
        assert await pool.redis("TTL", f"{key}:seen") > 86_000


async def test_poll_does_not_adopt_what_others_placed(pool: StorePool) -> None:
    one = await pool.add("a")
    result = await pool.poll(one, {"foreign": 20})
    assert result.load == 20
    assert await pool.find("foreign") is None
    assert await pool.store.list_meetings() == []


async def test_poll_touches_no_record_of_another_server(pool: StorePool) -> None:
    one = await pool.add("a")
    other = await pool.add("b", load=90)
    meeting = await pool.create("m")
    pool.now_ms += 1
    await pool.poll(other, {"m": 3})
    assert await pool.find("m") == await pool.find("m")
    assert (await pool.poll(one, {})).missing == (("m", meeting.placement),)


async def test_poll_confirms_what_was_left_in_creation_but_runs(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m", confirm=False)
    await pool.poll(one, {"m": 1})
    found = await pool.find("m")
    assert found is not None
    assert not found.confirmed
    pool.now_ms += pool.store.rules.creating_ms
    await pool.poll(one, {"m": 1})
    found = await pool.find("m")
    assert found is not None
    assert found.confirmed
    assert not await pool.store.abandon_meeting(meeting, now_ms=pool.now_ms, may_exist=True)


async def test_front_end_is_notified_of_the_end_of_what_a_poll_confirmed(pool: StorePool) -> None:
    """As after a failover of Redis that kept the placement and lost the confirmation."""
    one = await pool.add("a")
    url = "https://lms.example.org/ended"
    for meeting_id, seen in (("seen", {"seen": 1}), ("unseen", {})):
        await pool.create(meeting_id, confirm=False, ended_url=url)
        pool.now_ms += pool.store.rules.creating_ms
        await pool.poll(one, seen)
        meeting = await pool.find(meeting_id)
        assert meeting is not None
        await pool.store.forget_meeting(meeting, now_ms=pool.now_ms)

    entries = await pool.redis("HGETALL", "appliance:ended")
    assert [json.loads(entry)["id"] for entry in entries[1::2]] == ["seen"]
    assert json.loads(entries[1])["url"] == url


@pytest.mark.parametrize("threshold", [1, 2, 5])
async def test_server_goes_offline_at_the_threshold(pool: StorePool, threshold: int) -> None:
    one = await pool.add("a", load=5)
    for count in range(1, threshold):
        result = await pool.fail(one, threshold=threshold)
        assert (result.unhealthy_count, result.went_offline) == (count, False)
        found = await pool.store.find_server(one)
        assert found is not None
        assert (found.online, found.unstable, found.load) == (True, True, 5)
    result = await pool.fail(one, threshold=threshold)
    assert (result.unhealthy_count, result.went_offline) == (threshold, True)
    found = await pool.store.find_server(one)
    assert found is not None
    assert (found.online, found.unstable, found.load) == (False, False, None)
    again = await pool.fail(one, threshold=threshold)
    assert (again.unhealthy_count, again.went_offline) == (threshold + 1, False)


async def test_one_success_makes_failures_forgotten(pool: StorePool) -> None:
    one = await pool.add("a")
    for _ in range(3):
        assert not (await pool.fail(one)).went_offline
        await pool.poll(one, {})


@pytest.mark.parametrize("threshold", [1, 2, 3])
async def test_server_comes_online_at_the_threshold(pool: StorePool, threshold: int) -> None:
    one = await pool.add("a", online=False)
    for _ in range(threshold - 1):
        result = await pool.poll(one, {"m": 20}, healthy_threshold=threshold)
        assert (result.online, result.came_online) == (False, False)
        found = await pool.store.find_server(one)
        assert found is not None
        assert (found.load, found.meetings) == (None, 0)
    result = await pool.poll(one, {"m": 20}, healthy_threshold=threshold)
    assert (result.online, result.came_online) == (True, True)
    assert await pool.load(one) == 20
    assert not (await pool.poll(one, {"m": 20}, healthy_threshold=threshold)).came_online


async def test_failure_starts_the_count_of_successes_again(pool: StorePool) -> None:
    one = await pool.add("a", online=False)
    await pool.poll(one, healthy_threshold=2)
    await pool.fail(one)
    assert not (await pool.poll(one, healthy_threshold=2)).online
    assert (await pool.poll(one, healthy_threshold=2)).came_online


async def test_server_going_offline_has_no_counts(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.poll(one, {"m": 20})
    await pool.lose(one)
    found = await pool.store.find_server(one)
    assert found is not None
    assert (found.meetings, found.users, found.largest_meeting, found.videos) == (0, 0, 0, 0)


async def test_cordoned_server_is_disabled_once_it_is_empty(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m")
    await pool.store.set_server_state(one, ServerState.CORDONED)
    assert not (await pool.poll(one, {"m": 0})).auto_disabled
    await pool.forget(meeting)
    result = await pool.poll(one, {})
    assert (result.auto_disabled, result.load) == (True, 0)
    found = await pool.store.find_server(one)
    assert found is not None
    assert (found.state, found.load) == (ServerState.DISABLED, None)
    assert not (await pool.poll(one, {})).known


@pytest.mark.parametrize("expires", [False, True])
async def test_disabled_server_has_no_meetings_once_the_last_has_ended(
    pool: StorePool, expires: bool
) -> None:
    """It is not polled: what BBB still listed when all users had left counted forever."""

    async def meetings() -> int:
        found = await pool.store.find_server(one)
        assert found is not None
        assert found.state is ServerState.DISABLED
        return found.meetings

    one = await pool.add("a")
    meeting = await pool.create("m")
    await pool.store.set_server_state(one, ServerState.CORDONED)
    pool.now_ms += 60 * MINUTE_MS
    result = await pool.poll(one, {"m": 0}, age_ms=60 * MINUTE_MS)
    assert (result.load, result.auto_disabled) == (0, True)
    assert await meetings() == 1
    if expires:
        await pool.redis("DEL", "meeting:m")
        await pool.redis("DEL", "appliance:meeting:m")
        for _ in range(3):
            pool.now_ms += 2 * MINUTE_MS
            await pool.store.sweep(now_ms=pool.now_ms, grace_ms=MINUTE_MS)
    else:
        await pool.forget(meeting)
    assert await meetings() == 0


async def test_disabled_server_keeps_the_users_of_meetings_without_a_record(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m")
    await pool.poll(one, {"m": 1, "made on the server": 30})
    await pool.store.set_server_state(one, ServerState.DISABLED)
    await pool.forget(meeting)
    found = await pool.store.find_server(one)
    assert found is not None
    assert (found.meetings, found.users) == (2, 31)


@pytest.mark.parametrize(
    ("confirm", "listed"),
    [(False, False), (False, True), (True, False)],
    ids=["creating", "creating and listed", "just confirmed"],
)
async def test_cordoned_server_stays_while_a_meeting_without_load_is_new(
    redis_url: str, redis_namespace: str, confirm: bool, listed: bool
) -> None:
    rules = PlacementRules(min_user_count=0)  # reserves nothing
    async with open_store_pool(redis_url, redis_namespace, rules) as pool:
        one = await pool.add("a")
        meeting = await pool.create("m", confirm=confirm)
        await pool.store.set_server_state(one, ServerState.CORDONED)
        result = await pool.poll(one, {"m": 0} if listed else {})
        assert (result.load, result.auto_disabled) == (0, False)
        await pool.store.forget_meeting(meeting, now_ms=pool.now_ms, even_if_creating=True)
        assert (await pool.poll(one, {})).auto_disabled
        await pool.check_layout()


async def test_cordoned_server_stays_while_users_are_in_breakout_rooms(pool: StorePool) -> None:
    one = await pool.add("a", state=ServerState.CORDONED)
    seen = Observation(one, pool.now_ms, pool.now_ms, 0, 1, 6, 6, 0, ())
    assert not (await pool.store.observe_server(seen, healthy_threshold=1)).auto_disabled


async def test_enabled_server_stays_enabled_when_it_is_empty(pool: StorePool) -> None:
    one = await pool.add("a", load=50)
    assert not (await pool.poll(one, {})).auto_disabled
    assert await pool.load(one) == 0


async def test_record_of_scalelites_has_a_grace_from_when_it_was_first_seen(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    record = ("server_id", "a", "moderator_pw", "pw", "voice_bridge", "1")
    await pool.redis("HSET", "meeting:m", *record)
    await pool.redis("EXPIRE", "meeting:m", 5000)
    await pool.redis("SADD", "meetings", "m")
    await pool.redis("HSET", "voice_bridges", "1", "m")
    await pool.store.sweep(now_ms=pool.now_ms, grace_ms=MINUTE_MS)
    assert 4990 < await pool.redis("TTL", "appliance:meeting:m") <= 5000
    pool.now_ms += 30_000
    assert (await pool.poll(one, {})).missing == ()
    pool.now_ms += 1
    assert (await pool.poll(one, {})).missing == ((MeetingId("m"), 0),)


async def test_suspected_server_is_unstable_until_a_poll_decides(pool: StorePool) -> None:
    one, two = await pool.add("a"), await pool.add("b", load=500)
    assert [await pool.store.suspect_server(one) for _ in range(3)] == [True, False, False]
    found = await pool.store.find_server(one)
    assert found is not None
    assert (found.unstable, found.unhealthy_count, found.online) == (True, 0, True)
    assert (await pool.create("m1")).server_id == two
    await pool.poll(one, {})
    found = await pool.store.find_server(one)
    assert found is not None
    assert not found.unstable
    assert (await pool.create("m2")).server_id == one


async def test_server_that_gave_no_answer_is_silent_whatever_else_it_did(pool: StorePool) -> None:
    one = await pool.add("a")
    changed, silent = [], []
    for gave_none in (False, True, False, True):
        changed.append(await pool.store.suspect_server(one, silent=gave_none))
        silent.append(await pool.redis("GET", "appliance:suspect:a") == "silent")
    assert changed == [True, True, False, False]
    assert silent == [False, True, True, True]


async def test_suspicion_does_not_count_towards_offline(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.store.suspect_server(one)
    result = await pool.fail(one, threshold=2)
    assert (result.unhealthy_count, result.went_offline) == (1, False)
    await pool.store.suspect_server(one)
    assert (await pool.fail(one, threshold=2)).went_offline


async def test_suspicion_passes_by_itself(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.store.suspect_server(one)
    left_ms = await pool.redis("PTTL", "appliance:suspect:a")
    assert 0 < left_ms <= SUSPECT_MS


async def test_unknown_server_is_not_suspected(pool: StorePool) -> None:
    assert not await pool.store.suspect_server(ServerId("ghost"))
