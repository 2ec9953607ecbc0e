"""The picture of a benchmark as SVG: throughput over connections, and the spread of latencies.

Pure. Readable on light and dark pages, without scripts, fonts or other files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from appliance.simulation.svg import COLOURS, STYLE, nice_ceiling
from benchmarks.figures import Cell

PANEL_WIDTH, PANEL_HEIGHT = 420, 300
LEFT, TOP, GAP, LEGEND = 60, 50, 90, 240
Series = list[tuple[str, str, list[Cell]]]
"""Label, colour, cells by number of connections."""


def render_plot(cells: Sequence[Cell], title: str) -> str:
    """Return the SVG of at least one cell."""
    series = _series(cells)
    width = LEFT + 2 * PANEL_WIDTH + GAP + LEGEND
    height = TOP + PANEL_HEIGHT + 60
    connections = sorted({cell.connections for cell in cells})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f'<style>{STYLE}</style><rect class="b" width="100%" height="100%" fill="#fff"/>',
        _text(LEFT, 20, title, "t"),
        *_throughput(series, connections, LEFT),
        *_latency(series, connections, LEFT + PANEL_WIDTH + GAP),
        *_legend(series, LEFT + 2 * PANEL_WIDTH + GAP + 20),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _series(cells: Sequence[Cell]) -> Series:
    several = len({cell.build for cell in cells}) > 1
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        label = f"{cell.scenario} ({cell.build})" if several else cell.scenario
        groups.setdefault(label, []).append(cell)
    return [
        (label, COLOURS[number % len(COLOURS)], sorted(group, key=lambda c: c.connections))
        for number, (label, group) in enumerate(groups.items())
    ]


def _throughput(series: Series, connections: Sequence[int], left: float) -> list[str]:
    top = nice_ceiling(max(cell.median.rate for _, _, group in series for cell in group))
    parts = [_text(left, 42, "requests per second, over connections")]
    for step in range(5):
        y = TOP + PANEL_HEIGHT * (1 - step / 4)
        parts += _grid_line(left, y, f"{top * step / 4:g}")
    for number in connections:
        parts.append(
            _text(_x(number, connections, left), TOP + PANEL_HEIGHT + 20, str(number), "m")
        )
    for _, colour, group in series:
        points = [
            (_x(cell.connections, connections, left), _y(cell.median.rate / top)) for cell in group
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return parts


def _latency(series: Series, connections: Sequence[int], left: float) -> list[str]:
    """Draw a bar from p50 to p99 for each cell, a tick at p95, on a logarithmic scale."""
    cells = [cell for _, _, group in series for cell in group]
    low = math.floor(math.log10(max(min(c.median.latency(0.5) for c in cells), 0.01)))
    high = math.ceil(math.log10(max(max(c.median.latency(0.99) for c in cells), 0.1)))
    high = max(high, low + 1)
    parts = [_text(left, 42, "latency in ms: p50 to p99, tick at p95")]
    for power in range(low, high + 1):
        parts += _grid_line(left, _y((power - low) / (high - low)), f"{10.0**power:g}")
    band = PANEL_WIDTH / len(connections)
    for place, number in enumerate(connections):
        parts.append(_text(left + band * (place + 0.5), TOP + PANEL_HEIGHT + 20, str(number), "m"))
    for index, (_, colour, group) in enumerate(series):
        for cell in group:
            start = left + band * connections.index(cell.connections)
            x = start + band * (index + 1) / (len(series) + 1)
            p50, p95, p99 = (
                _y((math.log10(max(cell.median.latency(s), 0.001)) - low) / (high - low))
                for s in (0.5, 0.95, 0.99)
            )
            parts.append(
                f'<path d="M{x:.1f} {p50:.1f}V{p99:.1f}M{x - 4:.1f} {p95:.1f}h8" '
                f'stroke="{colour}" stroke-width="3" fill="none"/>'
                f'<circle cx="{x:.1f}" cy="{p50:.1f}" r="4" fill="{colour}"/>'
            )
    return parts


def _legend(series: Series, left: float) -> list[str]:
    parts = []
    for number, (label, colour, _) in enumerate(series):
        y = TOP + 20 * number
        parts.append(f'<rect x="{left}" y="{y}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(left + 18, y + 11, label))
    return parts


def _x(number: int, connections: Sequence[int], left: float) -> float:
    """Return the x coordinate: the numbers of connections are spaced evenly, not to scale."""
    return left + PANEL_WIDTH * (connections.index(number) + 0.5) / len(connections)


def _y(share: float) -> float:
    return TOP + PANEL_HEIGHT * (1 - min(max(share, 0.0), 1.0))


def _grid_line(left: float, y: float, label: str) -> list[str]:
    return [
        f'<line class="g" x1="{left}" x2="{left + PANEL_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>',
        f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>',
    ]


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'
