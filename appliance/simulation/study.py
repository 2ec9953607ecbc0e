"""What a timetable asks of a pool: replayed against the appliance's own rule, and two others.

The appliance's rule is the product itself, on a private Redis (rules.py); beside it Scalelite's,
and `perfect`, which knows how many will come to each class.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from appliance.log import Log
from appliance.model import PlacementRules
from appliance.simulation.line_plot import Panel, render_lines
from appliance.simulation.replay import SAMPLE_MS, Outcome, fair_load, replay
from appliance.simulation.rules import OracleRule, ScaleliteRule, open_product_rule
from appliance.simulation.timetable import Row, make_trace
from appliance.simulation.traces import MINUTE_MS, Trace
from appliance.system.embedded import open_embedded_stores

APPLIANCE, SCALELITE, PERFECT = "appliance", "Scalelite", "perfect"
MAX_SERVERS = 1000
_TRIALS = 8
"""Of numbers of servers, when one that suffices is looked for."""
_FIRST_GUESS = 1.1
"""The worst server has about this many fair shares."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out."""

    rows: tuple[Row, ...]
    multipliers: tuple[float, ...] | None
    """Load multipliers of the servers, one each; None: find out how many equal ones it takes."""
    capacity: int | None
    """Users that a server of multiplier 1 carries."""
    known: float
    forecast: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Study:
    """The outcomes on one pool."""

    trace: Trace
    outcomes: dict[str, Outcome]
    lost: Outcome
    """The appliance's, when the fullest server dies at the fullest moment."""
    users: int
    """At the fullest moment, all together."""
    fullest_ms: int


async def answer(question: Question, log: Log) -> Study:
    """Replay. Raises EmbeddedStoresError."""
    with tempfile.TemporaryDirectory(prefix="scalelite-simulate-") as directory:
        async with open_embedded_stores(
            Path(directory), redis=True, postgres=False, log=log
        ) as stores:
            assert stores.redis_url is not None
            if question.multipliers is not None:
                return await _study(question, question.multipliers, stores.redis_url)
            return await _find_pool(question, stores.redis_url)


async def _find_pool(question: Question, redis_url: str) -> Study:
    """Study the least number of equal servers that carry it, even if one is lost.

    The last number tried, if none does: a class may be larger than a server's capacity.
    """
    capacity = question.capacity
    assert capacity is not None
    trace = make_trace(question.rows, (1.0,), seed=question.seed, known=question.known)
    users, _ = _fullest(trace)
    count = max(2, math.ceil(users * _FIRST_GUESS / capacity) + 1)
    hopeless = max(session.size for session in trace.sessions) > capacity
    too_few, enough = 1, 0
    for _ in range(0 if hopeless else _TRIALS):
        pool = replace(trace, multipliers=(1.0,) * count)
        peak = (await _replay(question, _with_loss(pool), redis_url)).peak
        if peak > capacity and count < MAX_SERVERS:
            too_few = count
            # The peak falls about as the number of servers grows.
            count = min(MAX_SERVERS, max(count + 1, math.floor(count * peak / capacity)))
            continue
        enough = count
        if count - 1 == too_few:
            break
        count -= 1
    return await _study(question, (1.0,) * (enough or count), redis_url)


async def _study(question: Question, multipliers: Sequence[float], redis_url: str) -> Study:
    seed = question.seed
    trace = make_trace(question.rows, multipliers, seed=seed, known=question.known)
    users, fullest_ms = _fullest(trace)
    return Study(
        trace,
        {
            APPLIANCE: await _replay(question, trace, redis_url),
            SCALELITE: await replay(trace, ScaleliteRule(multipliers, seed), seed),
            PERFECT: await replay(trace, OracleRule(multipliers, seed), seed),
        },
        await _replay(question, _with_loss(trace), redis_url),
        users,
        fullest_ms,
    )


def _with_loss(trace: Trace) -> Trace:
    """Return the trace with its strongest server lost at the fullest moment."""
    multipliers = trace.multipliers
    if len(multipliers) == 1:
        return trace
    strongest = min(range(len(multipliers)), key=lambda number: multipliers[number])
    return replace(trace, lost=((_fullest(trace)[1], strongest),))


async def _replay(question: Question, trace: Trace, redis_url: str) -> Outcome:
    rules, seed = PlacementRules(forecast=question.forecast), question.seed
    async with open_product_rule(
        redis_url, APPLIANCE, trace.multipliers, seed, rules=rules
    ) as rule:
        return await replay(trace, rule, seed)


def _fullest(trace: Trace) -> tuple[int, int]:
    """Return the most users at once on the measured day, and when."""
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


def to_json(study: Study, question: Question) -> dict[str, Any]:
    """Return the study as a document."""
    minute = study.fullest_ms // MINUTE_MS % (24 * 60)
    measured = [s for s in study.trace.sessions if s.created_ms >= study.trace.measured_from_ms]
    needed = math.ceil(study.outcomes[APPLIANCE].peak)
    needed_lost = math.ceil(max(study.lost.peak, study.outcomes[APPLIANCE].peak))
    return {
        "classes": len(measured),
        "largest_class": max(session.size for session in measured),
        "users_at_peak": study.users,
        "peak_time": f"{minute // 60:02}:{minute % 60:02}",
        "servers": len(study.trace.multipliers),
        "multipliers": list(study.trace.multipliers),
        "rules": {
            name: {"worst_server": round(one.peak), "fair_share": round(one.fair, 1)}
            for name, one in study.outcomes.items()
        },
        "capacity_needed": needed,
        "capacity_needed_if_one_is_lost": needed_lost,
        "capacity": question.capacity,
        "enough": None if question.capacity is None else needed <= question.capacity,
        "enough_if_one_is_lost": (
            None if question.capacity is None else needed_lost <= question.capacity
        ),
    }


def render_picture(study: Study, question: Question) -> str:
    """Return the load of the worst server over the day, as SVG."""
    level = float(question.capacity) if question.capacity else fair_load(study.trace)
    what = "capacity" if question.capacity else "a fair share of the peak"
    lines = {name: one.worst for name, one in study.outcomes.items()}
    lines["appliance, a server lost"] = study.lost.worst
    panel = Panel(f"users x multiplier; dashed: {what}", lines, level)
    return render_lines([panel], f"The worst of {len(study.trace.multipliers)} servers")
