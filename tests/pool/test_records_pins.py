"""Pins: which meeting one belongs to, and how many wrong ones a caller may enter."""

from __future__ import annotations

import pytest

from appliance.dialin.dialplan import WRONG_PINS_WINDOW_MS, PinLookup, PinOutcome
from appliance.model import ServerState
from tests.doubles.store_pool import StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

PIN = "123456789"


async def look_up(
    pool: StorePool, pin: str = PIN, parent: str | None = None, *, caller: str = "c", most: int = 30
) -> PinLookup:
    return await pool.store.find_voice_bridge(
        pin, parent, caller=caller, max_wrong=most, now_ms=pool.now_ms
    )


async def found_id(pool: StorePool, pin: str, parent: str | None = None) -> str | None:
    found = await look_up(pool, pin, parent)
    assert (found.outcome is PinOutcome.FOUND) == (found.meeting is not None)
    return found.meeting.id if found.meeting else None


async def test_pin_finds_the_meeting_with_its_server_in_one_round_trip(pool: StorePool) -> None:
    await pool.add("a")
    created = await pool.create("m", voice_bridges=(PIN,))
    before = pool.store.client.round_trips

    found = await look_up(pool)

    assert pool.store.client.round_trips - before == 1
    assert found == PinLookup(PinOutcome.FOUND, 0, await pool.find("m"))
    assert found.meeting is not None
    assert found.meeting.server == created.server
    assert found.meeting.reachable


async def test_pin_of_a_breakout_room_finds_its_parent_in_one_round_trip(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", voice_bridges=(PIN,))
    before = pool.store.client.round_trips

    assert await found_id(pool, f"{PIN}1", PIN) == "m"
    assert pool.store.client.round_trips - before == 1
    assert (await look_up(pool)).wrong == 0


async def test_own_number_comes_before_the_parents(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", voice_bridges=("12345",))
    await pool.create("other", voice_bridges=("123456",))

    assert await found_id(pool, "123456", "12345") == "other"
    assert await found_id(pool, "123457", "12345") == "m"
    assert await found_id(pool, "123457") is None


async def test_unknown_pin_finds_nothing(pool: StorePool) -> None:
    assert await look_up(pool, "1", None) == PinLookup(PinOutcome.UNKNOWN, 1)
    assert await look_up(pool, "123456", "12345") == PinLookup(PinOutcome.UNKNOWN, 2)


@pytest.mark.parametrize(
    ("state", "online", "reachable"),
    [
        (ServerState.ENABLED, True, True),
        (ServerState.CORDONED, True, True),
        (ServerState.DISABLED, True, False),
        (ServerState.ENABLED, False, False),
    ],
)
async def test_pin_says_whether_the_server_takes_calls(
    pool: StorePool, state: ServerState, online: bool, reachable: bool
) -> None:
    pool.loose_ends = True  # a server that is off and in a load set
    server = await pool.add("a")
    await pool.create("m", voice_bridges=(PIN,))
    await pool.store.set_server_state(server, state)
    await pool.redis("HSET", "server:a", "online", "true" if online else "false")

    found = await look_up(pool)

    assert found.meeting is not None
    assert found.meeting.reachable == reachable
    assert found.wrong == 0


async def test_detached_meeting_has_no_pin_until_it_is_taken_back(pool: StorePool) -> None:
    server = await pool.add("a")
    await pool.create("m", voice_bridges=(PIN,))

    await pool.lose(server)
    assert await found_id(pool, PIN) is None

    await pool.poll(server, {"m": 3})
    assert await found_id(pool, PIN) == "m"


async def test_number_of_a_meeting_that_is_over_is_unknown(pool: StorePool) -> None:
    await pool.add("a")
    await pool.forget(await pool.create("m", voice_bridges=(PIN,)))

    assert await found_id(pool, PIN) is None


@pytest.mark.parametrize("left", ["no record", "record with another number", "server removed"])
async def test_number_left_behind_is_unknown(pool: StorePool, left: str) -> None:
    pool.loose_ends = True
    await pool.add("a")
    await pool.create("m", voice_bridges=("77777",))
    await pool.redis("HSET", "voice_bridges", PIN, "gone" if left == "no record" else "m")
    if left == "server removed":
        await pool.redis("HSET", "meeting:m", "voice_bridge", PIN)
        await pool.redis("DEL", "server:a")

    assert await found_id(pool, PIN) is None


async def test_number_left_behind_does_not_hide_the_parents(pool: StorePool) -> None:
    pool.loose_ends = True
    await pool.add("a")
    await pool.create("m", voice_bridges=("12345",))
    await pool.redis("HSET", "voice_bridges", "123456", "gone")

    assert await found_id(pool, "123456", "12345") == "m"


async def test_record_without_a_number_of_its_own_is_found(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", voice_bridges=(PIN,))
    await pool.redis("HDEL", "meeting:m", "voice_bridge")

    assert await found_id(pool, PIN) == "m"

    await pool.redis("HSET", "meeting:m", "voice_bridge", PIN)


# --- wrong pins ----------------------------------------------------------------------------------


async def test_caller_is_turned_away_after_too_many_wrong_pins(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", voice_bridges=(PIN,))
    assert [(await look_up(pool, "1", most=3)).wrong for _ in range(3)] == [1, 2, 3]

    assert await look_up(pool, most=3) == PinLookup(PinOutcome.LIMITED, 3)
    assert await look_up(pool, "1", most=3) == PinLookup(PinOutcome.LIMITED, 3)
    assert (await look_up(pool, caller="other", most=3)).outcome is PinOutcome.FOUND


async def test_right_pin_neither_counts_nor_forgives(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", voice_bridges=(PIN,))
    await look_up(pool, "1", most=2)

    assert (await look_up(pool, most=2)).outcome is PinOutcome.FOUND
    assert (await look_up(pool, most=2)).wrong == 1
    assert (await look_up(pool, "1", most=2)).wrong == 2
    assert (await look_up(pool, most=2)).outcome is PinOutcome.LIMITED


async def test_wrong_pins_are_forgotten_a_minute_after_the_first(pool: StorePool) -> None:
    await look_up(pool, "1", most=2)
    await look_up(pool, "1", most=2)
    left_ms = await pool.redis("PTTL", "appliance:wrong_pins:c")
    assert 0 < left_ms <= WRONG_PINS_WINDOW_MS

    await pool.redis("PEXPIRE", "appliance:wrong_pins:c", 0)

    assert await look_up(pool, "1", most=2) == PinLookup(PinOutcome.UNKNOWN, 1)


async def test_wrong_pins_are_counted_together_by_all_appliances(
    pool: StorePool, redis_url: str
) -> None:
    async with open_store_pool(redis_url, pool.namespace) as other:
        await look_up(pool, "1", most=2)
        await look_up(other, "1", most=2)

        assert (await look_up(pool, "1", most=2)).outcome is PinOutcome.LIMITED
        assert (await look_up(other, "1", most=2)).outcome is PinOutcome.LIMITED


async def test_no_limit_keeps_no_count(pool: StorePool) -> None:
    for _ in range(5):
        assert await look_up(pool, "1", most=0) == PinLookup(PinOutcome.UNKNOWN, 0)
    assert await pool.redis("EXISTS", "appliance:wrong_pins:c") == 0
