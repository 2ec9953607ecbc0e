"""Servers in Redis: add, change, state, remove, list; leases and stale members."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from appliance.model import Server, ServerId, ServerState
from appliance.servers.values import ServerChange
from tests.doubles.store_pool import StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

A, B, C = ServerId("a"), ServerId("b"), ServerId("c")
CHANGE = ServerChange(
    url="https://a.example.org/bigbluebutton/api",
    secret="s3cret",
    load_multiplier=2.5,
    tag="big",
    max_meetings=10,
    max_users=300,
    dial_in="a/{pin}",
    dial_in_port=5062,
)
ADDED = Server(
    id=A,
    url="https://a.example.org/bigbluebutton/api",
    secret="s3cret",
    load_multiplier=2.5,
    tag="big",
    max_meetings=10,
    max_users=300,
    dial_in="a/{pin}",
    dial_in_port=5062,
)


async def test_added_server_is_disabled_and_offline(pool: StorePool) -> None:
    assert await pool.store.add_server(A, CHANGE)
    assert await pool.store.find_server(A) == ADDED
    assert await pool.store.list_servers() == [ADDED]
    assert set(await pool.redis("HKEYS", "server:a")) == {
        *("online", "state", "url", "secret", "load_multiplier", "tag")
    }


async def test_server_is_parsed_again_only_when_it_has_changed(pool: StorePool) -> None:
    for number in range(3):
        await pool.add(f"s{number}", load=number)
    before = await pool.store.list_servers(in_background=True)

    assert await pool.store.set_server_state(before[1].id, ServerState.CORDONED)
    after = await pool.store.list_servers(in_background=True)

    assert [old is new for old, new in zip(before, after, strict=True)] == [True, False, True]
    assert after[1] == replace(before[1], state=ServerState.CORDONED)

    now_ms = pool.now_ms
    assert (await pool.store.remove_server(before[0].id, force=True, now_ms=now_ms)).done
    assert await pool.store.list_servers(in_background=True) == after[1:]
    await pool.add("s0", load=7)
    assert (await pool.store.find_server(before[0].id) or before[0]).load == 7


async def test_add_refuses_an_id_that_is_taken(pool: StorePool) -> None:
    assert await pool.store.add_server(A, CHANGE)
    assert not await pool.store.add_server(A, ServerChange(url="https://other"))
    assert await pool.store.list_servers() == [ADDED]


async def test_added_server_inherits_nothing_from_one_of_its_id(pool: StorePool) -> None:
    one = await pool.add("a", load=77, max_meetings=1)
    await pool.fail(one)
    await pool.redis("DEL", "server:a")  # as a Scalelite beside us removes it, half-way
    assert await pool.store.add_server(A, ServerChange(url="https://a", secret="s"))
    assert await pool.store.find_server(A) == Server(id=A, url="https://a", secret="s")


CHANGES = {
    "nothing": (ServerChange(), {}),
    "url": (ServerChange(url="http://b/"), {"url": "http://b/"}),
    "secret": (ServerChange(secret="new"), {"secret": "new"}),
    "multiplier": (ServerChange(load_multiplier=0.5), {"load_multiplier": 0.5}),
    "tag": (ServerChange(tag="small"), {"tag": "small"}),
    "no tag": (ServerChange(tag=""), {"tag": None}),
    "limits": (
        ServerChange(max_meetings=1, max_users=2),
        {"max_meetings": 1, "max_users": 2},
    ),
    "no limit": (ServerChange(max_meetings=0), {"max_meetings": None}),
    "no limits": (
        ServerChange(max_meetings=0, max_users=0, dial_in="", dial_in_port=0),
        {"max_meetings": None, "max_users": None, "dial_in": None, "dial_in_port": None},
    ),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES.keys())
async def test_update_changes_what_it_names(
    pool: StorePool, change: ServerChange, expected: dict[str, object]
) -> None:
    await pool.store.add_server(A, CHANGE)
    assert await pool.store.update_server(A, change)
    assert await pool.store.find_server(A) == replace(ADDED, **expected)  # type: ignore[arg-type]


async def test_unknown_server_is_not_changed(pool: StorePool) -> None:
    assert not await pool.store.update_server(A, CHANGE)
    await pool.store.record_version(A, "3.0")
    assert await pool.store.set_server_state(A, ServerState.ENABLED) is None
    assert await pool.store.find_server(A) is None
    assert await pool.store.list_servers() == []
    assert not (await pool.store.remove_server(A, force=True, now_ms=0)).known
    assert await pool.store.clear_server(A, now_ms=pool.now_ms, to_be_ended=True) is None


async def test_version_is_recorded(pool: StorePool) -> None:
    await pool.store.add_server(A, CHANGE)
    await pool.store.record_version(A, "3.0.10")
    assert await pool.store.find_server(A) == replace(ADDED, bbb_version="3.0.10")


STATES = list(ServerState)


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
async def test_state_moves_the_load_between_the_sets(
    pool: StorePool, before: ServerState, after: ServerState
) -> None:
    one = await pool.add("a", state=before, load=7)
    assert await pool.store.set_server_state(one, after) is before
    found = await pool.store.find_server(one)
    assert found is not None
    assert found.state is after
    measured = ServerState.DISABLED not in (before, after)
    assert found.load == (7 if measured else None)
    sets = {
        state: await pool.redis("ZSCORE", key, "a")
        for state, key in (
            (ServerState.ENABLED, "server_load"),
            (ServerState.CORDONED, "cordoned_server_load"),
        )
    }
    assert sets == {state: "7" if measured and state is after else None for state in sets}
    enabled = await pool.redis("SISMEMBER", "server_enabled", "a")
    assert enabled == (after is ServerState.ENABLED)


async def test_values_and_state_are_set_in_one_step(pool: StorePool) -> None:
    change = ServerChange(url="https://a", secret="s", state=ServerState.ENABLED)
    assert await pool.store.add_server(A, change)
    assert await pool.store.find_server(A) == Server(A, "https://a", "s", ServerState.ENABLED)
    await pool.redis("HSET", "server:a", "online", "true")
    await pool.redis("ZADD", "server_load", 7, "a")

    assert await pool.store.update_server(A, ServerChange(tag="t", state=ServerState.CORDONED))

    assert await pool.store.find_server(A) == Server(
        A, "https://a", "s", ServerState.CORDONED, online=True, tag="t", load=7.0
    )
    assert await pool.redis("ZSCORE", "cordoned_server_load", "a") == "7"
    assert await pool.redis("SMEMBERS", "server_enabled") == []


async def test_enabled_server_waits_for_its_first_poll(pool: StorePool) -> None:
    await pool.store.add_server(A, CHANGE)
    await pool.store.update_server(A, ServerChange(tag=""))
    await pool.store.set_server_state(A, ServerState.ENABLED)
    assert (await pool.place("m")).meeting is None
    assert (await pool.poll(A, {})).came_online
    assert (await pool.create("m")).server_id == A


OLD_RECORDS = {
    "no state, enabled": ({}, True, ServerState.ENABLED, 1.0),
    "no state, not enabled": ({}, False, ServerState.DISABLED, 1.0),
    "the state counts": ({"state": "cordoned"}, True, ServerState.CORDONED, 1.0),
    "a word that is no state": ({"state": "retired"}, True, ServerState.DISABLED, 1.0),
    "negative multiplier": ({"load_multiplier": "-2"}, True, ServerState.ENABLED, 1.0),
    "no number": ({"load_multiplier": "2,5"}, True, ServerState.ENABLED, 1.0),
}


@pytest.mark.parametrize(
    ("fields", "enabled", "state", "multiplier"), OLD_RECORDS.values(), ids=OLD_RECORDS.keys()
)
async def test_old_record_is_understood(
    pool: StorePool,
    fields: dict[str, str],
    enabled: bool,
    state: ServerState,
    multiplier: float,
) -> None:
    pool.loose_ends = True
    record = {"url": "http://a/api/", "secret": "s", "online": "true", **fields}
    await pool.redis("SADD", "servers", "a")
    await pool.redis("HSET", "server:a", *(part for pair in record.items() for part in pair))
    if enabled:
        await pool.redis("SADD", "server_enabled", "a")
        await pool.redis("ZADD", "server_load", 3, "a")
    (found,) = await pool.store.list_servers()
    assert (found.state, found.load_multiplier, found.online) == (state, multiplier, True)
    assert (found.url, found.tag, found.bbb_version) == ("http://a/api/", None, None)
    start = await pool.store.begin_poll(A)
    assert start is not None
    assert start.state is state
    placed = (await pool.place("m")).meeting
    assert (placed is not None) == (state is ServerState.ENABLED)
    assert (await pool.poll(A, {"m": 1})).known == (state is not ServerState.DISABLED)


async def test_list_cleans_up_members_without_a_server(pool: StorePool) -> None:
    await pool.add("a", load=3)
    for key in ("servers", "server_enabled"):
        await pool.redis("SADD", key, "ghost")
    await pool.redis("ZADD", "server_load", 1, "ghost")
    await pool.redis("ZADD", "cordoned_server_load", 1, "ghost")
    assert [server.id for server in await pool.store.list_servers()] == ["a"]
    assert await pool.redis("SMEMBERS", "servers") == ["a"]
    assert await pool.redis("ZRANGE", "server_load", 0, -1) == ["a"]
    assert await pool.redis("EXISTS", "cordoned_server_load") == 0


async def test_remove_refuses_while_there_are_meetings_unless_forced(pool: StorePool) -> None:
    one = await pool.add("a", load=3)
    await pool.create("m1")
    await pool.create("m2")
    await pool.add("b", load=90)
    await pool.redis("ZADD", "server_load", 91, "a")
    kept = await pool.create("kept")
    assert (await pool.store.remove_server(one, force=False, now_ms=0)).meetings == 2
    assert await pool.find("m1") is not None
    assert (await pool.store.remove_server(one, force=True, now_ms=0)).done
    assert [server.id for server in await pool.store.list_servers()] == ["b"]
    assert [meeting.id for meeting in await pool.store.list_meetings()] == ["kept"]
    assert await pool.bridges() == {kept.voice_bridge: "kept"}


async def test_removed_server_leaves_only_what_its_late_uploads_need(pool: StorePool) -> None:
    one = await pool.add("a", max_users=5, tag="big")
    await pool.store.update_server(one, ServerChange(tag="", max_users=0))
    await pool.create("m", size_hint=1, max_participants=1)
    await pool.join("m")
    await pool.join("m")
    await lease(pool, "me", one)
    await pool.lose(one)
    await pool.store.suspect_server(one)
    await pool.fail(one)
    assert (await pool.store.remove_server(one, force=False, now_ms=0)).done
    keys = await pool.store.client.command("KEYS", f"{pool.namespace}:*")
    left = {key.removeprefix(f"{pool.namespace}:") for key in keys}
    assert left == {
        *("appliance:emptied", "appliance:changes", "appliance:placements"),
        *("appliance:pollers", "appliance:poller:me", "appliance:retired"),
    }


async def test_server_removed_by_a_scalelite_is_swept(pool: StorePool) -> None:
    one = await pool.add("a", max_users=500)
    await pool.create("m")
    await pool.poll(one, {"m": 1})
    for key in ("server:a", "a"):
        await pool.redis("DEL", key)
    for key in ("servers", "server_enabled"):
        await pool.redis("SREM", key, "a")
    await pool.redis("ZREM", "server_load", "a")
    await pool.store.sweep(now_ms=pool.now_ms, grace_ms=60_000)
    keys = await pool.store.client.command("KEYS", f"{pool.namespace}:*")
    left = {key.removeprefix(f"{pool.namespace}:") for key in keys}
    assert left == {"appliance:changes", "appliance:placements", "appliance:size:m"}


async def lease(pool: StorePool, instance: str, *servers: ServerId) -> list[ServerId]:
    """Claim with leases of five seconds."""
    await pool.store.watch_pool(instance, lease_ms=5000)
    return (await pool.store.lease_servers(instance, servers or (A, B, C), lease_ms=5000))[1]


async def test_one_appliance_polls_all_servers(pool: StorePool) -> None:
    pool.loose_ends = True
    for name in "abc":
        await pool.add(name)
    assert await lease(pool, "me") == [A, B, C]
    assert await lease(pool, "me") == [A, B, C]
    assert await lease(pool, "me", A) == [A]


async def test_two_appliances_share_the_servers(redis_url: str, pool: StorePool) -> None:
    for name in "abc":
        await pool.add(name)
    assert await lease(pool, "one") == [A, B, C]
    async with open_store_pool(redis_url, pool.namespace) as beside:
        assert await lease(beside, "two") == []
        assert await lease(pool, "one") == [A, B]
        assert await lease(beside, "two") == [C]
        assert await lease(pool, "one") == [A, B]


async def test_what_a_dead_appliance_held_is_taken_over(pool: StorePool) -> None:
    for name in "abc":
        await pool.add(name)
    await lease(pool, "dead")
    assert await lease(pool, "me") == []
    before = await pool.store.watch_pool("me", lease_ms=5000)
    assert 0 < await pool.redis("PTTL", "appliance:poller:dead") <= 5000
    await pool.redis("DEL", "appliance:poller:dead")  # as it would run out
    assert (await pool.store.watch_pool("me", lease_ms=5000)).leases != before.leases
    assert await lease(pool, "me") == [A, B, C]


async def test_leases_given_back_are_free_at_once(pool: StorePool) -> None:
    for name in "abc":
        await pool.add(name)
    await lease(pool, "one")
    await lease(pool, "two")
    await lease(pool, "one")
    await lease(pool, "two")
    await pool.store.release_leases("one", [A, B, C])
    assert await lease(pool, "two") == [C, A, B]


async def test_lease_of_a_server_that_a_scalelite_removed_is_dropped(pool: StorePool) -> None:
    pool.loose_ends = True
    for name in "ab":
        await pool.add(name)
    await lease(pool, "me", A, B)
    await pool.redis("DEL", "server:b")
    await pool.redis("SREM", "servers", "b")
    assert await lease(pool, "me", A) == [A]
    assert await pool.redis("HGETALL", "appliance:leases") == ["a", "me"]


MARKED: dict[str, Callable[[StorePool], Awaitable[Any]]] = {
    "add": lambda pool: pool.store.add_server(ServerId("d"), ServerChange(url="http://d/")),
    "change": lambda pool: pool.store.update_server(A, ServerChange(secret="other")),
    "state": lambda pool: pool.store.set_server_state(A, ServerState.CORDONED),
    "remove": lambda pool: pool.store.remove_server(A, force=True, now_ms=0),
    "suspicion": lambda pool: pool.store.suspect_server(A),
    "failure": lambda pool: pool.fail(A),
    "a Scalelite adds": lambda pool: pool.redis("SADD", "servers", "e"),
    "a Scalelite disables": lambda pool: pool.redis("SREM", "server_enabled", "a"),
}


@pytest.mark.parametrize("change", MARKED.values(), ids=MARKED.keys())
async def test_mark_of_the_servers_changes_with_them(
    pool: StorePool, change: Callable[[StorePool], Awaitable[Any]]
) -> None:
    pool.loose_ends = True
    await pool.add("a")
    await pool.add("b")
    before = await pool.store.watch_pool("me", lease_ms=5000)
    assert await pool.store.watch_pool("me", lease_ms=5000) == before
    await change(pool)
    after = await pool.store.watch_pool("me", lease_ms=5000)
    assert after.servers != before.servers
    assert (after.leases, after.tenants) == (before.leases, before.tenants)


async def test_mark_of_the_servers_changes_at_no_usual_poll(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m")
    before = await pool.store.watch_pool("me", lease_ms=5000)
    await pool.poll(one, {"m": 3})
    await pool.join("m")
    assert await pool.store.watch_pool("me", lease_ms=5000) == before


async def test_mark_of_the_servers_changes_when_a_poll_ends_a_suspicion(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.store.suspect_server(one)
    before = await pool.store.watch_pool("me", lease_ms=5000)
    await pool.poll(one, {})
    assert (await pool.store.watch_pool("me", lease_ms=5000)).servers != before.servers


async def test_no_servers_no_leases(pool: StorePool) -> None:
    assert (await pool.store.lease_servers("me", [], lease_ms=5000))[1] == []
    await pool.store.release_leases("me", [])


async def test_sweep_is_claimed_by_one(pool: StorePool) -> None:
    assert await pool.store.claim_sweep("one", lease_ms=60_000)
    assert not await pool.store.claim_sweep("two", lease_ms=60_000)
    assert not await pool.store.claim_sweep("one", lease_ms=60_000)
    assert 0 < await pool.redis("PTTL", "appliance:lease-sweep") <= 60_000
