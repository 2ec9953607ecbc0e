"""The admin API: one JSON call = one operation. Mounted on the control socket.

Knows no rule and no store, and authenticates nobody: on the control socket the kernel has said who
is connected (tasks/control_server.py). It must not be mounted publicly without a checksum.
Calls that Scalelite has bear its names, fields and status codes.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from quart import Blueprint, Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from appliance.core.faults import StoreDown
from appliance.operations.actors import SCOPE_KEY, UNKNOWN
from appliance.operations.refusal import RefusalKind, Refused
from appliance.operations.resources import Resources
from appliance.web import admin_json as form
from appliance.web.admin_call import AdminCall, Answer, Call, Handler
from appliance.web.admin_json import BadRequest, Json
from appliance.web.admin_pool_calls import POOL_CALLS
from appliance.web.admin_tenant_calls import TENANT_CALLS
from appliance.web.quart_shim import AsgiApp, QuartShim

PREFIX = "/scalelite/api"
MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 10

_STATUS_OF = {
    RefusalKind.INVALID: 400,
    RefusalKind.NOT_FOUND: 404,
    RefusalKind.CONFIRMATION_NEEDED: 409,
    RefusalKind.UNREACHABLE: 502,
}

CALLS: tuple[AdminCall, ...] = (*POOL_CALLS, *TENANT_CALLS)


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
    for call in CALLS:
        view = _make_view(res, call.name, call.handler, call.deadline_s)
        blueprint.add_url_rule(f"/{call.name}", call.name, view, methods=[call.method])
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
