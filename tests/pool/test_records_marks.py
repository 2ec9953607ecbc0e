"""The mark of a server: as long as it and the list are the same, there is nothing to record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.model import ServerId, ServerState
from appliance.servers.values import ServerChange
from tests.doubles.store_pool import MINUTE_MS, StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

A, B = ServerId("a"), ServerId("b")
OLD_MS = 60 * MINUTE_MS


async def mark_of(pool: StorePool, server: ServerId = A) -> str:
    """Return the mark with which a poll of a server would begin."""
    start = await pool.store.begin_poll(server)
    assert start is not None
    return start.mark


@pytest.fixture
async def settled(pool: StorePool) -> StorePool:
    """Give a pool with two servers; on one is an old meeting with its four users."""
    await pool.add("a")
    await pool.add("b", load=90)
    await pool.create("m", size_hint=1)
    pool.now_ms += OLD_MS
    await pool.poll(A, {"m": 4}, age_ms=OLD_MS)
    return pool


async def test_list_that_changes_nothing_has_the_mark_of_the_poll_before(
    settled: StorePool,
) -> None:
    before = await settled.poll(A, {"m": 4}, age_ms=OLD_MS)
    assert before.mark == await mark_of(settled)
    assert before.mark
    before_it = await settled.redis("HGETALL", "appliance:meeting:m")

    settled.now_ms += MINUTE_MS
    again = await settled.poll(A, {"m": 4}, age_ms=OLD_MS + MINUTE_MS)

    assert again == before
    after_it = await settled.redis("HGETALL", "appliance:meeting:m")
    changed = {one for one in zip(before_it[::2], before_it[1::2], strict=True)} ^ {
        one for one in zip(after_it[::2], after_it[1::2], strict=True)
    }
    assert {name for name, _ in changed} == {"seen_ms"}


async def test_starts_of_several_polls_are_read_together(settled: StorePool) -> None:
    begin = settled.store.begin_poll
    found = await settled.store.begin_polls({B: True, ServerId("gone"): True, A: True})
    assert found == [await begin(B), None, await begin(A)]


async def test_mark_is_read_only_if_it_is_wanted(settled: StorePool) -> None:
    (start,) = await settled.store.begin_polls({A: False})
    assert start is not None
    assert start.mark == ""
    assert replace(start, mark=await mark_of(settled)) == await settled.store.begin_poll(A)


async def forget(pool: StorePool) -> None:
    meeting = await pool.find("m")
    assert meeting is not None
    await pool.forget(meeting)


async def detach(pool: StorePool) -> None:
    await pool.redis("HSET", "appliance:detached:a", "other", "{}")
    await pool.redis("EXPIRE", "appliance:detached:a", 60)


CHANGES: dict[str, Callable[[StorePool], Awaitable[Any]]] = {
    "create": lambda pool: pool.create("new"),
    "join": lambda pool: pool.join("m"),
    "end": forget,
    "suspicion": lambda pool: pool.store.suspect_server(A),
    "failure": lambda pool: pool.fail(A),
    "offline": lambda pool: pool.lose(A),
    "state": lambda pool: pool.store.set_server_state(A, ServerState.CORDONED),
    "multiplier": lambda pool: pool.store.update_server(A, ServerChange(load_multiplier=3.0)),
    "url": lambda pool: pool.store.update_server(A, ServerChange(url="https://c/")),
    "detached meeting": detach,
    "load set by a Scalelite": lambda pool: pool.redis("ZADD", "server_load", 77, "a"),
    "users set by a Scalelite": lambda pool: pool.redis("HSET", "server:a", "users", 77),
    "double": lambda pool: pool.poll(B, {"m": 1}, age_ms=OLD_MS + 1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_mark_changes_with_what_a_poll_must_record(
    settled: StorePool, change: Callable[[StorePool], Awaitable[Any]]
) -> None:
    before = await mark_of(settled)
    await change(settled)
    assert await mark_of(settled) != before


async def test_mark_changes_when_a_joined_meeting_without_users_is_watched(
    settled: StorePool,
) -> None:
    """A poll after the join decides whether its users have come (watch_versions.lua)."""
    await settled.create("n")
    settled.now_ms += OLD_MS
    await settled.redis("HSET", "appliance:meeting:n", "joins", 1)
    assert (await settled.poll(A, {"m": 4, "n": 0}, age_ms=OLD_MS)).mark
    await settled.redis("HSET", "appliance:version_shares", "3.0", 5000)
    before = await mark_of(settled)
    await settled.store.redis.background.run("watch_versions", settled.now_ms, 1, 1, 1, "n")
    assert await mark_of(settled) != before


def listed(id: str, users: int, **fields: Any) -> ListedMeeting:
    old_ms = fields.pop("created_ms", 1)
    return ListedMeeting(id, old_ms, users, 0, 0, is_breakout=fields.pop("breakout", False))


async def _poll(pool: StorePool, *meetings: ListedMeeting, **fields: Any) -> str:
    return (await pool.poll(A, meetings, **fields)).mark


async def young(pool: StorePool) -> str:
    return await _poll(pool, listed("m", 4, created_ms=pool.now_ms - MINUTE_MS))


async def foreign(pool: StorePool) -> str:
    return await _poll(pool, listed("m", 4), listed("foreign", 1))


async def elsewhere(pool: StorePool) -> str:
    await pool.redis("ZADD", "server_load", 999, "a")
    await pool.create("on b")
    return await _poll(pool, listed("m", 4), listed("on b", 1))


async def missing(pool: StorePool) -> str:
    return await _poll(pool)


async def being_created(pool: StorePool) -> str:
    await pool.create("new", confirm=False)
    return await _poll(pool, listed("m", 4), listed("new", 0))


async def joined_meanwhile(pool: StorePool) -> str:
    await pool.join("m")
    await pool.join("m")
    return await _poll(pool, listed("m", 4), joins_before=0.0)


async def just_back(pool: StorePool) -> str:
    await pool.lose(A)
    return await _poll(pool, listed("m", 4))


async def cordoned(pool: StorePool) -> str:
    await pool.store.set_server_state(A, ServerState.CORDONED)
    return await _poll(pool, listed("m", 4))


@pytest.mark.parametrize(
    "poll",
    [
        *(young, foreign, elsewhere, missing, being_created, joined_meanwhile, just_back),
        cordoned,
    ],
)
async def test_there_is_no_mark_while_the_same_list_may_change_something(
    settled: StorePool, poll: Callable[[StorePool], Awaitable[str]]
) -> None:
    assert await poll(settled) == ""


async def test_breakout_room_without_a_record_keeps_no_poll_from_being_the_same(
    settled: StorePool,
) -> None:
    assert await _poll(settled, listed("m", 4), listed("room", 2, breakout=True))
