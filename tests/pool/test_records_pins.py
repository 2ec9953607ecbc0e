"""PINs: which meeting one belongs to, and the count of wrong ones."""

from __future__ import annotations

import pytest

from appliance.dialin.dialplan import CALL_WINDOW_MS, WRONG_PINS_WINDOW_MS, WrongPins
from appliance.dialin.store import FoundMeeting, GuessCounters
from appliance.model import Meeting, ServerState
from tests.doubles.store_pool import StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

PIN = "123456789"
COUNTERS = GuessCounters(call="c", number="n", gateway="g")


async def look_up(
    pool: StorePool,
    pin: str = PIN,
    parent: str | None = None,
    *,
    counters: GuessCounters = COUNTERS,
) -> Meeting | WrongPins:
    found = await pool.store.find_voice_bridge(pin, parent, counters=counters, now_ms=pool.now_ms)
    return found.meeting if isinstance(found, FoundMeeting) else found


async def found_id(pool: StorePool, pin: str, parent: str | None = None) -> str | None:
    found = await look_up(pool, pin, parent)
    return found.id if isinstance(found, Meeting) else None


async def counts(pool: StorePool) -> list[str]:
    return sorted(
        [name for name in "cng" if await pool.redis("EXISTS", f"appliance:wrong_pins:{name}")]
    )


async def test_pin_finds_the_meeting_with_its_server_in_one_round_trip(pool: StorePool) -> None:
    await pool.add("a")
    created = await pool.create("m", voice_bridges=(PIN,))
    before = pool.store.client.round_trips

    found = await look_up(pool)

    assert pool.store.client.round_trips - before == 1
    assert found == await pool.find("m")
    assert isinstance(found, Meeting)
    assert found.server == created.server
    assert found.reachable


async def test_pin_of_a_breakout_room_finds_its_parent_in_one_round_trip(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", voice_bridges=(PIN,))
    before = pool.store.client.round_trips

    assert await found_id(pool, f"{PIN}1", PIN) == "m"
    assert pool.store.client.round_trips - before == 1
    assert await counts(pool) == []


async def test_own_number_comes_before_the_parents(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", voice_bridges=("12345",))
    await pool.create("other", voice_bridges=("123456",))

    assert await found_id(pool, "123456", "12345") == "other"
    assert await found_id(pool, "123457", "12345") == "m"
    assert await found_id(pool, "123457") is None


async def test_unknown_pin_finds_nothing(pool: StorePool) -> None:
    assert await look_up(pool, "1", None) == WrongPins(1, 1, 1)
    assert await look_up(pool, "123456", "12345") == WrongPins(2, 2, 2)


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

    assert isinstance(found, Meeting)
    assert found.reachable == reachable
    assert await counts(pool) == []


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


async def test_wrong_pins_are_counted_by_call_number_and_gateway(pool: StorePool) -> None:
    assert await look_up(pool, "1") == WrongPins(1, 1, 1)
    assert await look_up(pool, "1", counters=GuessCounters("c2", "n", "g")) == WrongPins(1, 2, 2)
    assert await look_up(pool, "1", counters=GuessCounters("", "", "g")) == WrongPins(0, 0, 3)
    assert await counts(pool) == ["c", "g", "n"]


async def test_right_pin_is_found_however_many_were_wrong(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", voice_bridges=(PIN,))
    for _ in range(50):
        await look_up(pool, "1")

    assert await found_id(pool, PIN) == "m"
    assert await look_up(pool, "1") == WrongPins(51, 51, 51)


async def test_wrong_pins_are_forgotten_after_their_window(pool: StorePool) -> None:
    for _ in range(2):
        await look_up(pool, "1")
    windows_ms = {"c": CALL_WINDOW_MS, "n": WRONG_PINS_WINDOW_MS, "g": WRONG_PINS_WINDOW_MS}
    for name, window_ms in windows_ms.items():
        left_ms = await pool.redis("PTTL", f"appliance:wrong_pins:{name}")
        assert window_ms - 30_000 < left_ms <= window_ms
    await pool.redis("PEXPIRE", "appliance:wrong_pins:n", 0)

    assert await look_up(pool, "1") == WrongPins(3, 1, 3)


async def test_wrong_pins_are_counted_together_by_all_appliances(
    pool: StorePool, redis_url: str
) -> None:
    async with open_store_pool(redis_url, pool.namespace) as other:
        await look_up(pool, "1")

        assert await look_up(other, "1") == WrongPins(2, 2, 2)
