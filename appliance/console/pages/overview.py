"""The overview: one sentence, what is wrong, the figures, the pool as a picture, the last day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import trio
from quart import Response

from appliance.console.charts import MANY, tower_of
from appliance.console.core import Console, LivePage, Route, View, Visit
from appliance.console.live import Parts
from appliance.console.pages.shared import describe_window, draw_day_charts, redirect_to
from appliance.console.problems import Problem, find_problems
from appliance.console.snapshot import PoolSnapshot
from appliance.console.texts import UNKNOWN, Texts
from appliance.doctor.findings import Level
from appliance.events.journal import Event
from appliance.fleet.capacity import Capacity
from appliance.model import ServerState
from appliance.system.threads import map_in_slices

_SHOWN = 6
"""Problems that are listed; the others are on the doctor's page."""
_EVENTS = 12
_WINDOWS = 6
_DAY_CHARTS = (
    ("users", "Users", "/scalelite/servers?sort=users"),
    ("meetings", "Meetings", "/scalelite/meetings"),
    ("refused", "Creates refused", "/scalelite/servers"),
    ("errors", "Internal errors", "/scalelite/doctor"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of the overview and the page that is behind it."""

    title: str
    value: str
    href: str
    note: str = ""
    level: str = ""
    """warn or fail; empty: nothing is wrong with it."""


async def show(console: Console, visit: Visit) -> Response:
    """Show the overview; a tenant's token begins with its meetings."""
    if visit.view.tenant_id is not None:
        return redirect_to("/scalelite/meetings")
    return await console.live_page(visit, LIVE)


async def parts(console: Console, view: View, seen: PoolSnapshot) -> Parts:
    """Render the parts of the overview."""
    texts = view.texts
    html: dict[str, str] = {}
    for name, render in _PARTS.items():
        html[name] = render(console, view, seen)
        await trio.lowlevel.checkpoint()  # calls come in between
    html["skyline"] = await _skyline(console, view, seen)
    await trio.lowlevel.checkpoint()
    html["figures"] = console.part("figures", view, figures=_figures(console, seen, texts))
    known = {"events": await _read_events(console), "label": seen.label, "of_server": False}
    return Parts({**html, "events": console.part("events", view, **known)})


def _windows(console: Console, view: View, seen: PoolSnapshot) -> str:
    """Render the maintenance that is under way or comes next, of a few servers."""
    rows = [row for row in seen.rows if row.window is not None]
    rows.sort(key=lambda row: row.window.from_ms if row.window else 0)
    shown = [(row, describe_window(view.texts, row.window)) for row in rows[:_WINDOWS]]
    return console.part("windows", view, windows=shown, more=max(0, len(rows) - _WINDOWS))


async def _read_events(console: Console) -> list[Event]:
    """Return the last events of all appliances, the newest first."""
    return (await console.features.events.recent(_EVENTS))[::-1]


def _banner(console: Console, view: View, seen: PoolSnapshot) -> str:
    texts = view.texts
    problems = find_problems(seen)
    level, sentence = judge(texts, problems)
    enabled = [one for one in seen.servers if one.state is ServerState.ENABLED]
    summary = texts.t(
        "{online} of {enabled} enabled servers online, {meetings}, {users}",
        online=sum(server.online for server in enabled),
        enabled=len(enabled),
        meetings=texts.meetings(seen.meetings),
        users=texts.users(seen.users),
    )
    if seen.store_down:
        summary = texts.t("As it was at {time}:", time=texts.clock(seen.at_ms)) + " " + summary
    return console.part(
        "banner",
        view,
        level=level,
        sentence=sentence,
        summary=summary,
        problems=problems[:_SHOWN],
        more=max(0, len(problems) - _SHOWN),
    )


def judge(texts: Texts, problems: Sequence[Problem]) -> tuple[str, str]:
    """Return the level of the pool and the sentence that says it."""
    if not problems:
        return "ok", texts.t("All is well")
    if faults := sum(one.level is Level.FAIL for one in problems):
        return "fail", texts.n(faults, "One thing is wrong", "{n} things are wrong")
    return "warn", texts.n(len(problems), "One thing needs a look", "{n} things need a look")


def _figures(console: Console, seen: PoolSnapshot, texts: Texts) -> list[Figure]:
    servers = seen.servers
    enabled = [server for server in servers if server.state is ServerState.ENABLED]
    online = sum(server.online for server in enabled)
    others = Counter(server.state.value for server in servers)
    note = ", ".join(
        f"{texts.number(others[word])} {word}" for word in ("cordoned", "disabled") if others[word]
    )
    capacity = seen.capacity
    refused = console.live.history.refused_lately()
    work = seen.work
    dead = "fail" if online < len(enabled) else ""
    return [
        Figure(
            "Servers online",
            f"{texts.number(online)}/{texts.number(len(enabled))}",
            "/scalelite/servers",
            note,
            dead,
        ),
        Figure("Meetings", texts.number(seen.meetings), "/scalelite/meetings"),
        Figure("Users", texts.number(seen.users), "/scalelite/servers?sort=users"),
        Figure(
            "Free seats",
            UNKNOWN if capacity is None else texts.number(capacity.free_seats),
            "/scalelite/servers",
            "" if capacity is None else texts.t("of {n}", n=texts.number(capacity.seats)),
        ),
        _needed(capacity, texts),
        Figure(
            "Creates refused",
            texts.number(refused),
            "/scalelite/#day",
            texts.t("in the last hour"),
            "warn" if refused else "",
        ),
        _waiting("Imports", work.imports_waiting, work.imports_failed, "recordings", texts),
        _waiting("Callbacks", work.callbacks_waiting, work.callbacks_failed, "callbacks", texts),
    ]


def _needed(capacity: Capacity | None, texts: Texts) -> Figure:
    """Return the figure of the servers that are needed within an hour."""
    href = "/scalelite/servers"
    if capacity is None:
        return Figure("Servers needed", UNKNOWN, href)
    notes = [texts.t("for {users}", users=texts.users(capacity.demand.most))]
    if capacity.safe_to_stop:
        notes.append(texts.t("{n} can be stopped", n=len(capacity.safe_to_stop)))
    return Figure("Servers needed", texts.number(capacity.desired_servers), href, ", ".join(notes))


def _waiting(
    title: str, waiting: int | None, failed: int | None, page: str, texts: Texts
) -> Figure:
    """Return the figure of a queue; None: it is not used, or its store is away."""
    if waiting is None:
        return Figure(title, UNKNOWN, f"/scalelite/{page}")
    note = texts.t("waiting")
    if failed:
        note += f", {texts.t('{n} failed', n=failed)}"
    return Figure(
        title, texts.number(waiting), f"/scalelite/{page}", note, "warn" if failed else ""
    )


async def _skyline(console: Console, view: View, seen: PoolSnapshot) -> str:
    rows, highest = seen.rows, seen.highest_load
    towers = await map_in_slices(lambda row: tower_of(row, highest), rows)
    count = Counter(kind for kind, _ in towers)
    full = count["hot"]
    legend = [
        (
            "up",
            "takes meetings",
            (count["up"] + full, "/scalelite/servers?state=enabled&status=online"),
        ),
        ("cordoned", "cordoned", (count["cordoned"], "/scalelite/servers?state=cordoned")),
        ("dead", "does not answer", (count["dead"], "/scalelite/servers?status=offline")),
        ("off", "disabled", (count["off"], "/scalelite/servers?state=disabled")),
    ]
    if full:
        legend.insert(1, ("hot", "nearly full", (full, "/scalelite/servers?sort=users")))
    many = "How much each of the {n} servers is used, the fullest at the left"
    few = "How much each of the {n} servers is used, by name from left to right"
    label = view.texts.t(many if len(rows) > MANY else few, n=len(rows))
    return console.part("skyline", view, towers=towers, label=label, legend=legend)


def _charts(console: Console, view: View, seen: PoolSnapshot) -> str:
    day = console.live.history.day
    return draw_day_charts(
        console, view, "", lambda: [(title, href, day(name)) for name, title, href in _DAY_CHARTS]
    )


_PARTS = {"banner": _banner, "windows": _windows, "charts": _charts}
LIVE = LivePage("overview", parts)
ROUTES = (Route("/", show, page="overview", for_tenants=True),)
