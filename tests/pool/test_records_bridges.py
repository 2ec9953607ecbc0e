"""Voice bridge numbers: which candidate a placement takes, and when a number is free again."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from appliance.meetings.placement import Replaced
from appliance.model import PlacementOutcome
from tests.doubles.store_pool import MINUTE_MS, StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

TEN = tuple(str(number) for number in range(100_000_001, 100_000_011))


@dataclass(frozen=True, slots=True)
class Case:
    """Who owns which number before, and the number that must be taken (None: none is left)."""

    taken: str | None
    owners: dict[str, str] = field(default_factory=dict)
    candidates: tuple[str, ...] = ("1", "2", "3")


CASES = {
    "the first, free": Case("1"),
    "the external one first": Case("0471", candidates=("0471", "1", "2")),
    "the next where the external one is taken": Case(
        "1", {"0471": "running"}, candidates=("0471", "1", "2")
    ),
    "its own": Case("2", {"1": "running", "2": "m"}),
    "not one that a Scalelite has just reserved": Case("2", {"1": "about to be written"}),
    "not one of a running meeting": Case("3", {"1": "running", "2": "running"}),
    "not one of a detached meeting": Case("2", {"1": "detached"}),
    "all taken": Case(None, {"1": "running", "2": "detached", "3": "running"}),
    "the tenth of ten": Case(TEN[9], dict.fromkeys(TEN[:9], "running"), TEN),
    "ten taken": Case(None, dict.fromkeys(TEN, "running"), TEN),
    "no candidate": Case(None, candidates=()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_place_takes_number(pool: StorePool, case: Case) -> None:
    lost = await pool.add("lost")
    await pool.create("detached")
    await pool.lose(lost)
    await pool.add("a")
    await pool.create("running")
    before = await pool.bridges()
    for number, owner in case.owners.items():
        await pool.redis("HSET", "voice_bridges", number, owner)
    placement = await pool.place("m", voice_bridges=case.candidates)
    if case.taken is None:
        assert placement.outcome is PlacementOutcome.NO_VOICE_BRIDGE
        assert await pool.find("m") is None
        assert await pool.bridges() == {**before, **case.owners}
    else:
        assert placement.meeting is not None
        assert placement.meeting.voice_bridge == case.taken
        assert await pool.bridges() == {**before, **case.owners, case.taken: "m"}
    pool.loose_ends = True


@pytest.mark.parametrize("seen_by", ["a sweep", "another create"])
async def test_number_whose_meeting_is_gone_is_taken_after_a_minute(
    pool: StorePool, seen_by: str
) -> None:
    await pool.add("a")
    await pool.redis("HSET", "voice_bridges", "1", "gone")
    if seen_by == "a sweep":
        assert await pool.store.sweep(now_ms=pool.now_ms, grace_ms=MINUTE_MS) == 0
    else:
        assert (await pool.create("other", voice_bridges=("1", "3"))).voice_bridge == "3"
    pool.now_ms += MINUTE_MS - 1
    assert (await pool.create("too early", voice_bridges=("1", "4"))).voice_bridge == "4"
    pool.now_ms += 1
    assert (await pool.create("m", voice_bridges=("1", "2"))).voice_bridge == "1"
    assert (await pool.bridges())["1"] == "m"


async def test_number_that_its_meeting_no_longer_has_is_taken_after_a_minute(
    pool: StorePool,
) -> None:
    pool.loose_ends = True
    await pool.add("a")
    await pool.create("other", voice_bridges=("1",))
    await pool.redis("HSET", "voice_bridges", "2", "other")
    await pool.store.sweep(now_ms=pool.now_ms, grace_ms=MINUTE_MS)
    pool.now_ms += MINUTE_MS
    assert (await pool.create("m", voice_bridges=("1", "2"))).voice_bridge == "2"


async def test_nothing_is_counted_where_no_number_is_left(pool: StorePool) -> None:
    one = await pool.add("a")
    assert (await pool.place("m", voice_bridges=())).outcome is PlacementOutcome.NO_VOICE_BRIDGE
    assert await pool.load(one) == 0


async def test_number_is_free_again_when_the_meeting_is_over(pool: StorePool) -> None:
    await pool.add("a")
    meeting = await pool.create("m", voice_bridges=("1",))
    await pool.forget(meeting)
    assert await pool.bridges() == {}
    assert (await pool.create("other", voice_bridges=("1",))).voice_bridge == "1"


async def test_number_of_a_detached_meeting_is_kept_for_it(pool: StorePool) -> None:
    lost = await pool.add("a")
    await pool.create("m", voice_bridges=("1",))
    await pool.lose(lost)
    await pool.add("b")
    assert (await pool.create("other", voice_bridges=("1", "2"))).voice_bridge == "2"
    again = await pool.create("m", voice_bridges=("3",))
    assert again.voice_bridge == "1"


async def test_number_of_a_detached_meeting_outlives_a_failed_attempt_to_place_it_anew(
    pool: StorePool,
) -> None:
    lost = await pool.add("a")
    await pool.create("m", voice_bridges=("1",))
    await pool.lose(lost)
    await pool.add("b")
    attempt = await pool.create("m", confirm=False)
    assert await pool.store.abandon_meeting(attempt, now_ms=pool.now_ms, may_exist=False)
    assert await pool.bridges() == {"1": "m"}
    assert (await pool.poll(lost, {"m": 3})).taken_back == ("m",)


async def test_number_goes_with_the_newer_home_of_a_detached_meeting(pool: StorePool) -> None:
    lost = await pool.add("a")
    await pool.create("m", voice_bridges=("1",))
    await pool.lose(lost)
    await pool.add("b")
    await pool.forget(await pool.create("m"))
    assert await pool.bridges() == {}


async def test_number_is_free_when_the_detached_meeting_did_not_come_back(pool: StorePool) -> None:
    lost = await pool.add("a")
    await pool.create("m", voice_bridges=("1",))
    await pool.lose(lost)
    pool.now_ms += 5
    await pool.poll(lost, {})
    assert await pool.bridges() == {}


async def test_replaced_record_whose_number_was_lost_takes_another(pool: StorePool) -> None:
    await pool.add("a")
    await pool.add("b", load=50)
    first = await pool.create("m", confirm=False, voice_bridges=("1",))
    await pool.redis("HDEL", "voice_bridges", "1")
    await pool.create("thief", voice_bridges=("1",))
    second = await pool.create(
        "m", replaces=Replaced(first.server_id, first.placement), voice_bridges=("1", "2")
    )
    assert second.voice_bridge == "2"
    assert await pool.bridges() == {"1": "thief", "2": "m"}
