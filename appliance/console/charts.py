"""Draws the charts of the console as SVG. Pure.

All are stretched by the style sheet, so they hold no text; strokes keep their width
(`vector-effect`). A value that is not a number is a gap.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

from appliance.console.snapshot import ServerRow
from appliance.model import ServerState

MANY = 300
"""Up to this many servers are drawn one by one."""
_WIDEST = 8.0
"""Of a tower, in percent of the picture: a few servers are no blocks."""
_POINTS = 288
"""Points of a chart of a day: one for five minutes."""


def draw_bar(share: float | None, label: str, limited: object = False) -> Markup:
    """Return a bar that is filled to a share from 0 to 1; None: an empty frame.

    limited: a share of a limit, so that nearly all of it is too much.
    """
    level = 0.0 if share is None else min(1.0, max(0.0, share))
    kind = "bar none" if share is None else "bar full" if limited and level >= 0.9 else "bar"
    return Markup(
        f'<svg class="{kind}" role="img" aria-label="{escape(label)}">'
        f'<rect class="value" width="{100 * level:.0f}%" height="100%"/></svg>'
    )


def draw_sparkline(values: Sequence[float], label: str) -> Markup:
    """Return a line of the last hour, 60 units wide, the newest value at the right."""
    top = max((value for value in values if not math.isnan(value)), default=0.0) or 1.0
    shown = [math.nan] * (60 - len(values)) + list(values)
    path = "".join(_line(shown, top, 18.0, 1.0))
    return Markup(
        f'<svg class="spark" viewBox="0 0 60 20" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(label)}"><path d="{path}"/></svg>'
    )


def draw_day(values: Sequence[float], label: str) -> Markup:
    """Return an area over the last day with a line for every six hours."""
    points = _condense(values, _POINTS)
    known = [value for value in points if not math.isnan(value)]
    top = max(known, default=0.0) or 1.0
    line = "".join(_line(points, top, 94.0, 3.0))
    area = "".join(_areas(points, top))
    grid = "".join(f"M{x} 0V100" for x in (72, 144, 216))
    return Markup(
        f'<svg class="day" viewBox="0 0 {_POINTS} 100" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(label)}"><path class="grid" d="{grid}M0 99.5H{_POINTS}"/>'
        f'<path class="area" d="{area}"/><path class="line" d="{line}"/></svg>'
    )


def _condense(values: Sequence[float], count: int) -> list[float]:
    """Return at most `count` values, each the greatest of its part."""
    if len(values) <= count:
        return [math.nan] * (count - len(values)) + list(values)
    size = len(values) / count
    parts = (values[int(i * size) : int((i + 1) * size)] for i in range(count))
    return [max((v for v in part if not math.isnan(v)), default=math.nan) for part in parts]


def _height(value: float, top: float, height: float, above: float) -> float:
    return round(above + height * (1 - min(1.0, value / top)), 1)


def _line(values: Sequence[float], top: float, height: float, above: float) -> Iterator[str]:
    """Yield the commands of a line that stops at gaps; a single value is a dot."""
    pen_down = False
    for x, value in enumerate(values):
        if math.isnan(value):
            pen_down = False
            continue
        y = _height(value, top, height, above)
        if pen_down:
            yield f"L{x} {y:g}"
        else:
            yield f"M{x} {y:g}h.1"
            pen_down = True


def _areas(values: Sequence[float], top: float) -> Iterator[str]:
    start: int | None = None
    for x, value in enumerate([*values, math.nan]):
        if math.isnan(value):
            if start is not None:
                yield f"V100H{start}Z"
            start = None
            continue
        y = _height(value, top, 94.0, 3.0)
        if start is None:
            start = x
            yield f"M{x} 100V{y:g}"
        else:
            yield f"L{x} {y:g}"


def draw_skyline(towers: Sequence[tuple[str, float]], label: str) -> Markup:
    """Return all servers side by side, each as high as it is used: the picture of the pool.

    `towers`: the result of `tower_of` for each server. Servers that take no meetings are drawn
    below the line. More than MANY servers are in the order of their height.
    """
    if not towers:
        return Markup("")
    width = min(_WIDEST, 100.0 / len(towers))
    gap = 0.0 if len(towers) > MANY else min(0.4, width * 0.2)
    paths: dict[str, list[str]] = {"up": [], "hot": [], "cordoned": [], "off": [], "dead": []}
    for number, count, kind, height in _in_places(towers):
        x, w = number * width, count * width - gap
        y, h = (78 - height, height) if kind in ("up", "hot", "cordoned") else (82, 16.0)
        paths[kind].append(f"M{x:.2f} {y:.1f}h{w:.2f}v{h:.1f}h-{w:.2f}z")
    drawn = "".join(
        f'<path class="{kind}" d="{"".join(parts)}"/>' for kind, parts in paths.items() if parts
    )
    return Markup(
        f'<svg class="skyline" viewBox="0 0 100 100" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(label)}"><path class="ground" d="M0 80H100"/>{drawn}</svg>'
    )


def _in_places(towers: Sequence[tuple[str, float]]) -> Iterator[tuple[int, int, str, float]]:
    """Yield first place, number of places, kind and height of each tower.

    More than MANY servers are sorted by height, and servers of the same height share a tower.
    """
    if len(towers) <= MANY:
        yield from ((at, 1, *tower) for at, tower in enumerate(towers))
        return
    counts = Counter((kind, float(round(height))) for kind, height in towers)
    place = 0
    for (kind, height), count in sorted(
        counts.items(), key=lambda one: (one[0][0] not in ("up", "hot"), -one[0][1], one[0][0])
    ):
        yield place, count, kind, height
        place += count


def tower_of(row: ServerRow, highest: float) -> tuple[str, float]:
    """Return what a server is drawn as, and its height: how full it is (`usage_share`)."""
    server = row.server
    if server.state is ServerState.DISABLED:
        return "off", 0.0
    if not server.online:
        return "dead", 0.0
    share = usage_share(row, highest) or 0.0
    height = 2.0 + 74.0 * min(1.0, share)
    if server.state is ServerState.CORDONED:
        return "cordoned", height
    return ("hot" if share >= 0.9 and server.max_users else "up"), height


def usage_share(row: ServerRow, highest: float) -> float | None:
    """Return how full a server is, from 0 to 1; None: it takes no meetings."""
    server = row.server
    if server.load is None:
        return None
    if server.max_users:
        return server.users / server.max_users
    return server.load / highest if highest else 0.0


def draw_columns(values: Sequence[float], label: str) -> Markup:
    """Return a column for each value, the oldest at the left."""
    top = max(values, default=0.0) or 1.0
    width = 100.0 / max(1, len(values))
    columns = "".join(
        f"M{i * width + 0.2:.2f} 100v-{95 * value / top:.1f}h{width - 0.4:.2f}V100z"
        for i, value in enumerate(values)
        if value > 0
    )
    return Markup(
        f'<svg class="day" viewBox="0 0 100 100" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(label)}"><path class="grid" d="M0 99.5H100"/>'
        f'<path class="column" d="{columns}"/></svg>'
    )
