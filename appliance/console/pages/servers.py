"""The list of servers: filter, order, pages, and the changes of several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from quart import Response

from appliance.admin_calls.actors import Role
from appliance.console.charts import usage_share
from appliance.console.core import (
    ChangeFailed,
    Console,
    Done,
    LivePage,
    Notice,
    PageFailed,
    Route,
    View,
    Visit,
)
from appliance.console.live import ListPart, Parts
from appliance.console.pages.shared import cut_page, describe_window
from appliance.console.pages.undo import keep_undo
from appliance.console.snapshot import PoolSnapshot, ServerRow
from appliance.model import Server, ServerState
from appliance.system.threads import map_in_slices

_MAX_AT_ONCE = 200
_LIST = "/scalelite/servers"
PARAMS = ("q", "state", "status", "sort", "p")
_ORDERS: dict[str, Callable[[ServerRow], Any]] = {
    "load": lambda row: -(-1.0 if row.server.load is None else row.server.load),
    "users": lambda row: -row.server.users,
    "meetings": lambda row: -row.server.meetings,
    "state": lambda row: (list(ServerState).index(row.server.state), row.server.online),
}


async def show(console: Console, visit: Visit) -> Response:
    """Show the list."""
    return await console.live_page(visit, LIVE)


async def parts(console: Console, view: View, seen: PoolSnapshot) -> Parts:
    """Render the rows of a page of the list."""
    found = await choose_rows(seen.rows, view)
    shown, links = cut_page(console, view, found)
    highest, now_s = seen.highest_load, seen.at_ms // 1000
    rows = await map_in_slices(lambda row: _row(console, view, row, highest, now_s), shown)
    entries = {f"server:{row.server.id}": html for row, html in zip(shown, rows, strict=True)}
    return Parts(
        {
            "summary": console.part("summary", view, text=_summarise(view, seen, found)),
            "pages": links,
            "versions": console.cached(
                ("versions", view.texts.language),
                seen.versions,
                lambda: console.part("versions", view, versions=seen.versions),
            ),
        },
        {"servers": ListPart('<tbody data-part="servers">', "</tbody>", entries)},
    )


async def choose_rows(rows: Sequence[ServerRow], view: View) -> list[ServerRow]:
    """Return the rows that the parameters of a view ask for, in their order."""
    words = view.param("q").lower().split()
    state, status = view.param("state"), view.param("status")

    def is_asked_for(row: ServerRow) -> bool:
        return (
            (not state or row.server.state.value == state)
            and (not status or status_of(row.server) == status)
            and all(word in _haystack(row) for word in words)
        )

    asked_for = await map_in_slices(is_asked_for, rows)
    found = [row for row, asked in zip(rows, asked_for, strict=True) if asked]
    order = _ORDERS.get(view.param("sort"))
    return sorted(found, key=order) if order else found


def _haystack(row: ServerRow) -> str:
    server = row.server
    return f"{row.label} {server.id} {server.tag or ''} {server.bbb_version or ''}".lower()


def status_of(server: Server) -> str:
    """Return the status in the words of ctl."""
    return "unstable" if server.unstable else "online" if server.online else "offline"


def shape_of(server: Server) -> str:
    """Return the shape that stands for state and status."""
    if server.state is ServerState.DISABLED:
        return "off"
    if not server.online:
        return "fail"
    if server.unstable:
        return "warn"
    return "half" if server.state is ServerState.CORDONED else "ok"


def _row(console: Console, view: View, row: ServerRow, highest: float, now_s: int) -> str:
    """Render a row, unless it is known: after a change, and for its sparkline once a minute.

    All rows in the same second would delay calls, so each has a second of its own.
    """
    history = console.live.history
    minute = (now_s + crc32(row.server.id.encode("utf-8", "replace"))) // 60
    share = usage_share(row, highest)

    def render() -> str:
        return console.part(
            "server_row",
            view,
            row=row,
            s=row.server,
            share=share,
            status=status_of(row.server),
            shape=shape_of(row.server),
            window=describe_window(view.texts, row.window),
            hour=history.hour_of(row.server.id),
        )

    place = ("server", view.texts.language, view.role, row.server.id)
    return console.cached(place, (row, minute, share and round(share, 2)), render)


def _summarise(view: View, seen: PoolSnapshot, found: Sequence[ServerRow]) -> str:
    texts = view.texts
    users = sum(row.server.users for row in found)
    meetings = sum(row.server.meetings for row in found)
    counted = texts.n(len(found), "{n} server", "{n} servers")
    if len(found) < len(seen.rows):
        counted = texts.t("{n} of {total} servers", n=len(found), total=len(seen.rows))
    text = f"{counted}, {texts.meetings(meetings)}, {texts.users(users)}"
    if seen.store_down:
        text = texts.t("As it was at {time}:", time=texts.clock(seen.at_ms)) + " " + text
    return text


# --- changes of several --------------------------------------------------------------------------


async def cordon(console: Console, visit: Visit) -> Done:
    """Cordon the selected servers."""
    return await _change(
        console, visit, "cordonServer", ("{n} server cordoned", "{n} servers cordoned")
    )


async def enable(console: Console, visit: Visit) -> Done:
    """Enable the selected servers."""
    return await _change(
        console, visit, "enableServer", ("{n} server enabled", "{n} servers enabled")
    )


async def poll(console: Console, visit: Visit) -> Done:
    """Poll the selected servers."""
    ids = _selected(visit)
    polls = await console.call(visit, "poll", ids=ids, what="servers")
    failed = [f"{one.hostname}: {one.reason}" for one in polls if not one.succeeded]
    text = visit.texts.n(len(polls), "{n} server polled", "{n} servers polled")
    if failed:
        text += visit.texts.t(", {n} do not answer", n=len(failed))
    notice = Notice(text, "failed" if failed else "done", details=tuple(failed))
    return Done(notice, _LIST)


async def _change(console: Console, visit: Visit, call: str, texts: tuple[str, str]) -> Done:
    console.live.forget()  # Undo brings back the states of this moment
    before = (await console.live.snapshot()).by_id
    changed: list[tuple[str, ServerState, ServerState]] = []
    failed: list[str] = []
    for server_id in _selected(visit):
        try:
            answer = await console.call(visit, call, id=server_id)
            old = before[server_id].server.state if server_id in before else answer.state
            changed.append((server_id, old, answer.state))
        except ChangeFailed as error:
            failed.append(str(error))
    undo = await keep_undo(console, changed, _LIST)
    kind = "failed" if failed else "done"
    notice = Notice(visit.texts.n(len(changed), *texts), kind, undo, tuple(failed))
    return Done(notice, _LIST)


def _selected(visit: Visit) -> list[str]:
    ids = visit.form.get("ids", [])
    if not ids:
        raise PageFailed(400, "Select servers first")
    if len(ids) > _MAX_AT_ONCE:
        raise PageFailed(400, "These are too many servers at once")
    return ids


LIVE = LivePage("servers", parts, params=PARAMS)
ROUTES = (
    Route("/servers", show, page="servers", params=PARAMS),
    Route("/servers/cordon", cordon, "POST", "servers", Role.OPERATOR),
    Route("/servers/enable", enable, "POST", "servers", Role.OPERATOR),
    Route("/servers/poll", poll, "POST", "servers", Role.OPERATOR),
)
