"""The load of a pool during the replay of a trace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.model import LoadWeights, PlacementRules
from appliance.simulation.replay import Outcome, Run, fair_load, replay
from appliance.simulation.rules import (
    SIMPLE_RULES,
    InformedRule,
    OracleRule,
    RoundRobinRule,
    ScaleliteRule,
    open_product_rule,
)
from appliance.simulation.traces import DAY_MS, HOUR_MS, MINUTE_MS, TRACES, Session, Trace
from tests.doubles.store_servers import private_redis

START_MS = DAY_MS + 8 * HOUR_MS


def _session(name: str, size: int, at_ms: int = START_MS) -> Session:
    """Return a class whose users join in the second minute and leave after half an hour."""
    joins = tuple(at_ms + MINUTE_MS + number for number in range(size))
    return Session(name, at_ms, joins, (at_ms + 30 * MINUTE_MS,) * size)


def _trace(
    *sessions: Session, multipliers: tuple[float, ...] = (1.0, 1.0), **fields: object
) -> Trace:
    return Trace(
        "trace",
        multipliers,
        sessions,
        START_MS,
        START_MS + HOUR_MS,
        **fields,  # type: ignore[arg-type]
    )


UNEVEN = _trace(*(_session(f"class-{n}", size) for n, size in enumerate((40, 10, 10, 20))))


async def test_oracle_spreads_by_final_size() -> None:
    outcome = await replay(UNEVEN, OracleRule(UNEVEN, 1), 1)

    assert (outcome.peak, outcome.fair, outcome.spread) == (40, 40, 1.0)
    assert outcome.over_users == 0


async def test_informed_rule_knows_the_classes_of_the_day_before_and_the_mean_of_new_ones() -> None:
    """The new class counts as 30, the mean of the others, until more users are there."""
    sizes = {"large": 50, "new": 40, "small": 10, "other": 25}
    today = [_session(name, size, START_MS + n) for n, (name, size) in enumerate(sizes.items())]
    before = [
        _session(name, size, START_MS - DAY_MS) for name, size in (("large", 50), ("small", 10))
    ]
    trace = _trace(*before, *today)
    # 50 | 30 expected, then 40 expected with the small one, so the other one goes there as well.
    assert (await replay(trace, InformedRule(trace, 1), 1)).peak == 40 + 10 + 25


async def test_round_robin_spreads_by_number() -> None:
    outcome = await replay(UNEVEN, RoundRobinRule(UNEVEN, 1), 1)

    assert outcome.peak == 50


async def test_larger_server_has_less_load_for_the_same_users() -> None:
    trace = _trace(_session("a", 30), multipliers=(0.5,))

    outcome = await replay(trace, OracleRule(trace, 1), 1)

    assert (outcome.peak, fair_load(trace)) == (15, 15)


async def test_scalelite_sends_a_burst_to_the_emptier_server() -> None:
    sessions = [_session("old", 30)]
    sessions += [_session(f"new-{n}", 30, START_MS + 10 * MINUTE_MS + n) for n in range(8)]
    trace = _trace(*sessions)

    outcome = await replay(trace, ScaleliteRule(trace, 1), 1)

    assert outcome.peak == 8 * 30


async def test_users_above_capacity_are_counted() -> None:
    trace = _trace(_session("a", 100))

    outcome = await replay(trace, OracleRule(trace, 1), 1)

    assert outcome.over_users == 38  # 100 less 1.25 times a fair share of 50, rounded
    assert outcome.over_user_minutes == pytest.approx(37.5 * 29, rel=0.02)


async def test_class_is_created_on_another_server_when_its_server_is_lost() -> None:
    lost = ((START_MS + 5 * MINUTE_MS, 0),)
    trace = _trace(_session("a", 20), _session("b", 10), lost=lost)
    rule = OracleRule(trace, 1)
    placed: list[tuple[str, int]] = []
    choose = rule.choose

    def noted(run: Run) -> int:
        server = choose(run)
        placed.append((run.session.id, server))
        return server

    rule.choose = noted  # type: ignore[method-assign]
    outcome = await replay(trace, rule, 1)

    assert placed == [("a", 0), ("b", 1), ("a", 1)]
    assert outcome.peak == 30


@pytest.mark.parametrize("name", TRACES)
async def test_every_rule_completes_a_small_trace(name: str) -> None:
    trace = TRACES[name](3, True)
    for rule in SIMPLE_RULES:
        outcome = await replay(trace, rule(trace, 3), 3)
        assert outcome.spread >= 0.99
        assert outcome.worst


async def test_product_places_by_the_sizes_of_the_day_before_when_it_forecasts() -> None:
    today = UNEVEN.sessions
    before = [_session(s.id, s.size, s.created_ms - DAY_MS) for s in today]
    trace = _trace(*before, *today)

    with private_redis() as redis:
        outcomes = [
            await _replay_product(redis.url, trace, PlacementRules(forecast=forecast))
            for forecast in (True, False)
        ]

    assert outcomes[0].peak == 40
    assert outcomes[1].peak >= 50


async def _replay_product(url: str, trace: Trace, rules: PlacementRules) -> Outcome:
    async with open_product_rule(url, "product", trace.multipliers, 1, rules=rules) as rule:
        return await replay(trace, rule, 1)


async def test_cameras_cost_what_the_weights_say() -> None:
    """Two classes of 30 with cameras and two of 40 without: users alone say nothing of that."""
    weights = LoadWeights(user=1.0, video=4.0, voice=0.5, meeting=2.0)
    sizes = ((30, 30), (30, 30), (40, 0), (40, 0))
    today = [
        replace(_session(f"class-{n}", size), cameras=cameras)
        for n, (size, cameras) in enumerate(sizes)
    ]
    before = [
        replace(_session(s.id, s.size, s.created_ms - DAY_MS), cameras=s.cameras) for s in today
    ]
    trace = _trace(*before, *today, weights=weights)
    one = 30 * 5.5 + 2 + 40 + 2
    assert fair_load(trace) == one
    assert (await replay(trace, OracleRule(trace, 1), 1)).peak == one

    with private_redis() as redis:
        counted = await _replay_product(redis.url, trace, PlacementRules(weights))
    assert counted.peak == one
