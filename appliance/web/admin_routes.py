"""The admin API: one JSON call = one operation. Mounted on the control socket.

Knows no rule and no store, and authenticates nobody: on the control socket the kernel has said who
is connected (tasks/control_server.py). It must not be mounted publicly without a checksum.
Calls that Scalelite has bear its names, fields and status codes.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio
from quart import Blueprint, Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from appliance.core.faults import StoreDown
from appliance.core.model import ServerChange, ServerState
from appliance.operations import meeting_admin, polling, server_clearing, servers, status
from appliance.operations.actors import SCOPE_KEY, UNKNOWN
from appliance.operations.refusal import RefusalKind, Refused
from appliance.operations.resources import Resources
from appliance.web import admin_json as form
from appliance.web.admin_json import BadRequest, Json
from appliance.web.quart_shim import AsgiApp, QuartShim

PREFIX = "/scalelite/api"
MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 10
SHORT_S = 15.0
LONG_S = 600.0
"""For calls that ask many servers, some of which may be dead."""

_STATUS_OF = {
    RefusalKind.INVALID: 400,
    RefusalKind.NOT_FOUND: 404,
    RefusalKind.CONFIRMATION_NEEDED: 409,
    RefusalKind.UNREACHABLE: 502,
}
_STATES = {"enable": ServerState.ENABLED, "cordon": ServerState.CORDONED, "disable": None}
"""Scalelite's words in updateServer; None: not a mere change of the state."""

Answer = tuple[Any, int]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read: who makes it, and its fields from query and body."""

    who: str
    fields: Json

    @property
    def server_id(self) -> str:
        """Return the `id`, which may stand beside or inside `server`. Raises BadRequest."""
        found = form.text(self.fields, "id")
        found = found or form.text(form.server_fields(self.fields), "id")
        if not found:
            raise BadRequest("id is missing")
        return found


Handler = Callable[[Resources, Call], Awaitable[Answer]]


async def _get_servers(res: Resources, call: Call) -> Answer:
    found = await servers.list_servers(res)
    if not found:
        return {"error": "No servers are configured"}, 404
    return [form.server_json(server) for server in found], 200


async def _get_server_info(res: Resources, call: Call) -> Answer:
    return form.server_json(await servers.find_server(res, call.server_id)), 200


async def _add_server(res: Resources, call: Call) -> Answer:
    new = form.parse_new_server(form.server_fields(call.fields))
    return form.server_json(await servers.add_server(res, call.who, new)), 201


async def _update_server(res: Resources, call: Call) -> Answer:
    fields = form.server_fields(call.fields)
    server_id, word = call.server_id, form.text(fields, "state")
    if word and word not in _STATES:
        raise BadRequest(f"Invalid state parameter: {word}")
    change = form.parse_change(fields)
    server = await servers.find_server(res, server_id)
    if change != ServerChange():
        server = await servers.update_server(res, call.who, server_id, change)
    if word == "disable":
        # A script that says "disable" has decided; only people are asked.
        cleared = await server_clearing.disable_server(res, call.who, server_id, confirmed=True)
        server = cleared.server
    elif word:
        state = _STATES[word] or server.state
        server = await servers.set_server_state(res, call.who, server_id, state)
    return form.server_json(server), 200


async def _delete_server(res: Resources, call: Call) -> Answer:
    server_id = call.server_id
    force = form.flag(call.fields, "force")
    await servers.remove_server(res, call.who, server_id, force=force)
    return {"success": f"Server id={server_id} was destroyed"}, 200


async def _panic_server(res: Resources, call: Call) -> Answer:
    fields = {**call.fields, **form.server_fields(call.fields)}
    keep_state = form.flag(fields, "keep_state")
    cleared = await server_clearing.panic_server(
        res,
        call.who,
        call.server_id,
        keep_state=keep_state,
        skip_end_calls=form.flag(fields, "skip_end_calls"),
    )
    was = "cleared" if keep_state else "disabled"
    return {
        "success": f"Server id={cleared.server.id} has been {was} and the meetings have been "
        "destroyed",
        "state": cleared.server.state.value,
        "meetings": form.ended_json(cleared.meetings),
    }, 200


async def _enable_server(res: Resources, call: Call) -> Answer:
    enabled = await servers.enable_server(res, call.who, call.server_id)
    poll = None if enabled.poll is None else form.poll_json(enabled.poll)
    return {**form.server_status_json(enabled.server), "poll": poll}, 200


async def _cordon_server(res: Resources, call: Call) -> Answer:
    server = await servers.cordon_server(res, call.who, call.server_id)
    return form.server_status_json(server), 200


async def _disable_server(res: Resources, call: Call) -> Answer:
    cleared = await server_clearing.disable_server(
        res, call.who, call.server_id, confirmed=form.flag(call.fields, "confirmed")
    )
    document = form.server_status_json(cleared.server)
    return {**document, "ended": form.ended_json(cleared.meetings)}, 200


async def _get_server_meetings(res: Resources, call: Call) -> Answer:
    found = await meeting_admin.list_server_meetings(res, form.texts(call.fields, "ids"))
    return [form.server_meetings_json(one) for one in found], 200


async def _get_status(res: Resources, call: Call) -> Answer:
    return form.status_json(await status.read_status(res)), 200


async def _list_meetings(res: Resources, call: Call) -> Answer:
    found = await meeting_admin.find_meetings(res, form.texts(call.fields, "ids"))
    return {
        "meetings": [form.meeting_json(meeting) for meeting in found.meetings],
        "unknown": list(found.unknown),
    }, 200


async def _get_meeting_info(res: Resources, call: Call) -> Answer:
    return form.shown_meeting_json(await meeting_admin.show_meeting(res, call.server_id)), 200


async def _end_meetings(res: Resources, call: Call) -> Answer:
    ids = None if form.flag(call.fields, "all") else form.texts(call.fields, "ids")
    done = await meeting_admin.end_meetings(res, call.who, ids)
    return {"meetings": form.ended_json(done.meetings), "unknown": list(done.unknown)}, 200


async def _poll(res: Resources, call: Call) -> Answer:
    what = form.text(call.fields, "what") or "all"
    if what not in ("all", "servers", "meetings", "versions"):
        raise BadRequest("what must be all, servers, meetings or versions")
    ids = form.texts(call.fields, "ids")
    if ids:
        chosen = [await servers.find_server(res, one) for one in ids]
        results = [await polling.poll_server(res, one, read_version=False) for one in chosen]
    else:
        results = await polling.poll_pool(res, versions_only=what == "versions")
    return [form.poll_json(result) for result in results], 200


_CALLS: tuple[tuple[str, str, Handler, float], ...] = (
    ("getServers", "GET", _get_servers, SHORT_S),
    ("getServerInfo", "GET", _get_server_info, SHORT_S),
    ("addServer", "POST", _add_server, SHORT_S),
    ("updateServer", "POST", _update_server, LONG_S),
    ("deleteServer", "POST", _delete_server, SHORT_S),
    ("panicServer", "POST", _panic_server, LONG_S),
    ("enableServer", "POST", _enable_server, SHORT_S),
    ("cordonServer", "POST", _cordon_server, SHORT_S),
    ("disableServer", "POST", _disable_server, LONG_S),
    ("getServerMeetings", "POST", _get_server_meetings, LONG_S),
    ("getStatus", "GET", _get_status, SHORT_S),
    ("listMeetings", "POST", _list_meetings, LONG_S),
    ("getMeetingInfo", "GET", _get_meeting_info, LONG_S),
    ("endMeetings", "POST", _end_meetings, LONG_S),
    ("poll", "POST", _poll, LONG_S),
)


def make_control_app(res: Resources) -> AsgiApp:
    """Return the application that the control socket serves."""
    app = QuartTrio("appliance.control")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT_S
    app.register_blueprint(make_admin_blueprint(res), url_prefix=PREFIX)
    app.register_error_handler(HTTPException, _render_http_error)
    return QuartShim(app)  # type: ignore[arg-type]


def make_admin_blueprint(res: Resources) -> Blueprint:
    """Return the calls, to be mounted behind something that authenticates."""
    blueprint = Blueprint("admin", __name__)
    for name, method, handler, deadline_s in _CALLS:
        view = _make_view(res, name, handler, deadline_s)
        blueprint.add_url_rule(f"/{name}", name, view, methods=[method])
    return blueprint


def _make_view(
    res: Resources, name: str, handler: Handler, deadline_s: float
) -> Callable[[], Awaitable[Response]]:
    async def view() -> Response:
        document, code = await _answer(res, name, handler, deadline_s)
        return _respond(document, code)

    return view


async def _answer(res: Resources, name: str, handler: Handler, deadline_s: float) -> Answer:
    try:
        with trio.fail_after(deadline_s):
            return await handler(res, await _read_call())
    except HTTPException:
        raise
    except trio.TooSlowError:
        return {"error": f"not done within {deadline_s:g} seconds"}, 504
    except Exception as error:
        answer = _describe(res, _first_leaf(error))
        if answer is None:
            # Never the query or the body: they may hold secrets.
            res.log.error("request_failed", call=name, exc_info=error)
            return {"error": "The request failed; the appliance's log says why."}, 500
        return answer


def _describe(res: Resources, error: BaseException) -> Answer | None:
    """Return the answer for an error that is expected, None for a defect."""
    if isinstance(error, BadRequest):
        return {"error": str(error)}, 400
    if isinstance(error, Refused):
        return {"error": error.reason, "kind": error.kind.value}, _STATUS_OF[error.kind]
    if isinstance(error, StoreDown):
        res.faults.note("request_without_store", "redis", reason=str(error))
        return {"error": "The meeting store is not reachable."}, 503
    return None


def _first_leaf(error: BaseException) -> BaseException:
    """Look into the groups that nurseries make: one lost store fails all tasks alike."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _read_call() -> Call:
    fields: Json = dict(request.args.items())
    fields.update(form.parse_body(await request.get_data(False, False, False)))
    return Call(str(request.scope.get(SCOPE_KEY, UNKNOWN)), fields)


async def _render_http_error(error: HTTPException) -> Response:
    code = error.code or 500
    texts = {404: "no such call", 405: "this call has another method"}
    return _respond({"error": texts.get(code, error.name)}, code)


def _respond(document: Any, code: int) -> Response:
    return Response(json.dumps(document), code, content_type="application/json")
