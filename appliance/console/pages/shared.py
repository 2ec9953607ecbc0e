"""Helpers of several pages: the pages of a list, the charts of a day, a redirect."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlencode

from quart import Response

from appliance.console.core import Console, View
from appliance.console.texts import Texts, local_time
from appliance.servers.maintenance.rules import Phase, Window

PAGE_ROWS = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DayChart:
    """One chart of the last day."""

    title: str
    href: str
    values: list[float]
    now: str
    most: str
    label: str


def redirect_to(path: str) -> Response:
    """Return a redirect to another page."""
    return Response("", 303, {"location": path})


def cut_page(console: Console, view: View, found: Sequence[T]) -> tuple[Sequence[T], str]:
    """Return the entries of the current page of a list, and the links to its pages."""
    count = max(1, -(-len(found) // PAGE_ROWS))
    number = view.param("p", "1")
    current = min(count, max(1, int(number) if number.isdecimal() and len(number) < 6 else 1))
    kept = [(name, value) for name, value in view.params if name != "p"]
    href = f"/scalelite/{view.page}?{urlencode(kept)}{'&' if kept else ''}"
    links = console.part("pages", view, count=count, current=current, href=href)
    return found[(current - 1) * PAGE_ROWS : current * PAGE_ROWS], links


def draw_day_charts(
    console: Console,
    view: View,
    subject: str,
    read: Callable[[], Iterable[tuple[str, str, Sequence[float]]]],
) -> str:
    """Render the charts of the last day; `read` gives title, address and values of each.

    They change once a minute and are drawn as often. `subject`: whose charts they are.
    """
    history, hours = console.live.history, _day_hours(console)
    minute = history.pool[-1].minute if history.pool else 0

    def render() -> str:
        texts, charts = view.texts, []
        for title, href, values in read():
            known = [value for value in values if not math.isnan(value)]
            now, most = (known[-1], max(known)) if known else (None, None)
            label = texts.t(
                "{title} in the last 24 hours: now {now}, at most {most}",
                title=texts.t(title),
                now=texts.number(now),
                most=texts.number(most),
            )
            shown = texts.number(now), texts.number(most)
            charts.append(DayChart(title, href, list(values), *shown, label))
        return console.part("charts", view, charts=charts, hours=hours)

    place = ("charts", view.texts.language, subject)
    return console.cached(place, (len(history.pool), minute, tuple(hours)), render)


def _day_hours(console: Console) -> list[str]:
    """Return the labels below a chart of the last day: every six hours, the last one now."""
    now = local_time(console.features.now_ms())
    return [(now - timedelta(hours=back)).strftime("%H:%M") for back in (24, 18, 12, 6, 0)]


def describe_window(texts: Texts, window: Window | None) -> str:
    """Return in words what is planned for a server, or under way; empty: nothing."""
    if window is None:
        return ""
    begin, end = texts.moment(window.from_ms), texts.moment(window.until_ms)
    if window.phase is Phase.DRAINING:
        return texts.t("drained for maintenance at {begin}", begin=begin)
    if window.phase is Phase.ENDING:
        return texts.t("maintenance is over; it is enabled once it answers")
    if window.phase is Phase.OPEN:
        open_end = texts.t("under maintenance until it is cancelled")
        closed = texts.t("under maintenance until {end}", end=end)
        return open_end if window.until_ms is None else closed
    if window.postponed_ms is not None:
        return texts.t("maintenance waits until the pool can do without it")
    if window.until_ms is None:
        return texts.t("maintenance from {begin} on", begin=begin)
    return texts.t("maintenance from {begin} to {end}", begin=begin, end=end)
