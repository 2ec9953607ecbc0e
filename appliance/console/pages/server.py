"""One server: its page, the changes of its state, adding and editing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from quart import Response

from appliance.admin_calls.actors import Role
from appliance.audit.rules import DONE, Change
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
from appliance.console.live import Parts
from appliance.console.pages.servers import shape_of, status_of
from appliance.console.pages.shared import describe_window, draw_day_charts
from appliance.console.pages.undo import keep_undo
from appliance.console.snapshot import PoolSnapshot, ServerRow
from appliance.events.journal import Event
from appliance.model import KnownMeeting, ServerId
from appliance.servers.audited import server_snapshot

_MEETINGS = 50
_EVENTS, _EVENTS_SEARCHED = 12, 300
_FIELDS = ("tag", "load_multiplier", "max_meetings", "max_users", "dial_in", "dial_in_port")
_NUMBERS = ("max_meetings", "max_users", "dial_in_port")


async def show(console: Console, visit: Visit, secret: str = "") -> Response:
    """Show a server."""
    row = await find_row(console, visit)
    return await console.live_page(
        visit, LIVE, id=row.server.id, label=row.label, server=row.server, secret=secret
    )


async def find_row(console: Console, visit: Visit) -> ServerRow:
    """Return the server of a page. Raises PageFailed: there is none."""
    server_id = visit.view.param("id")
    row = (await console.live.snapshot()).by_id.get(server_id)
    if row is None:
        console.live.forget()  # it may have been added this second
        row = (await console.live.snapshot()).by_id.get(server_id)
    if row is None:
        raise PageFailed(404, "There is no such server")
    return row


async def parts(console: Console, view: View, seen: PoolSnapshot) -> Parts:
    """Render what changes on the page of a server."""
    row = seen.by_id.get(view.param("id"))
    if row is None:
        return Parts()
    server = row.server
    values = {
        "row": row,
        "s": server,
        "shape": shape_of(server),
        "status": status_of(server),
        "windows": [
            (one, describe_window(view.texts, one))
            for one in seen.windows
            if one.server_id == server.id
        ],
        "drained": 1 - server.meetings / row.drain_from if row.drain_from else None,
    }
    found = await read_meetings(console, server.id)
    return Parts(
        {
            "server": console.part("server", view, **values),
            "buttons": console.part("server_buttons", view, **values),
            "meetings": console.part(
                "server_meetings",
                view,
                s=server,
                meetings=found[:_MEETINGS],
                more=max(0, len(found) - _MEETINGS),
            ),
            "charts": _charts(console, view, server.id),
            "events": console.part(
                "events",
                view,
                events=await _read_events(console, server.id),
                label=seen.label,
                of_server=True,
            ),
        }
    )


async def _read_events(console: Console, server_id: str) -> list[Event]:
    """Return what happened to a server lately, the newest first."""
    recent = await console.features.events.recent(_EVENTS_SEARCHED)
    names = ("server", "subject", "other", "moved_from")
    of_it = [one for one in recent if server_id in {one.fields.get(name) for name in names}]
    return of_it[::-1][:_EVENTS]


async def read_meetings(console: Console, server_id: str) -> list[KnownMeeting]:
    """Return the meetings of a server as of its last poll, the fullest first."""
    records = console.features.pool.records
    found = await records.list_known_meetings([ServerId(server_id)])
    return sorted(found, key=lambda one: -one.participants)


def _charts(console: Console, view: View, server_id: str) -> str:
    def read() -> Iterator[tuple[str, str, Sequence[float]]]:
        samples = console.live.history.day_of(server_id)
        for title, values in zip(("Users", "Meetings"), samples, strict=True):
            yield title, "#day", values

    return draw_day_charts(console, view, server_id, read)


# --- states --------------------------------------------------------------------------------------


async def cordon(console: Console, visit: Visit) -> Done:
    """Give it no new meetings."""
    return await _set_state(console, visit, "cordonServer", "{server} is cordoned")


async def drain(console: Console, visit: Visit) -> Done:
    """Give it no new meetings; it is disabled once it is empty."""
    return await _set_state(
        console,
        visit,
        "cordonServer",
        "{server} is draining: {meetings}, {users} at the last poll; it is disabled once it is"
        " empty",
    )


async def enable(console: Console, visit: Visit) -> Done:
    """Let it take meetings."""
    return await _set_state(console, visit, "enableServer", "{server} is enabled")


async def _set_state(console: Console, visit: Visit, call: str, text: str) -> Done:
    console.live.forget()  # Undo brings back the state of this moment
    row = await find_row(console, visit)
    server, to = row.server, path_of(row.server.id)
    answer = await console.call(visit, call, id=server.id)
    meetings, users = visit.texts.meetings(server.meetings), visit.texts.users(server.users)
    shown = visit.texts.t(text, server=row.label, meetings=meetings, users=users)
    details: tuple[str, ...] = ()
    kind = "done"
    if call == "enableServer" and answer.poll is not None and not answer.poll.succeeded:
        kind = "failed"
        details = (visit.texts.t("It does not answer: {reason}", reason=answer.poll.reason),)
    undo = await keep_undo(console, [(server.id, server.state, answer.state)], to)
    return Done(Notice(shown, kind, undo, details), to)


async def disable(console: Console, visit: Visit) -> Response | Done:
    """Disable it and end its meetings; asks first while it is in use."""
    row = await find_row(console, visit)
    line = visit.texts.t("Its meetings are ended at once.")
    fields: dict[str, Any] = {"id": row.server.id}
    if visit.field("confirmed"):
        _check_typed(visit, row)
        fields["confirmed"] = True
    elif row.server.meetings or row.server.load:
        # Without the call, which would be in the audit trail as one that has failed.
        return await _confirm(console, visit, row, "Disable", line)
    try:
        answer = await console.call(visit, "disableServer", **fields)
    except ChangeFailed as error:
        if error.status != 409:
            raise
        return await _confirm(console, visit, row, "Disable", line)
    text = visit.texts.t(
        "{server} is disabled; ended: {meetings}",
        server=row.label,
        meetings=visit.texts.meetings(len(answer.ended)),
    )
    return Done(Notice(text), path_of(row.server.id))


async def panic(console: Console, visit: Visit) -> Response | Done:
    """Forget and end its meetings, and disable it; always asks first."""
    row = await find_row(console, visit)
    if not visit.field("confirmed"):
        line = visit.texts.t(
            "For a broken server: its meetings are forgotten, so that they can begin elsewhere at"
            " once, and ended as far as it answers."
        )
        return await _confirm(console, visit, row, "Panic", line)
    _check_typed(visit, row)
    answer = await console.call(visit, "panicServer", id=row.server.id)
    text = visit.texts.t(
        "{server} is disabled; forgotten: {meetings}",
        server=row.label,
        meetings=visit.texts.meetings(len(answer.meetings)),
    )
    return Done(Notice(text), path_of(row.server.id))


async def remove(console: Console, visit: Visit) -> Response | Done:
    """Remove it from the pool; asks first."""
    row = await find_row(console, visit)
    if not visit.field("confirmed"):
        line = visit.texts.t(
            "It is taken out of the pool; a server with meetings, or with recordings to deliver, is"
            " not removed."
        )
        return await _confirm(console, visit, row, "Remove", line)
    _check_typed(visit, row)
    await console.call(visit, "deleteServer", id=row.server.id)
    text = visit.texts.t("{server} was removed", server=row.label)
    return Done(Notice(text), "/scalelite/servers")


def _check_typed(visit: Visit, row: ServerRow) -> None:
    if visit.field("typed").lower() != row.label.lower():
        raise PageFailed(400, "What was typed is not the name of the server; nothing was changed")


async def _confirm(
    console: Console, visit: Visit, row: ServerRow, verb: str, line: str
) -> Response:
    """Ask before meetings are ended, with the numbers."""
    texts, server = visit.texts, row.server
    numbers = texts.t(
        "It has {meetings} with {users} now.",
        meetings=texts.meetings(server.meetings),
        users=texts.users(server.users),
    )
    return await console.page(
        visit,
        "confirm.html",
        title=f"{texts.t(verb)} {row.label}?",
        lines=[numbers, line],
        action=f"{path_of(server.id)}/{verb.lower()}",
        fields=(),
        typed=row.label,
        button=f"{texts.t(verb)} {row.label}",
        back=path_of(server.id),
    )


async def poll(console: Console, visit: Visit) -> Done:
    """Poll it now."""
    row = await find_row(console, visit)
    (result,) = await console.call(visit, "poll", ids=[row.server.id], what="servers")
    if result.succeeded:
        text = visit.texts.t(
            "{server} answers: {meetings}, {users}",
            server=row.label,
            meetings=visit.texts.meetings(result.meetings),
            users=visit.texts.users(result.users),
        )
        return Done(Notice(text), path_of(row.server.id))
    text = visit.texts.t("{server} does not answer", server=row.label)
    return Done(Notice(text, "failed", details=(result.reason,)), path_of(row.server.id))


# --- adding and editing --------------------------------------------------------------------------


async def show_add(console: Console, visit: Visit) -> Response:
    """Show the form for a new server."""
    return await _form(console, visit, {})


async def add(console: Console, visit: Visit) -> Response | Done:
    """Add a server, and say what was found when it was tried."""
    texts = visit.texts
    fields = {name: visit.field(name) for name in ("url", "secret", *_FIELDS)}
    try:
        server = await console.call(visit, "addServer", server=fields)
    except ChangeFailed as error:
        return await _form(console, visit, fields, problem=str(error))
    found, problem = await console.try_call(visit, "inspectServer", id=server.id)
    details = [problem or f"{found.finding.text}. {found.finding.advice}".rstrip(". ")]
    right = found is not None and found.secret_right
    if right and visit.field("enable"):
        await console.call(visit, "enableServer", id=server.id)
        text = texts.t("{server} was added and enabled", server=server.url)
    else:
        text = texts.t("{server} was added; it is disabled", server=server.url)
    notice = Notice(text, "done" if right else "failed", details=tuple(details))
    return Done(notice, path_of(server.id))


async def show_edit(console: Console, visit: Visit) -> Response:
    """Show the form with the values of a server."""
    server = (await find_row(console, visit)).server
    values = {name: _shown(getattr(server, name)) for name in ("url", *_FIELDS)}
    return await _form(console, visit, values)


def _shown(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


async def edit(console: Console, visit: Visit) -> Response | Done:
    """Change a server; an empty secret stays as it is."""
    row = await find_row(console, visit)
    fields = {name: visit.field(name) for name in ("url", "secret", *_FIELDS)}
    change = {**fields, **{name: fields[name] or "0" for name in _NUMBERS}}
    try:
        await console.call(visit, "updateServer", id=row.server.id, server=change)
    except ChangeFailed as error:
        return await _form(console, visit, fields, problem=str(error))
    return Done(
        Notice(visit.texts.t("{server} was changed", server=row.label)), path_of(row.server.id)
    )


async def _form(
    console: Console, visit: Visit, values: Mapping[str, str], problem: str = ""
) -> Response:
    server_id = visit.view.param("id")
    row = await find_row(console, visit) if server_id else None
    shown = {name: values.get(name, "") for name in ("url", *_FIELDS)}
    label = row.label if row else ""
    title = visit.texts.t("Edit {server}", server=label) if row else visit.texts.t("Add a server")
    return await console.page(
        visit,
        "server_form.html",
        400 if problem else 200,
        id=server_id,
        label=label,
        title=title,
        problem=problem,
        values=shown,
        action=f"{path_of(server_id)}/edit" if row else "/scalelite/servers/add",
    )


async def show_secret(console: Console, visit: Visit) -> Response:
    """Show the secret; a POST, so that it is in the audit trail."""
    server = (await find_row(console, visit)).server
    answer = await console.call(visit, "getServerInfo", id=server.id)
    shown = [Change(server_snapshot(server).name, None, {"secret": "shown"})]
    await console.features.audit.record(visit.viewer.actor.who, "getServerInfo", shown, DONE)
    return await show(console, visit, secret=answer.secret)


def path_of(server_id: str) -> str:
    """Return the address of the page of a server."""
    return f"/scalelite/servers/{quote(server_id, safe='')}"


LIVE = LivePage("server", parts, params=("id",))
_ONE = "/servers/<id>"


def _post(name: str, handler: Any, role: Role = Role.OPERATOR) -> Route:
    return Route(f"{_ONE}/{name}", handler, "POST", "servers", role)


ROUTES = (
    Route("/servers/add", show_add, page="servers", role=Role.ADMIN),
    Route("/servers/add", add, "POST", "servers", Role.ADMIN),
    Route(_ONE, show, page="servers"),
    Route(f"{_ONE}/edit", show_edit, page="servers", role=Role.ADMIN),
    _post("edit", edit, Role.ADMIN),
    _post("cordon", cordon),
    _post("drain", drain),
    _post("enable", enable),
    _post("disable", disable),
    _post("panic", panic),
    _post("poll", poll),
    _post("remove", remove, Role.ADMIN),
    _post("secret", show_secret, Role.ADMIN),
)
