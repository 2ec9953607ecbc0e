"""The results of a benchmark as a table and as JSON.

Pure. The picture is made by plot.py.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.figures import SHARES, TARGET_CONNECTIONS, Cell, Measurement, Start

GENERATOR_LIMIT = 0.9
"""Share of a core above which the load generator may be the bottleneck."""
FOREIGN_LIMIT = 0.2
"""Cores used by other processes above which the report warns."""
HEADINGS = (
    *("scenario", "conn", "req/s", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "Redis ms"),
    *("busy", "others", "RSS MB", "errors", f"target at {TARGET_CONNECTIONS}", "reached"),
)
TEXT_COLUMNS = frozenset({"build", "scenario", HEADINGS[-2], "reached"})


def render_report(cells: Sequence[Cell], starts: Sequence[Start], logged: str) -> str:
    """Return the table, the idle figures, and warnings; `logged` is the appliances' log."""
    parts = [render_cells(cells), render_starts(starts)]
    if len({cell.build for cell in cells}) > 1:
        parts.append(render_ratios(cells))
    parts += render_warnings(cells, logged)
    return "\n\n".join(part for part in parts if part)


def render_cells(cells: Sequence[Cell]) -> str:
    """Return a row for each scenario, number of connections and build: medians of its rounds."""
    several = len({cell.build for cell in cells}) > 1
    rows = [["build"] * several + list(HEADINGS)]
    rows += [[cell.build] * several + _row(cell) for cell in cells]
    return render_table(rows)


def _row(cell: Cell) -> list[str]:
    m = cell.median
    target = cell.target
    reached = "" if target is None else "no: " + ", ".join(cell.missed) if cell.missed else "yes"
    return [
        *(cell.scenario, str(cell.connections), f"{m.rate:.0f}"),
        *(f"{m.latency(share):.2f}" for share in (0.5, 0.95, 0.99)),
        *(f"{m.cpu_ms:.3f}", f"{m.redis_cpu_ms:.3f}", f"{m.busy:.0%}", f"{m.foreign_busy:.0%}"),
        *(f"{m.rss_mb:.0f}", str(m.errors), "" if target is None else str(target), reached),
    ]


def render_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns; the first is the heading, numbers are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        fields = [
            text.ljust(width) if heading in TEXT_COLUMNS else text.rjust(width)
            for text, width, heading in zip(row, widths, rows[0], strict=True)
        ]
        lines.append("  ".join(fields).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def render_starts(starts: Sequence[Start]) -> str:
    """Return the medians of start-to-ready and idle memory, a line for each build."""
    lines = []
    for build in dict.fromkeys(start.build for start in starts):
        own = [start for start in starts if start.build == build]
        ready_s = statistics.median(start.ready_s for start in own)
        rss = statistics.median(start.idle_rss_mb for start in own)
        redis = statistics.median(start.idle_redis_rss_mb for start in own)
        lines.append(
            f"{build}: ready after {ready_s:.2f} s; idle {rss + redis:.0f} MB RSS "
            f"(appliance {rss:.0f}, Redis {redis:.0f}), target of all processes: < 120 MB"
        )
    return "\n".join(lines)


def render_ratios(cells: Sequence[Cell]) -> str:
    """Return the ratios of each further build to the first one of the same run."""
    first = {(c.scenario, c.connections): c.median for c in cells if c.build == cells[0].build}
    rows = [["build", "scenario", "conn", "req/s ratio", "CPU ratio", "p99 ratio"]]
    for cell in cells:
        if cell.build == cells[0].build:
            continue
        base, other = first[cell.scenario, cell.connections], cell.median
        pairs = (
            (other.rate, base.rate),
            (other.cpu_ms, base.cpu_ms),
            (other.latency(0.99), base.latency(0.99)),
        )
        ratios = [f"{a / b:.2f}" if b else "-" for a, b in pairs]
        rows.append([cell.build, cell.scenario, str(cell.connections), *ratios])
    return f"Compared with {cells[0].build}:\n{render_table(rows)}"


def render_warnings(cells: Sequence[Cell], logged: str) -> list[str]:
    """Return the reasons to distrust the figures."""
    warnings = []
    wrong = [cell for cell in cells if cell.median.errors]
    if wrong:
        lines = [
            f"  {cell.build} {cell.scenario} at {cell.connections}: {cell.median.errors} of about "
            f"{cell.median.requests}: {'; '.join(cell.median.samples)}"
            for cell in wrong
        ]
        warnings.append("!!! WRONG ANSWERS - THESE FIGURES ARE INVALID\n" + "\n".join(lines))
    bound = [cell for cell in cells if cell.median.generator_busy > GENERATOR_LIMIT]
    if bound:
        names = ", ".join(f"{cell.scenario} at {cell.connections}" for cell in bound)
        warnings.append(f"! The load generator used nearly a whole core: {names}")
    foreign = max(cell.median.foreign_busy for cell in cells)
    if foreign > FOREIGN_LIMIT:
        warnings.append(
            f"! Other processes used up to {foreign:.0%} of a core (column others): rates and "
            "latencies are worse than on a quiet machine, CPU per request hardly"
        )
    if logged:
        warnings.append(f"! The appliance logged warnings:\n{logged[:2000]}")
    return warnings


def to_json(
    cells: Sequence[Cell], starts: Sequence[Start], facts: dict[str, Any]
) -> dict[str, Any]:
    """Return the results as JSON: facts about the run, medians, and every round."""
    return {
        **facts,
        "latency_shares": SHARES,
        "starts": [dataclasses.asdict(start) for start in starts],
        "cells": [
            {
                "build": cell.build,
                "scenario": cell.scenario,
                "connections": cell.connections,
                "target": None if cell.target is None else dataclasses.asdict(cell.target),
                "missed": cell.missed,
                "median": _measurement(cell.median),
                "rounds": [_measurement(each) for each in cell.rounds],
            }
            for cell in cells
        ],
    }


def _measurement(m: Measurement) -> dict[str, Any]:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in dataclasses.asdict(m).items()
    }
