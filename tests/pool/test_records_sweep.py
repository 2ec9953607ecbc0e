"""Sweeps: what has lost what it points to goes, but not what a Scalelite is just writing."""

from __future__ import annotations

import pytest

from appliance.model import Meeting
from tests.doubles.store_pool import MINUTE_MS, StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]


async def sweep(pool: StorePool) -> int:
    return await pool.store.sweep(now_ms=pool.now_ms, grace_ms=MINUTE_MS)


async def stale(pool: StorePool, key: str) -> bool:
    """Return whether the member `m`, number 1, is still there."""
    if key == "meetings":
        return bool(await pool.redis("SISMEMBER", "meetings", "m"))
    return bool(await pool.redis("HEXISTS", "voice_bridges", "1"))


async def leave(pool: StorePool, key: str) -> None:
    """Leave a member without its hash."""
    if key == "meetings":
        await pool.redis("SADD", "meetings", "m")
    else:
        await pool.redis("HSET", "voice_bridges", "1", "m")


KEYS = pytest.mark.parametrize("key", ["meetings", "voice_bridges"])


@KEYS
async def test_member_without_hash_is_removed_by_the_second_sweep(
    pool: StorePool, key: str
) -> None:
    await leave(pool, key)
    assert await sweep(pool) == 0
    pool.now_ms += MINUTE_MS - 1
    assert await sweep(pool) == 0
    assert await stale(pool, key)
    pool.now_ms += 1
    assert await sweep(pool) == 1
    assert not await stale(pool, key)
    assert await sweep(pool) == 0


@KEYS
async def test_member_whose_hash_came_in_time_starts_anew(pool: StorePool, key: str) -> None:
    await pool.add("a")
    await leave(pool, key)
    await sweep(pool)
    pool.now_ms += MINUTE_MS
    meeting = await pool.create("m", voice_bridges=("1",))
    assert await sweep(pool) == 0
    await pool.forget(meeting)
    await leave(pool, key)
    pool.now_ms += MINUTE_MS
    assert await sweep(pool) == 0
    pool.now_ms += MINUTE_MS
    assert await sweep(pool) == 1


@KEYS
async def test_member_that_was_gone_meanwhile_is_another_case(pool: StorePool, key: str) -> None:
    pool.loose_ends = True
    await leave(pool, key)
    await sweep(pool)
    await pool.redis("DEL", key)
    pool.now_ms += 60 * MINUTE_MS
    await leave(pool, key)
    assert await sweep(pool) == 0
    assert await stale(pool, key)


@KEYS
async def test_notes_of_a_sweep_do_not_stay(pool: StorePool, key: str) -> None:
    pool.loose_ends = True
    await leave(pool, key)
    await sweep(pool)
    left_ms = await pool.redis("PTTL", f"appliance:stale_{key}")
    assert 0 < left_ms <= 10 * MINUTE_MS


async def test_entries_with_their_hash_are_kept(pool: StorePool) -> None:
    await pool.add("a")
    meeting = await pool.create("m")
    for _ in range(3):
        assert await sweep(pool) == 0
        pool.now_ms += MINUTE_MS
    found = await pool.find("m")
    assert found is not None
    assert found.placement == meeting.placement
    assert await pool.bridges() == {meeting.voice_bridge: "m"}


async def test_number_of_a_detached_meeting_is_kept(pool: StorePool) -> None:
    one = await pool.add("a")
    meeting = await pool.create("m")
    await pool.lose(one)
    for _ in range(3):
        assert await sweep(pool) == 0
        pool.now_ms += MINUTE_MS
    assert await pool.bridges() == {meeting.voice_bridge: "m"}


async def test_number_that_its_meeting_no_longer_has_is_removed(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", voice_bridges=("1",))
    await pool.redis("HSET", "voice_bridges", "2", "m")
    assert await sweep(pool) == 0
    pool.now_ms += MINUTE_MS
    assert await sweep(pool) == 1
    assert await pool.bridges() == {"1": "m"}


async def test_earlier_number_of_a_detached_meeting_is_kept(pool: StorePool) -> None:
    lost = await pool.add("a")
    await pool.create("m", voice_bridges=("1",))
    await pool.lose(lost)
    await pool.add("b")
    await pool.create("m", confirm=False)
    await pool.redis("HSET", "meeting:m", "voice_bridge", "2")
    await pool.redis("HSET", "voice_bridges", "2", "m")
    for _ in range(3):
        assert await sweep(pool) == 0
        pool.now_ms += MINUTE_MS
    assert await pool.bridges() == {"1": "m", "2": "m"}


async def test_number_is_kept_where_the_record_has_none(pool: StorePool) -> None:
    pool.loose_ends = True
    await pool.add("a")
    await pool.create("m", voice_bridges=("1",))
    await pool.redis("HSET", "meeting:m", "voice_bridge", "")
    for _ in range(3):
        assert await sweep(pool) == 0
        pool.now_ms += MINUTE_MS
    assert await pool.bridges() == {"1": "m"}


async def test_meeting_whose_record_expired_is_swept(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m")
    await pool.redis("DEL", "meeting:m")
    await sweep(pool)
    pool.now_ms += MINUTE_MS
    assert await sweep(pool) == 2
    assert await pool.bridges() == {}
    assert await pool.redis("EXISTS", "appliance:meeting:m") == 0


async def test_meeting_whose_server_is_gone_is_swept_at_once(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m")
    for key in ("server:a", "a"):
        await pool.redis("DEL", key)
    for key in ("servers", "server_enabled"):
        await pool.redis("SREM", key, "a")
    await pool.redis("ZREM", "server_load", "a")
    assert await sweep(pool) == 2  # with what we keep of the server
    assert await pool.store.list_meetings() == []
    assert await pool.bridges() == {}


async def test_record_without_a_ttl_is_indexed_but_ours_expires(pool: StorePool) -> None:
    pool.loose_ends = True  # as Scalelites before 1.3 wrote it
    one = await pool.add("a")
    await pool.redis(
        "HSET", "meeting:m", "server_id", "a", "moderator_pw", "pw", "voice_bridge", "1"
    )
    await pool.redis("SADD", "meetings", "m")
    await sweep(pool)
    assert await pool.redis("TTL", "appliance:meeting:m") > 86_000
    pool.now_ms += MINUTE_MS
    await pool.poll(one, {"m": 1})
    assert await pool.redis("TTL", "meeting:m") > 86_000


async def test_call_of_a_setting_goes_with_a_setting_that_a_scalelite_removed(
    pool: StorePool,
) -> None:
    await pool.redis("SADD", "tenants", "t")
    await pool.redis("HSET", "tenant:t", "name", "school", "secrets", "s")
    await pool.redis("HSET", "tenant_name:school", "id", "t")
    for setting in ("kept", "gone"):
        fields = ("param", "p", "value", "v", "override", "true", "tenant_id", "t")
        await pool.redis("HSET", f"tenant_setting:{setting}", *fields)
        await pool.redis("SADD", "tenant_settings:t", setting)
        await pool.redis("HSET", "appliance:setting_calls", setting, "join")
    assert await sweep(pool) == 0
    await pool.redis("DEL", "tenant_setting:gone")
    await pool.redis("SREM", "tenant_settings:t", "gone")

    assert await sweep(pool) == 1
    assert await pool.redis("HKEYS", "appliance:setting_calls") == ["kept"]


async def test_large_pools_are_swept_and_listed_in_chunks(pool: StorePool) -> None:
    await pool.add("a")
    names = [f"m{number}" for number in range(1300)]
    for start in range(0, len(names), 100):
        await pool.redis("SADD", "meetings", *(f"stale{name}" for name in names[start:][:100]))
    for name in names[:600]:
        await pool.create(name)
    await sweep(pool)
    pool.now_ms += MINUTE_MS
    assert await sweep(pool) == 1300
    listed: list[Meeting] = await pool.store.list_meetings()
    assert [meeting.id for meeting in listed] == sorted(names[:600])
