"""Line plots over time as SVG, one panel below the other. Pure; svg.py has colours and fonts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import fill

from appliance.simulation.svg import COLOURS, STYLE, nice_ceiling

WIDTH, HEIGHT = 820, 240
LEFT, TOP, GAP, LEGEND = 60, 40, 70, 170
_LINE = 200
"""Length of a line of the file."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines that share their axes."""

    title: str
    lines: Mapping[str, Points]
    level: float | None = None
    """Height of a dashed horizontal line, such as the capacity."""


def render_lines(panels: Sequence[Panel], title: str) -> str:
    """Return the SVG of at least one panel; lines of one name have the same colour."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
    height = TOP + len(panels) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + LEGEND} {height}">',
        f'<style>{STYLE}</style><rect class="b" width="100%" height="100%" fill="#fff"/>',
        _text(LEFT, 20, title, "t"),
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, colours, TOP + number * (HEIGHT + GAP) + 20)
    for number, (name, colour) in enumerate(colours.items()):
        y = TOP + 20 + 20 * number
        x = LEFT + WIDTH + 16
        parts.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 18, y + 11, name))
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, colours: Mapping[str, str], top: float) -> list[str]:
    everything = [point for points in panel.lines.values() for point in points]
    first, last = min(x for x, _ in everything), max(x for x, _ in everything)
    ceiling = nice_ceiling(max([y for _, y in everything] + [panel.level or 0.0]))
    span = (last - first) or 1.0

    def place(x: float, y: float) -> str:
        return f"{LEFT + WIDTH * (x - first) / span:.1f},{top + HEIGHT * (1 - y / ceiling):.1f}"

    parts = [_text(LEFT, top - 8, panel.title)]
    for step in range(5):
        y = top + HEIGHT * (1 - step / 4)
        parts.append(f'<line class="g" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y}" y2="{y}"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{ceiling * step / 4:g}", anchor="end"))
        hour = first + span * step / 4
        clock = f"{int(hour) % 24:02}:{int(hour * 60) % 60:02}"
        parts.append(_text(LEFT + WIDTH * step / 4, top + HEIGHT + 18, clock, anchor="middle"))
    if panel.level is not None:
        ends = f"{place(first, panel.level)} {place(last, panel.level)}"
        parts.append(
            f'<polyline points="{ends}" fill="none" stroke="#6b7280" stroke-dasharray="6 4"/>'
        )
    for name, points in panel.lines.items():
        path = fill(" ".join(place(x, y) for x, y in points), _LINE)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="1.5"/>'
        )
    return parts


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"
