"""place_meeting.lua chooses a server: candidates, tags, load, limits, unstable ones, ties."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from appliance.meetings.placement import TagRequest
from appliance.model import PlacementOutcome, ServerId, ServerState
from appliance.servers.values import ServerChange
from tests.doubles.store_pool import StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

NO_SERVER = PlacementOutcome.NO_SERVER.value
NO_TAGGED = PlacementOutcome.NO_TAGGED_SERVER.value


def server(name: str, **fields: Any) -> dict[str, Any]:
    """Return the arguments of Pool.add."""
    return {"name": name, **fields}


@dataclass(frozen=True, slots=True)
class Case:
    """A pool, a request, and the server or outcome that must come of it."""

    pool: tuple[dict[str, Any], ...]
    chosen: str
    request: dict[str, Any] = field(default_factory=dict)


OPTIONAL = {"tag": TagRequest(("big",), required=False)}
REQUIRED = {"tag": TagRequest(("big",), required=True)}

CASES = {
    "an empty pool": Case((), NO_SERVER),
    "the only server": Case((server("a"),), "a"),
    "the least loaded": Case(
        (server("a", load=30.5), server("b", load=30.25), server("c", load=100)), "b"
    ),
    "load is compared as a number": Case((server("a", load=9), server("b", load=10)), "a"),
    "no offline server": Case((server("a", online=False), server("b", load=50)), "b"),
    "no cordoned server": Case(
        (server("a", state=ServerState.CORDONED), server("b", load=50)), "b"
    ),
    "no disabled server": Case(
        (server("a", state=ServerState.DISABLED, load=None), server("b", load=50)), "b"
    ),
    "no server that was never polled": Case((server("a", load=None), server("b", load=9)), "b"),
    "none left": Case((server("a", state=ServerState.CORDONED),), NO_SERVER),
    "no excluded server": Case(
        (server("a"), server("b", load=50)), "b", {"excluded": frozenset({ServerId("a")})}
    ),
    "all excluded": Case((server("a"),), NO_SERVER, {"excluded": frozenset({ServerId("a")})}),
    # Tags
    "without a tag only untagged ones": Case((server("a", tag="big"), server("b", load=50)), "b"),
    "without a tag no tagged one": Case((server("a", tag="big"),), NO_SERVER),
    "the tagged one": Case((server("a"), server("b", load=50, tag="big")), "b", OPTIONAL),
    "another tag falls back": Case((server("a", tag="small"), server("b", load=50)), "b", OPTIONAL),
    "nothing to fall back on": Case((server("a", tag="small"),), NO_SERVER, OPTIONAL),
    "required and there": Case((server("a"), server("b", load=50, tag="big")), "b", REQUIRED),
    "required and not there": Case((server("a"), server("b", tag="small")), NO_TAGGED, REQUIRED),
    "required in an empty pool": Case((), NO_SERVER, REQUIRED),
    "tags are compared exactly": Case((server("a", tag="Big"),), NO_TAGGED, REQUIRED),
    "several tags, the least loaded of all": Case(
        (server("a", load=9, tag="big"), server("b", load=8, tag="far"), server("c")),
        "b",
        {"tag": TagRequest(("big", "far"), required=True)},
    ),
    "none is the untagged ones": Case(
        (server("a", load=9), server("b", load=8, tag="far")),
        "a",
        {"tag": TagRequest(("none",), required=True)},
    ),
    "none beside a tag": Case(
        (server("a", load=7), server("b", load=8, tag="big")),
        "a",
        {"tag": TagRequest(("big", "none"), required=True)},
    ),
    "a server tagged none": Case(
        (server("a", tag="none"),), "a", {"tag": TagRequest(("none",), required=True)}
    ),
    "an odd tag": Case(
        (server("a"), server("b", tag="ä:% x", load=5)),
        "b",
        {"tag": TagRequest(("ä:% x",), required=True)},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_place_chooses(pool: StorePool, case: Case) -> None:
    for one in case.pool:
        await pool.add(**one)
    placement = await pool.place("m", **case.request)
    if placement.meeting is None:
        assert placement.outcome == case.chosen
        assert await pool.find("m") is None
        assert await pool.bridges() == {}
    else:
        assert placement.outcome is PlacementOutcome.PLACED
        assert placement.meeting.server_id == case.chosen
        assert placement.moved_from is None


async def test_place_chooses_healthy_server_before_unstable(pool: StorePool) -> None:
    unstable, healthy = await pool.add("a"), await pool.add("b", load=500)
    await pool.fail(unstable)
    assert (await pool.create("m1")).server_id == healthy
    await pool.poll(unstable)
    assert (await pool.create("m2")).server_id == unstable


async def test_place_chooses_unstable_server_when_no_other_is_left(pool: StorePool) -> None:
    unstable = await pool.add("a")
    await pool.fail(unstable)
    await pool.add("b", state=ServerState.CORDONED)
    assert (await pool.create("m")).server_id == unstable


@pytest.mark.parametrize(
    ("required", "chosen"), [(False, "untagged"), (True, "tagged")], ids=["optional", "required"]
)
async def test_place_prefers_health_to_a_tag_unless_it_is_required(
    pool: StorePool, required: bool, chosen: str
) -> None:
    tagged = await pool.add("tagged", tag="big")
    await pool.add("untagged", load=80)
    await pool.fail(tagged)
    meeting = await pool.create("m", tag=TagRequest(("big",), required=required))
    assert meeting.server_id == chosen


async def test_place_keeps_to_the_tag_when_all_are_unstable(pool: StorePool) -> None:
    for one in (await pool.add("tagged", tag="big", load=9), await pool.add("untagged")):
        await pool.fail(one)
    meeting = await pool.create("m", tag=TagRequest(("big",), required=False))
    assert meeting.server_id == "tagged"


@pytest.mark.parametrize(
    ("tie_breaker", "chosen"),
    [(0.0, "a"), (0.24, "a"), (0.25, "b"), (0.5, "c"), (0.999_999_9, "d")],
)
async def test_place_breaks_ties_by_the_number_passed_in(
    pool: StorePool, tie_breaker: float, chosen: str
) -> None:
    for name in "abcd":
        await pool.add(name, load=7)
    await pool.add("e", load=8)
    assert (await pool.create("m", tie_breaker=tie_breaker)).server_id == chosen


async def test_place_reaches_every_one_of_many_equal_servers(pool: StorePool) -> None:
    # More than place_meeting.lua reads at once, so that it looks at a window of them.
    names = [f"s{number:03}" for number in range(150)]
    for name in names:
        await pool.add(name)
    chosen: Counter[str] = Counter()
    for number in range(600):
        placement = await pool.place("m", tie_breaker=(number + 0.5) / 600)
        assert placement.meeting is not None
        chosen[placement.meeting.server_id] += 1
        assert await pool.store.abandon_meeting(
            placement.meeting, now_ms=pool.now_ms, may_exist=False
        )
    assert len(chosen) > 140
    assert max(chosen.values()) < 40


async def test_place_finds_the_one_that_fits_among_many(pool: StorePool) -> None:
    for number in range(100):
        await pool.add(f"s{number:03}", tag="small")
    await pool.add("s050x", load=77, tag="big")
    for tie_breaker in (0.0, 0.5, 0.99):
        placement = await pool.place(f"m{tie_breaker}", tie_breaker=tie_breaker, **REQUIRED)
        assert placement.meeting is not None
        assert placement.meeting.server_id == "s050x"


@pytest.mark.parametrize(
    ("multiplier", "load"), [(1.0, 15), (2.5, 37.5), (0.1, 1.5), (1e-05, 0.00015)]
)
async def test_place_raises_load_by_reservation_times_multiplier(
    pool: StorePool, multiplier: float, load: float
) -> None:
    one = await pool.add("a", load_multiplier=multiplier)
    await pool.create("m")
    assert await pool.load(one) == pytest.approx(load)


@pytest.mark.parametrize("stored", ["-3", "0", "nan", "inf", "", "much"])
async def test_place_takes_a_multiplier_that_is_none_for_one(pool: StorePool, stored: str) -> None:
    one = await pool.add("a")
    await pool.redis("HSET", "server:a", "load_multiplier", stored)
    await pool.create("m")
    assert await pool.load(one) == 15
    assert (await pool.store.list_servers())[0].load_multiplier == 1.0


async def test_place_stops_at_max_meetings_counting_those_since_the_poll(pool: StorePool) -> None:
    one = await pool.add("a", max_meetings=3)
    await pool.poll(one, {"foreign": 4})
    await pool.create("m1")
    second = await pool.create("m2")
    assert (await pool.place("m3")).outcome is PlacementOutcome.NO_SERVER
    assert await pool.store.forget_meeting(second, now_ms=pool.now_ms)
    await pool.create("m3")
    await pool.poll(one, {"foreign": 4, "m1": 1, "m3": 1})
    assert (await pool.place("m4")).outcome is PlacementOutcome.NO_SERVER
    await pool.poll(one, {"m1": 1, "m3": 1})
    await pool.create("m4")


async def test_place_stops_at_max_users_counting_reservations(pool: StorePool) -> None:
    one = await pool.add("a", max_users=40)
    await pool.poll(one, {"foreign": 10})
    await pool.create("m1")
    abandoned = await pool.create("m2", confirm=False)
    assert (await pool.place("m3")).outcome is PlacementOutcome.NO_SERVER
    assert await pool.store.abandon_meeting(abandoned, now_ms=pool.now_ms, may_exist=False)
    assert (await pool.create("m3")).server_id == one


async def test_place_counts_users_who_are_still_to_come_against_max_users(pool: StorePool) -> None:
    one = await pool.add("a", max_users=40)
    await pool.create("m1", size_hint=40)
    await pool.poll(one, {"m1": 3})
    assert (await pool.place("m2")).outcome is PlacementOutcome.NO_SERVER
    pool.now_ms += pool.store.rules.join_buffer_ms
    await pool.poll(one, {"m1": 3}, age_ms=pool.store.rules.join_buffer_ms)
    assert (await pool.create("m2")).server_id == one


async def test_place_counts_joins_beyond_the_reservation_against_max_users(pool: StorePool) -> None:
    one = await pool.add("a", max_users=20)
    await pool.create("m1")
    for _ in range(19):
        await pool.join("m1")
    await pool.create("m2", max_participants=1)
    assert (await pool.place("m3")).outcome is PlacementOutcome.NO_SERVER
    await pool.poll(one, {"m1": 5, "m2": 0}, joins_before=0)
    assert (await pool.place("m3")).outcome is PlacementOutcome.NO_SERVER


async def test_place_sees_limits_only_where_they_are_set(pool: StorePool) -> None:
    one = await pool.add("a", max_meetings=1)
    await pool.create("m1")
    assert await pool.store.update_server(one, ServerChange(max_meetings=0, max_users=0))
    assert (await pool.create("m2")).server_id == one


async def test_place_passes_over_members_of_the_load_set_without_a_server(pool: StorePool) -> None:
    pool.loose_ends = True
    await pool.redis("ZADD", "server_load", 0, "ghost")
    await pool.add("a", load=9)
    assert (await pool.create("m")).server_id == "a"


async def test_place_avoids_the_server_that_failed_ambiguously_for_this_meeting(
    pool: StorePool,
) -> None:
    await pool.add("a")
    other = await pool.add("b", load=90)
    first = await pool.create("m", confirm=False)
    assert await pool.store.abandon_meeting(first, now_ms=pool.now_ms, may_exist=True)
    assert (await pool.create("m")).server_id == other
    assert (await pool.create("other")).server_id == "a"


async def test_place_goes_back_to_the_avoided_server_when_it_is_the_only_one(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    first = await pool.create("m", confirm=False)
    assert await pool.store.abandon_meeting(first, now_ms=pool.now_ms, may_exist=True)
    assert (await pool.create("m")).server_id == one
