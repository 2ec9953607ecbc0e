"""The load of a pool under a timetable, replayed with the appliance's rule and two others.

The appliance's rule is its own code on a private Redis (rules.py). For comparison there are
Scalelite's rule and `perfect`, which knows the final size of each class.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from appliance.log import Log
from appliance.model import LoadWeights, PlacementRules
from appliance.simulation.cells import open_cells_rule
from appliance.simulation.line_plot import Panel, render_lines
from appliance.simulation.replay import SAMPLE_MS, Outcome, cost_of, fair_load, replay
from appliance.simulation.rules import OracleRule, ScaleliteRule
from appliance.simulation.timetable import Row, make_trace
from appliance.simulation.traces import MINUTE_MS, USERS_ALONE, Trace
from appliance.system.embedded.stores import open_embedded_stores

APPLIANCE, SCALELITE, PERFECT = "appliance", "Scalelite", "perfect"
ONE_POOL = "appliance, one pool"
"""Without cells, if there are some."""
USERS_ONLY = "appliance, users only"
"""Without the weights, if there are some."""
MAX_SERVERS = 1000
_TRIALS = 8
"""Maximum of pool sizes to try in the search for a sufficient one."""
_FIRST_GUESS = 1.1
"""Usual load of the most loaded server, in fair shares."""


@dataclass(frozen=True, slots=True)
class Options:
    """The timetable and the pool to study."""

    rows: tuple[Row, ...]
    multipliers: tuple[float, ...] | None
    """Load multiplier of each server; None: find the sufficient number of equal servers."""
    capacity: int | None
    """Users that a server of multiplier 1 can carry, or load in the unit of the weights."""
    known: float
    forecast: bool
    seed: int
    weights: LoadWeights | None = None
    """None: Scalelite's formula, and cameras cost nothing."""
    cameras: float = 0.0
    """Share of users with a camera."""
    cells: int = 1
    """Pools of their own, into which the servers are divided."""


@dataclass(frozen=True, slots=True)
class Study:
    """The results on one pool."""

    trace: Trace
    outcomes: dict[str, Outcome]
    lost: Outcome
    """The appliance's result if the strongest server is lost at the fullest moment."""
    users: int
    """Users of the whole pool at the fullest moment."""
    fullest_ms: int


async def run_study(options: Options, log: Log) -> Study:
    """Replay the timetable on a private Redis. Raises EmbeddedStoresError."""
    with tempfile.TemporaryDirectory(prefix="scalelite-simulate-") as directory:
        async with open_embedded_stores(
            Path(directory), redis=True, postgres=False, log=log
        ) as stores:
            assert stores.redis_url is not None
            if options.multipliers is not None:
                return await _study(options, options.multipliers, stores.redis_url)
            return await _find_pool(options, stores.redis_url)


async def _find_pool(options: Options, redis_url: str) -> Study:
    """Study the smallest pool of equal servers that is sufficient even if one server is lost.

    If no pool is, since a class may be larger than a server's capacity, study the last one tried.
    """
    capacity = options.capacity
    assert capacity is not None
    trace = _make_trace(options, (1.0,))
    count = max(2, options.cells, math.ceil(fair_load(trace) * _FIRST_GUESS / capacity) + 1)
    hopeless = _largest(trace) > capacity
    too_few, enough = 1, 0
    for _ in range(0 if hopeless else _TRIALS):
        pool = replace(trace, multipliers=(1.0,) * count)
        peak = (await _replay(options, _with_loss(pool), redis_url)).peak
        if peak > capacity and count < MAX_SERVERS:
            too_few = count
            # The peak is about inversely proportional to the number of servers.
            count = min(MAX_SERVERS, max(count + 1, math.floor(count * peak / capacity)))
            continue
        enough = count
        if count - 1 == too_few:
            break
        count -= 1
    return await _study(options, (1.0,) * (enough or count), redis_url)


async def _study(options: Options, multipliers: Sequence[float], redis_url: str) -> Study:
    seed = options.seed
    trace = _make_trace(options, multipliers)
    users, fullest_ms = _fullest(trace)
    outcomes = {APPLIANCE: await _replay(options, trace, redis_url)}
    if options.weights:
        plain = replace(options, weights=None)
        outcomes[USERS_ONLY] = await _replay(plain, trace, redis_url)
    if options.cells > 1:
        outcomes[ONE_POOL] = await _replay(replace(options, cells=1), trace, redis_url)
    outcomes[SCALELITE] = await replay(trace, ScaleliteRule(trace, seed), seed)
    outcomes[PERFECT] = await replay(trace, OracleRule(trace, seed), seed)
    return Study(
        trace,
        outcomes,
        await _replay(options, _with_loss(trace), redis_url),
        users,
        fullest_ms,
    )


def _make_trace(options: Options, multipliers: Sequence[float]) -> Trace:
    return make_trace(
        options.rows,
        multipliers,
        seed=options.seed,
        known=options.known,
        cameras=options.cameras,
        weights=options.weights or USERS_ALONE,
    )


def _largest(trace: Trace) -> float:
    return max(cost_of(trace.weights, one.size, one.cameras) for one in trace.sessions)


def _with_loss(trace: Trace) -> Trace:
    """Return the trace with the loss of the strongest server at the fullest moment."""
    multipliers = trace.multipliers
    if len(multipliers) == 1:
        return trace
    strongest = min(range(len(multipliers)), key=lambda number: multipliers[number])
    return replace(trace, lost=((_fullest(trace)[1], strongest),))


async def _replay(options: Options, trace: Trace, redis_url: str) -> Outcome:
    rules, seed = PlacementRules(options.weights, forecast=options.forecast), options.seed
    cells = min(options.cells, len(trace.multipliers))
    async with open_cells_rule(
        redis_url, APPLIANCE, trace.multipliers, seed, rules=rules, cells=cells
    ) as rule:
        return await replay(trace, rule, seed)


def _fullest(trace: Trace) -> tuple[int, int]:
    """Return the greatest number of users on the measured day, and its time."""
    changes = sorted(
        [(ms, 1) for session in trace.sessions for ms in session.joins_ms]
        + [(ms, -1) for session in trace.sessions for ms in session.leaves_ms]
    )
    users = most = 0
    when = trace.measured_from_ms
    for ms, change in changes:
        users += change
        if users > most and trace.measured_from_ms <= ms < trace.measured_to_ms:
            most, when = users, ms
    return most, when - when % SAMPLE_MS


def to_json(study: Study, options: Options) -> dict[str, Any]:
    """Return the study as a JSON document."""
    minute = study.fullest_ms // MINUTE_MS % (24 * 60)
    measured = [s for s in study.trace.sessions if s.created_ms >= study.trace.measured_from_ms]
    needed = math.ceil(study.outcomes[APPLIANCE].peak)
    needed_lost = math.ceil(max(study.lost.peak, study.outcomes[APPLIANCE].peak))
    return {
        "classes": len(measured),
        "largest_class": max(session.size for session in measured),
        "users_at_peak": study.users,
        "weights": options.weights and options.weights.to_script(),
        "largest_load": round(_largest(study.trace)),
        "peak_time": f"{minute // 60:02}:{minute % 60:02}",
        "servers": len(study.trace.multipliers),
        "cells": options.cells,
        "multipliers": list(study.trace.multipliers),
        "rules": {
            name: {"worst_server": round(one.peak), "fair_share": round(one.fair, 1)}
            for name, one in study.outcomes.items()
        },
        "capacity_needed": needed,
        "capacity_needed_if_one_is_lost": needed_lost,
        "capacity": options.capacity,
        "enough": None if options.capacity is None else needed <= options.capacity,
        "enough_if_one_is_lost": (
            None if options.capacity is None else needed_lost <= options.capacity
        ),
    }


def render_picture(study: Study, options: Options) -> str:
    """Return the load of the most loaded server over the day, as SVG."""
    level = float(options.capacity) if options.capacity else fair_load(study.trace)
    level_name = "capacity" if options.capacity else "a fair share of the peak"
    lines = {name: one.worst for name, one in study.outcomes.items()}
    lines["appliance, a server lost"] = study.lost.worst
    unit = "weighted load" if options.weights else "users"
    panel = Panel(f"{unit} x multiplier; dashed: {level_name}", lines, level)
    return render_lines([panel], f"The most loaded of {len(study.trace.multipliers)} servers")
