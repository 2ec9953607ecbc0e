"""How evenly the appliance spreads meetings, compared with other rules.

    python benchmarks/placement.py [--quick] [--seeds 3] [--traces steady,unequal] ...

Replays arrival traces (appliance/simulation/traces.py) in simulated time with the appliance's
placement (its store on a private Redis), Scalelite's rule and others (rules.py). Prints a table;
writes JSON and a picture of the worst server's load over time into benchmarks/results. The same
seeds give the same figures.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import trio

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: benchmarks and tests are found from the root
    sys.path[0] = str(ROOT)

from appliance.model import PlacementRules  # noqa: E402
from appliance.simulation.line_plot import Panel, render_lines  # noqa: E402
from appliance.simulation.replay import HEADROOM, Outcome, fair_load, replay  # noqa: E402
from appliance.simulation.rules import SIMPLE_RULES, OracleRule, open_product_rule  # noqa: E402
from appliance.simulation.traces import TRACES, Trace, with_cameras  # noqa: E402
from benchmarks.report import render_table  # noqa: E402
from tests.doubles.store_servers import private_redis  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
GOAL, FIRST_GOAL = 1.10, 1.15
"""Maximum peak load of the worst server, as a multiple of the oracle's."""
PRODUCT = "product"
UNAIDED = "product, no forecast"
TRIED = "product, script"
USERS_ONLY = "product, users only"
"""With cameras: Scalelite's formula, which does not know them."""


@dataclass(frozen=True, slots=True)
class Task:
    """A trace with a seed, which one process replays with every rule."""

    trace: str
    seed: int
    small: bool
    cameras: bool
    script: str
    """Text of another place_meeting.lua to compare with, or ''."""


@dataclass(frozen=True, slots=True)
class Row:
    """The results of one rule on one trace: medians over the seeds."""

    trace: str
    rule: str
    spread: float
    against_oracle: float
    """Peak load of the worst server, as a multiple of the oracle's on the same trace."""
    least: float
    most: float
    """The same for the best and the worst seed."""
    over_users: int
    over_user_minutes: float


def main(arguments: Sequence[str]) -> int:
    """Replay the traces, print and write the results; a missed goal is no failure."""
    options = parse_options(arguments)
    began_s = time.monotonic()
    tasks = [
        Task(trace, seed, options.quick, options.cameras, options.script or "")
        for trace in options.traces
        for seed in range(options.seed, options.seed + options.seeds)
    ]
    with ProcessPoolExecutor(min(len(tasks), len(os.sched_getaffinity(0)))) as workers:
        found = dict(zip(tasks, workers.map(run_task, tasks), strict=True))
    rows = summarise(found)
    _say(f"took {time.monotonic() - began_s:.0f} s")
    print(f"\n{render_rows(rows)}\n\n{render_goal(rows)}\n")
    _write(options, found, rows)
    return 0


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with 2 and a usage line if it is wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks/placement.py", description="Compare rules.")
    add = parser.add_argument
    add("--seed", type=int, default=1, help="the first seed (1)")
    add("--seeds", type=_few, default=3, help="number of seeds, of which medians are taken (3)")
    add("--traces", type=_traces, default=tuple(TRACES), help=f"of {','.join(TRACES)}")
    add("--cameras", action="store_true", help="with cameras, and weights for them")
    add("--quick", action="store_true", help="a quarter of the servers and classes, one seed")
    add("--script", type=_script, help="another place_meeting.lua to compare with")
    add("--output", type=Path, default=RESULTS, help="directory for JSON and SVG")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds = 1
    return options


def _few(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError("must be from 1 to 100")
    return value


def _traces(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in chosen if name not in TRACES]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; of {', '.join(TRACES)}")
    return chosen


def _script(text: str) -> str:
    library = files("appliance.redis") / "lib.lua"
    try:
        return f"{library.read_text('utf-8')}\n{Path(text).read_text('utf-8')}"
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot be read: {error.strerror}") from None


# --- replay --------------------------------------------------------------------------------------


def run_task(task: Task) -> list[Outcome]:
    """Replay one trace with every rule, the oracle first."""
    with private_redis() as redis:
        return trio.run(_run_rules, task, redis.url)


def _trace_of(task: Task) -> Trace:
    trace = TRACES[task.trace](task.seed, task.small)
    return with_cameras(trace, task.seed) if task.cameras else trace


async def _run_rules(task: Task, redis_url: str) -> list[Outcome]:
    trace, seed = _trace_of(task), task.seed
    found = [await replay(trace, rule(trace, seed), seed) for rule in SIMPLE_RULES]
    weights = trace.weights if task.cameras else None
    variants = [
        (PRODUCT, PlacementRules(weights), ""),
        (UNAIDED, PlacementRules(weights, forecast=False), ""),
    ]
    if task.cameras:
        variants.append((USERS_ONLY, PlacementRules(), ""))
    if task.script:
        variants.append((TRIED, PlacementRules(weights), task.script))
    for name, rules, script in variants:
        async with open_product_rule(
            redis_url, name, trace.multipliers, seed, rules=rules, place_meeting=script
        ) as rule:
            found.append(await replay(trace, rule, seed))
    return found


# --- report --------------------------------------------------------------------------------------


def summarise(found: Mapping[Task, Sequence[Outcome]]) -> list[Row]:
    """Return a row for each trace and rule."""
    groups: dict[tuple[str, str], list[tuple[Outcome, float]]] = {}
    for outcomes in found.values():
        oracle = next(each for each in outcomes if each.rule == OracleRule.name)
        for each in outcomes:
            groups.setdefault((each.trace, each.rule), []).append((each, each.peak / oracle.peak))
    return [_row(key, group) for key, group in groups.items()]


def _row(key: tuple[str, str], group: Sequence[tuple[Outcome, float]]) -> Row:
    ratios = [ratio for _, ratio in group]
    return Row(
        *key,
        spread=statistics.median(each.spread for each, _ in group),
        against_oracle=statistics.median(ratios),
        least=min(ratios),
        most=max(ratios),
        over_users=round(statistics.median(each.over_users for each, _ in group)),
        over_user_minutes=statistics.median(each.over_user_minutes for each, _ in group),
    )


def render_rows(rows: Sequence[Row]) -> str:
    """Return the table."""
    heading = ["scenario", "rule", "worst / mean", "x oracle", "of seeds", "users over", "minutes"]
    table = [heading]
    for row in rows:
        table.append(
            [
                *(row.trace, row.rule, f"{row.spread:.2f}", f"{row.against_oracle:.2f}"),
                *(f"{row.least:.2f}-{row.most:.2f}", str(row.over_users)),
                f"{row.over_user_minutes:.0f}",
            ]
        )
    return render_table(table)


def render_goal(rows: Sequence[Row]) -> str:
    """Return, for each trace, whether the product reaches its goal."""
    lines = []
    for row in rows:
        if row.rule == PRODUCT:
            ratio = row.against_oracle
            reached = (
                "reached" if ratio <= GOAL else "above" if ratio <= FIRST_GOAL else "FAR ABOVE"
            )
            lines.append(f"{row.trace}: {ratio:.3f} x the oracle, goal {GOAL:.2f}: {reached}")
    return "\n".join(lines)


def _write(
    options: argparse.Namespace, found: Mapping[Task, Sequence[Outcome]], rows: Sequence[Row]
) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().astimezone()
    stem = options.output / f"placement-{now:%Y%m%d-%H%M%S}"
    stem.with_suffix(".json").write_text(json.dumps(_to_json(options, found, rows, now), indent=1))
    first = [outcomes for task, outcomes in found.items() if task.seed == options.seed]
    panels = [_panel(outcomes, options) for outcomes in first]
    title = f"Load of the worst server, {now:%Y-%m-%d %H:%M}"
    stem.with_suffix(".svg").write_text(render_lines(panels, title))
    _say(f"figures in {stem}.json, picture in {stem}.svg")


def _panel(outcomes: Sequence[Outcome], options: argparse.Namespace) -> Panel:
    name = outcomes[0].trace
    task = Task(name, options.seed, options.quick, options.cameras, "")
    capacity = HEADROOM * fair_load(_trace_of(task))
    lines = {each.rule: each.worst for each in outcomes}
    return Panel(f"{name}: users x multiplier; dashed: capacity", lines, capacity)


def _to_json(
    options: argparse.Namespace,
    found: Mapping[Task, Sequence[Outcome]],
    rows: Sequence[Row],
    now: datetime.datetime,
) -> dict[str, Any]:
    return {
        "taken": now.isoformat(timespec="seconds"),
        "options": {
            "seed": options.seed,
            "seeds": options.seeds,
            "quick": options.quick,
            "cameras": options.cameras,
        },
        "rows": [asdict(row) for row in rows],
        "outcomes": [
            {
                "seed": task.seed,
                **{name: value for name, value in asdict(each).items() if name != "worst"},
            }
            for task, outcomes in found.items()
            for each in outcomes
        ],
    }


def _say(text: str) -> None:
    print(f"placement: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
