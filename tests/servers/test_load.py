"""Load and counts of a server from its meetings: observe_server.lua on a real Redis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.model import LoadWeights, PlacementRules, ServerId, ServerState
from appliance.servers.load import Counts, counts, make_observation
from tests.doubles.store_pool import START_MS as NOW_MS
from tests.doubles.store_pool import StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

BUFFER_MS = 900_000
OLD_MS = NOW_MS - BUFFER_MS
YOUNG_MS = OLD_MS + 1
CAMERAS = LoadWeights(user=1.0, video=4.0, voice=0.5, meeting=2.0)


def listed(
    meeting_id: str = "m",
    created_ms: int = OLD_MS,
    participants: int = 0,
    moderators: int = 0,
    videos: int = 0,
    is_breakout: bool = False,
    voice: int = 0,
) -> ListedMeeting:
    return ListedMeeting(
        meeting_id, created_ms, participants, moderators, videos, is_breakout, voice=voice
    )


async def measured(
    pool: StorePool, meetings: list[ListedMeeting], expected: dict[str, int], multiplier: float
) -> float:
    """Return the load after a poll; `expected` are the seats reserved by id."""
    one = await pool.add("a", load_multiplier=multiplier)
    for meeting_id, seats in expected.items():
        rules = pool.store.rules
        object.__setattr__(pool.store, "rules", replace(rules, min_user_count=seats))
        await pool.create(meeting_id)
        object.__setattr__(pool.store, "rules", rules)
    await pool.poll(one, meetings)
    await pool.check_layout()
    load = await pool.load(one)
    assert load is not None
    return load


@pytest.mark.parametrize(
    ("meetings", "expected", "rules", "load"),
    [
        pytest.param([], {}, {}, 0, id="no meeting"),
        pytest.param([listed(participants=7, moderators=2)], {}, {}, 9, id="moderators twice"),
        pytest.param(
            [listed(participants=7, moderators=2)],
            {},
            {"count_moderators_twice": False},
            7,
            id="moderators once",
        ),
        pytest.param([listed(created_ms=YOUNG_MS)], {}, {}, 15, id="young, not ours"),
        pytest.param([listed(created_ms=OLD_MS)], {}, {}, 0, id="old and empty"),
        pytest.param([listed(created_ms=YOUNG_MS)], {"m": 40}, {}, 40, id="young, reserved"),
        pytest.param(
            [listed(created_ms=YOUNG_MS)], {"m": 4}, {}, 4, id="young, reserved below the minimum"
        ),
        pytest.param([listed(created_ms=OLD_MS)], {"m": 40}, {}, 0, id="old, reserved"),
        pytest.param(
            [listed(created_ms=YOUNG_MS, participants=50)], {"m": 40}, {}, 50, id="young and full"
        ),
        pytest.param(
            [listed(created_ms=NOW_MS + 5000)], {}, {}, 15, id="clock of the server is ahead"
        ),
        pytest.param([listed(created_ms=0, participants=3)], {}, {}, 3, id="no create time"),
        pytest.param(
            [listed(created_ms=NOW_MS, participants=3)],
            {},
            {"join_buffer_ms": 0},
            3,
            id="no buffer",
        ),
        pytest.param(
            [listed(created_ms=YOUNG_MS, participants=99, is_breakout=True)],
            {"m": 40},
            {},
            0,
            id="breakout room",
        ),
        pytest.param(
            [listed(participants=8), listed("n", YOUNG_MS)],
            {},
            {"multiplier": 0.5},
            11.5,
            id="multiplier",
        ),
        pytest.param(
            [listed(participants=8), listed(participants=2)], {}, {}, 10, id="an id listed twice"
        ),
    ],
)
async def test_load_follows_scalelites_formula(
    redis_url: str,
    redis_namespace: str,
    meetings: list[ListedMeeting],
    expected: dict[str, int],
    rules: dict[str, Any],
    load: float,
) -> None:
    multiplier = rules.pop("multiplier", 1.0)
    async with open_store_pool(redis_url, redis_namespace, PlacementRules(**rules)) as pool:
        assert await measured(pool, meetings, expected, multiplier) == load


@pytest.mark.parametrize(
    ("meetings", "expected", "weights", "load"),
    [
        pytest.param([], {}, CAMERAS, 0, id="no meeting"),
        pytest.param([listed(participants=7, moderators=2)], {}, CAMERAS, 9, id="moderators once"),
        pytest.param(
            [listed(participants=10, videos=3, voice=4)], {}, CAMERAS, 26, id="each weight"
        ),
        pytest.param(
            [listed(participants=10, videos=3, voice=4), listed("n", participants=1)],
            {},
            CAMERAS,
            29,
            id="two meetings",
        ),
        pytest.param([listed("n", YOUNG_MS, participants=3)], {}, CAMERAS, 5, id="young, not ours"),
        pytest.param([listed(created_ms=YOUNG_MS)], {"m": 40}, CAMERAS, 42, id="young, reserved"),
        pytest.param(
            [listed(created_ms=YOUNG_MS, participants=50, videos=1)],
            {"m": 40},
            CAMERAS,
            56,
            id="young and full",
        ),
        pytest.param([listed(created_ms=OLD_MS)], {"m": 40}, CAMERAS, 2, id="old, reserved"),
        pytest.param(
            [listed(participants=99, videos=9, is_breakout=True)], {}, CAMERAS, 0, id="breakout"
        ),
        pytest.param(
            [listed(participants=9, videos=5)],
            {},
            LoadWeights(user=0, video=0.25),
            1.25,
            id="cameras alone",
        ),
    ],
)
@pytest.mark.parametrize("multiplier", [1.0, 2.5])
async def test_load_follows_the_weights(
    redis_url: str,
    redis_namespace: str,
    meetings: list[ListedMeeting],
    expected: dict[str, int],
    weights: LoadWeights,
    load: float,
    multiplier: float,
) -> None:
    async with open_store_pool(redis_url, redis_namespace, PlacementRules(weights)) as pool:
        assert await measured(pool, meetings, expected, multiplier) == load * multiplier


async def test_a_create_and_joins_add_what_the_weights_say(
    redis_url: str, redis_namespace: str
) -> None:
    rules = PlacementRules(LoadWeights(3.0, 4.0, 5.0, 7.0), min_user_count=2)
    async with open_store_pool(redis_url, redis_namespace, rules) as pool:
        one = await pool.add("a", load_multiplier=2.0)
        meeting = await pool.create("m")
        loads = [await pool.load(one)]
        for _ in range(3):
            await pool.join("m")
            loads.append(await pool.load(one))
        assert loads == [2 * (2 * 3 + 7)] * 3 + [2 * (3 * 3 + 7)]
        await pool.forget(meeting)
        assert await pool.load(one) == 0


async def test_joins_during_a_poll_are_added_with_the_weight_of_a_user(
    redis_url: str, redis_namespace: str
) -> None:
    rules = PlacementRules(LoadWeights(3.0, meeting=1.0), min_user_count=0)
    async with open_store_pool(redis_url, redis_namespace, rules) as pool:
        one = await pool.add("a", load_multiplier=2.0, max_users=4)
        await pool.create("m")
        await pool.join("m")
        start = await pool.store.begin_poll(one)
        assert start is not None
        await pool.join("m")
        await pool.join("m")
        result = await pool.poll(one, {"m": 1}, joins_before=start.joins)
        assert result.load == 2 * (1 + 3 * 1 + 3 * 2)
        assert await pool.redis("HGET", "appliance:load:a", "pending_users") == "2"


async def test_cameras_of_the_last_run_are_expected_of_the_next(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_store_pool(redis_url, redis_namespace, PlacementRules(CAMERAS)) as pool:
        one = await pool.add("a")
        meeting = await pool.create("m")
        await pool.poll(one, [listed(participants=20, videos=10, voice=12)])
        await pool.poll(one, [listed(participants=30, videos=2, voice=20)])
        await pool.forget(meeting)
        await pool.poll(one, [])
        await pool.create("m")
        assert await pool.expected("m") == ["30", "10", "20"]
        assert await pool.load(one) == 30 + 4 * 10 + 0.5 * 20 + 2
        await pool.poll(one, [listed(created_ms=NOW_MS, participants=3, videos=12)])
        assert await pool.load(one) == 30 + 4 * 12 + 0.5 * 20 + 2

        await pool.lose(one)
        await pool.poll(one, [listed(created_ms=NOW_MS, participants=3)])
        assert await pool.expected("m") == ["30", "10", "20"]
        await pool.create("new", max_participants=5)
        assert await pool.expected("new") == ["5", "0", "0"]


async def test_least_loaded_server_is_the_one_with_fewer_cameras(
    redis_url: str, redis_namespace: str
) -> None:
    for weights, least in ((None, "b"), (CAMERAS, "a")):
        name = f"{redis_namespace}-{least}"
        async with open_store_pool(redis_url, name, PlacementRules(weights)) as pool:
            a, b = await pool.add("a"), await pool.add("b")
            await pool.poll(a, [listed("x", participants=50)])
            await pool.poll(b, [listed("y", participants=20, videos=20)])
            assert (await pool.create("m")).server_id == least


async def test_cordoned_server_with_a_load_of_0_stays_while_a_meeting_is_expected(
    redis_url: str, redis_namespace: str
) -> None:
    rules = PlacementRules(LoadWeights(user=0.0, video=1.0))
    async with open_store_pool(redis_url, redis_namespace, rules) as pool:
        one = await pool.add("a")
        await pool.create("m")
        await pool.store.set_server_state(one, ServerState.CORDONED)
        result = await pool.poll(one, [listed(created_ms=NOW_MS)])
        assert (result.load, result.auto_disabled) == (0, False)
        assert (await pool.poll(one, [listed()])).auto_disabled


@pytest.mark.parametrize("weights", [None, CAMERAS])
async def test_meetings_that_redis_need_not_know_count_the_same(
    redis_url: str, redis_namespace: str, weights: LoadWeights | None
) -> None:
    meetings = [
        listed("a", participants=3, videos=2),
        listed("b", YOUNG_MS, moderators=1),
        listed("b-1", participants=3, is_breakout=True),
        *(listed(f"c-{n}", participants=5, moderators=1, videos=1, voice=2) for n in range(3)),
    ]
    loads = []
    async with open_store_pool(redis_url, redis_namespace, PlacementRules(weights)) as pool:
        one = await pool.add("a")
        for known in (None, {"a"}, set[str]()):
            seen = make_observation(
                one, meetings, began_ms=NOW_MS, now_ms=NOW_MS, joins_before=0, known=known
            )
            assert seen.users == 21
            loads.append((await pool.store.observe_server(seen, healthy_threshold=1)).load)
    assert loads == [36.0 if weights is None else 51.0] * 3


def test_tenants_of_meetings_that_redis_need_not_know_are_named() -> None:
    meetings = [
        listed("a"),
        structs.replace(listed("b"), tenant_id="t"),
        listed("c", is_breakout=True),
    ]
    seen = make_observation(
        ServerId("s"), meetings, began_ms=1, now_ms=2, joins_before=0, known={"a"}
    )
    assert (seen.listed, seen.others) == ((meetings[0],), (meetings[1],))
    assert seen.stray_tenants == {"t", ""}


def test_counts_include_breakout_rooms() -> None:
    meetings = [
        listed("a", participants=3, moderators=1, videos=2),
        listed("b", participants=9, moderators=2, videos=1, is_breakout=True),
    ]

    assert counts(meetings) == Counts(meetings=2, users=12, largest_meeting=9, videos=3)


def test_counts_are_zero_when_nothing_runs() -> None:
    assert counts([]) == Counts(meetings=0, users=0, largest_meeting=0, videos=0)


async def test_large_class_goes_to_the_strong_one_of_unequal_servers(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_store_pool(redis_url, redis_namespace, PlacementRules(CAMERAS)) as pool:
        weak = await pool.add("weak", load_multiplier=2.0)
        strong = await pool.add("strong", load_multiplier=0.5)
        await pool.poll(strong, [listed("x", participants=40)])  # a load of 21, of none
        assert (await pool.create("small", max_participants=2)).server_id == weak
        assert (await pool.create("large", size_hint=100)).server_id == strong


async def test_new_classes_are_spread_over_unequal_servers_by_the_cameras_that_they_may_have(
    redis_url: str, redis_namespace: str
) -> None:
    """The load itself has none of them; a poll that sees cameras, and time, take them away."""
    async with open_store_pool(redis_url, redis_namespace, PlacementRules(CAMERAS)) as pool:
        a, b = await pool.add("a"), await pool.add("b")
        await pool.add("weak", load_multiplier=4.0)
        await pool.poll(b, [listed("x", participants=40)])  # a load of 42
        first = await pool.create("new")
        assert (first.server_id, await pool.load(a)) == (a, 15 + 2)
        # Half of the users may have a camera: 17 and 7.5 times 4.5 are more than 42.
        assert (await pool.create("second")).server_id == b
        await pool.poll(b, [listed("x", participants=40), listed("second", NOW_MS, videos=9)])
        assert await pool.redis("HGETALL", "appliance:unseen_load") == ["a", "33.75", "b", "3.75"]
        await pool.poll(a, [listed("new", NOW_MS - BUFFER_MS // 2)])  # half of them are left
        assert await pool.redis("HGET", "appliance:unseen_load", "a") == "16.875"
        await pool.poll(a, [listed("new", NOW_MS, videos=9, voice=9)])
        await pool.poll(b, [listed("x", participants=40), listed("second", OLD_MS, videos=9)])
        assert await pool.redis("HGETALL", "appliance:unseen_load") == []

        await pool.forget(first)
        await pool.create("new")  # known: nothing more is expected
        assert await pool.redis("HGETALL", "appliance:unseen_load") == []
        await pool.check_layout()


async def test_equal_servers_are_chosen_by_their_loads_alone(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_store_pool(redis_url, redis_namespace, PlacementRules(CAMERAS)) as pool:
        a, b = await pool.add("a"), await pool.add("b")
        await pool.poll(b, [listed("x", participants=40)])
        assert [(await pool.create(one)).server_id for one in ("new", "second")] == [a, a]
        assert await pool.redis("HGETALL", "appliance:unseen_load") == []
