"""The store as a whole: round trips, ids of every kind, and a Redis that is away.

What each script decides is in the other test_redis_store_*.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from appliance.faults import StoreDown
from appliance.meetings.placement import Replaced
from appliance.model import (
    Meeting,
    MeetingId,
    PlacementOutcome,
    PlacementRules,
    ServerId,
    ServerState,
    TenantId,
)
from appliance.redis.client import RedisAddress
from appliance.servers.values import ServerChange
from tests.doubles.pool_store import open_pool_store
from tests.doubles.redis_processes import LogBook, short_directory
from tests.doubles.store_pool import StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

A = ServerId("a")

HOT: dict[str, Callable[[StorePool, Any], Awaitable[Any]]] = {
    "find_meeting": lambda pool, m: pool.find("m"),
    "find_meeting, unknown": lambda pool, m: pool.find("unknown"),
    "join_meeting": lambda pool, m: pool.join("m"),
    "place_meeting, known": lambda pool, m: pool.place("m"),
    "place_meeting, new": lambda pool, m: pool.place("new"),
    "place_meeting, moved": lambda pool, m: pool.place(
        "m", replaces=Replaced(m.server_id, m.placement), size_hint=100
    ),
    "confirm_meeting": lambda pool, m: pool.store.confirm_meeting(m, now_ms=pool.now_ms),
    "extend_creating": lambda pool, m: pool.store.extend_creating(m, until_ms=pool.now_ms),
    "abandon_meeting": lambda pool, m: pool.store.abandon_meeting(
        m, now_ms=pool.now_ms, may_exist=True
    ),
    "forget_meeting": lambda pool, m: pool.store.forget_meeting(m, now_ms=pool.now_ms),
    "find_meeting_of": lambda pool, m: pool.store.find_meeting_of(
        TenantId("t1"), m.id, now_ms=pool.now_ms
    ),
    "find_tenant": lambda pool, m: pool.store.find_tenant("school"),
    "suspect_server": lambda pool, m: pool.store.suspect_server(A),
    "ping": lambda pool, m: pool.store.ping(),
}


COLD: dict[str, Callable[[StorePool, Any], Awaitable[Any]]] = {
    "list_meetings": lambda pool, m: pool.store.list_meetings(),
    "list_servers": lambda pool, m: pool.store.list_servers(in_background=True),
    "find_server": lambda pool, m: pool.store.find_server(A),
    "add_server": lambda pool, m: pool.store.add_server(A, ServerChange(url="http://a")),
    "update_server": lambda pool, m: pool.store.update_server(A, ServerChange(tag="t")),
    "set_server_state": lambda pool, m: pool.store.set_server_state(A, ServerState.ENABLED),
    "remove_server": lambda pool, m: pool.store.remove_server(A, force=True, now_ms=0),
    "clear_server": lambda pool, m: pool.store.clear_server(A, now_ms=1, to_be_ended=True),
    "watch_pool": lambda pool, m: pool.store.watch_pool("me", lease_ms=1),
    "lease_servers": lambda pool, m: lease(pool),
    "release_leases": lambda pool, m: pool.store.release_leases("me", [A]),
    "begin_poll": lambda pool, m: pool.store.begin_poll(A),
    "listed_records": lambda pool, m: pool.store.listed_records(["m"]),
    "observe_server": lambda pool, m: pool.poll(A, {}),
    "fail_server": lambda pool, m: pool.fail(A),
    "reach_server": lambda pool, m: pool.store.reach_server(A, healthy_threshold=1),
    "record_version": lambda pool, m: pool.store.record_version(A, "3.0"),
    "claim_sweep": lambda pool, m: pool.store.claim_sweep("me", lease_ms=1),
    "sweep": lambda pool, m: pool.store.sweep(now_ms=1, grace_ms=1),
}
MEETING = Meeting(id=MeetingId("m"), server_id=A, moderator_pw="pw", voice_bridge="1")


async def lease(pool: StorePool) -> object:
    return await pool.store.lease_servers("me", [A], lease_ms=1)


@pytest.mark.parametrize("call", HOT.values(), ids=HOT.keys())
async def test_frequent_call_takes_one_round_trip(
    pool: StorePool, call: Callable[[StorePool, Any], Awaitable[Any]]
) -> None:
    await pool.add("a")
    await pool.add("b", tag="big")
    meeting = await pool.create("m", confirm=False)
    before = (pool.store.client.round_trips, pool.store.bulk.round_trips)
    await call(pool, meeting)
    after = (pool.store.client.round_trips, pool.store.bulk.round_trips)
    assert after == (before[0] + 1, before[1])


async def test_poll_takes_two_round_trips_away_from_the_hot_connection(pool: StorePool) -> None:
    one = await pool.add("a")
    names = [f"m{number}" for number in range(300)]
    for name in names:
        await pool.create(name)
    before = (pool.store.client.round_trips, pool.store.bulk.round_trips)
    result = await pool.poll(one, dict.fromkeys(names, 4))
    after = (pool.store.client.round_trips, pool.store.bulk.round_trips)
    assert after == (before[0], before[1] + 2)
    assert result.load == 300 * 15


ODD_IDS = {
    "colons": "a:b::c:",
    "blanks": " a  b ",
    "unicode": "Übung — 数学 🎓",
    "combining": "e\u0301",
    "percent": "100%25 %s %d",
    "quotes": "\"'`\\",
    "braces": "{hash}[1]*?",
    "line breaks": "a\r\nb\tc",
    "a zero": "a\x00b",
    "a number": "12",
    "exponent": "1e5",
    "empty object": "{}",
    "slash": "</script>/../",
    "long": "x" * 256,
    "long unicode": "€" * 256,
    "no UTF-8": b"caf\xe9\xff".decode("utf-8", "surrogateescape"),
    "a key of Scalelite's": "servers",
    "another key": "meeting:m",
    "a key of ours": "appliance:meeting:m",
    "the server's id": "a",
    "nan": "nan",
}


@pytest.mark.parametrize("meeting_id", ODD_IDS.values(), ids=ODD_IDS.keys())
async def test_meeting_ids_of_every_kind(pool: StorePool, meeting_id: str) -> None:
    one = await pool.add("a")
    pw = f"pw of {meeting_id}"
    meeting = await pool.create(meeting_id, moderator_pw=pw)
    assert (meeting.id, meeting.moderator_pw) == (meeting_id, pw)
    assert (await pool.place(meeting_id)).outcome is PlacementOutcome.KNOWN
    assert await pool.bridges() == {meeting.voice_bridge: meeting_id}
    assert (await pool.poll(one, {meeting_id: 30})).missing == ()
    assert [found.id for found in await pool.store.list_meetings()] == [meeting_id]
    pool.now_ms += 1
    assert (await pool.poll(one, {})).missing == ((meeting_id, meeting.placement),)
    await pool.lose(one)
    assert (await pool.poll(one, {meeting_id: 30})).taken_back == (meeting_id,)
    await pool.store.sweep(now_ms=pool.now_ms, grace_ms=1)
    found = await pool.join(meeting_id)
    assert found is not None
    assert (found.moderator_pw, found.voice_bridge) == (pw, meeting.voice_bridge)
    await pool.forget(found)
    assert await pool.bridges() == {}
    again = await pool.create(meeting_id)
    assert (await pool.expected(meeting_id))[0] == "30"
    assert await pool.store.abandon_meeting(again, now_ms=1, may_exist=True) is False


async def test_two_namespaces_do_not_meet(redis_url: str, pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m")
    async with open_store_pool(redis_url, f"{pool.namespace}x") as other:
        assert await other.store.list_servers() == []
        assert await other.find("m") is None


async def test_each_script_runs_where_redis_lost_them(pool: StorePool) -> None:
    # After SCRIPT FLUSH (or a restart in between) each is loaded again when it is first called.
    await pool.store.client.command("SCRIPT", "FLUSH")
    one = await pool.add("a")
    await pool.create("m")
    assert await pool.join("m") is not None
    await pool.poll(one, {"m": 1})
    assert len(await pool.store.list_meetings()) == 1
    await pool.store.sweep(now_ms=pool.now_ms, grace_ms=1)


@pytest.mark.parametrize("call", [*HOT.values(), *COLD.values()], ids=[*HOT.keys(), *COLD.keys()])
async def test_store_says_that_it_is_down(
    call: Callable[[StorePool, Any], Awaitable[Any]],
) -> None:
    with short_directory() as directory:
        address = RedisAddress(f"unix://{directory}/nothing.sock")
        async with open_pool_store(
            address, namespace="s", rules=PlacementRules(), log=None
        ) as store:
            pool = StorePool(store)
            with pytest.raises(StoreDown):
                await call(pool, MEETING)


async def test_log_tells_the_two_connections_apart(redis_url: str) -> None:
    log = LogBook()
    async with open_pool_store(
        RedisAddress(redis_url), namespace="s", rules=PlacementRules(), log=log
    ) as store:
        with trio.fail_after(20):
            await store.client.wait_connected()
            await store.bulk.wait_connected()

    assert sorted(log.events) == [
        ("redis_connected", "{'connection': 'background'}"),
        ("redis_connected", "{'connection': 'calls'}"),
    ]
