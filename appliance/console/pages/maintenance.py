"""The maintenance windows of a server: planned, changed and cancelled from its page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from quart import Response

from appliance.admin_calls.actors import Role
from appliance.console.core import (
    ChangeFailed,
    Console,
    Done,
    Notice,
    PageFailed,
    Route,
    Visit,
)
from appliance.console.pages.server import find_row, path_of
from appliance.console.texts import local_time
from appliance.servers.maintenance.rules import Window

_FIELDS = ("from", "until", "lead", "every", "reason")


async def show(console: Console, visit: Visit) -> Response:
    """Show the form for a new window, or with the values of one that has not begun."""
    window = await _find_window(console, visit, visit.view.param("window"))
    return await _form(console, visit, {} if window is None else _values_of(window))


async def plan(console: Console, visit: Visit) -> Response | Done:
    """Plan a window, or change one."""
    row = await find_row(console, visit)
    given = {name: visit.field(name) for name in _FIELDS}
    replaces = visit.view.param("window")
    every = "weekly" if given["every"] else ""
    zone = console.settings.fleet.time_zone if every else None
    times = {name: _with_zone(given[name], zone) for name in ("from", "until")}
    fields = {**given, **times, "every": every, "replaces": replaces}
    try:
        await console.call(visit, "addMaintenance", id=row.server.id, **fields)
    except ChangeFailed as error:
        return await _form(console, visit, given, str(error))
    changed = "The maintenance of {server} was changed"
    text = changed if replaces else "The maintenance of {server} is planned"
    return Done(Notice(visit.texts.t(text, server=row.label)), path_of(row.server.id))


async def cancel(console: Console, visit: Visit) -> Done:
    """Cancel a window; one that has begun ends now."""
    row = await find_row(console, visit)
    window = await _find_window(console, visit, visit.field("window"))
    if window is None:
        raise PageFailed(404, "No maintenance is planned for this server")
    await console.call(visit, "cancelMaintenance", id=window.id)
    text = visit.texts.t("The maintenance of {server} is cancelled", server=row.label)
    return Done(Notice(text), path_of(row.server.id))


async def _find_window(console: Console, visit: Visit, window_id: str) -> Window | None:
    """Return a window of the server; None: it has none of this id."""
    server_id = visit.view.param("id")
    windows = (await console.live.snapshot()).windows
    return next((o for o in windows if (o.id, o.server_id) == (window_id, server_id)), None)


def _values_of(window: Window) -> dict[str, str]:
    minutes = window.lead_ms // 60_000
    return {
        "from": _field_of(window.from_ms),
        "until": "" if window.until_ms is None else _field_of(window.until_ms),
        "lead": "" if window.lead_is_usual else f"{minutes}m" if minutes else "0",
        "every": window.every,
        "reason": window.reason,
    }


def _field_of(ms: int) -> str:
    return local_time(ms).strftime("%Y-%m-%dT%H:%M")


def _with_zone(text: str, zone: str | None) -> str:
    """Return a time of the form, which is one of this host, with its zone.

    `zone`: the pool's, which is named if it is this host's zone at that time; then a weekly window
    keeps its hour when clocks change. Other text is returned unchanged, and
    the call refuses it.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    local = at.astimezone() if at.tzinfo is None else at
    named = zone is not None and local.astimezone(ZoneInfo(zone)).utcoffset() == local.utcoffset()
    return local.isoformat(timespec="seconds") + (f"[{zone}]" if named else "")


async def _form(
    console: Console, visit: Visit, values: Mapping[str, str], problem: str = ""
) -> Response:
    row, window_id = await find_row(console, visit), visit.view.param("window")
    title = "Change the maintenance of {server}" if window_id else "Plan maintenance of {server}"
    return await console.page(
        visit,
        "maintenance_form.html",
        400 if problem else 200,
        row=row,
        title=visit.texts.t(title, server=row.label),
        values={name: values.get(name, "") for name in _FIELDS},
        problem=problem,
        zone=local_time(console.features.now_ms()).strftime("%Z"),
        action=f"{path_of(row.server.id)}/plan" + (f"?window={window_id}" if window_id else ""),
    )


_ONE = "/servers/<id>"
ROUTES = (
    Route(f"{_ONE}/plan", show, page="servers", role=Role.OPERATOR, params=("window",)),
    Route(f"{_ONE}/plan", plan, "POST", "servers", Role.OPERATOR, params=("window",)),
    Route(f"{_ONE}/maintenance", cancel, "POST", "servers", Role.OPERATOR),
)
