"""The calls of the admin API, and how the control socket serves them.

Knows no rule and no store, and authenticates nobody: on the control socket the kernel has said who
is connected (admin/control_socket.py). On the public listener admin_api.py asks for a checksum.
Calls that Scalelite has bear its names, fields and status codes.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from quart import Blueprint, Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from appliance.admin_calls import forms as form
from appliance.admin_calls.actors import SCOPE_KEY, UNKNOWN
from appliance.admin_calls.call import (
    BODY_TIMEOUT_S,
    MAX_BODY_BYTES,
    PREFIX,
    AdminCall,
    BoundAdminCall,
    Call,
    answer_call,
)
from appliance.callbacks.admin_analytics_calls import ANALYTICS_CALLS
from appliance.callbacks.admin_calls import CALLBACK_CALLS
from appliance.doctor.admin_calls import DOCTOR_CALLS
from appliance.features import Features
from appliance.http.messages import AsgiApp
from appliance.http.quart_shim import QuartShim
from appliance.meetings.admin_calls import MEETING_CALLS
from appliance.recordings.admin_calls import RECORDING_CALLS
from appliance.servers.admin_calls import SERVER_CALLS
from appliance.servers.admin_sync_calls import SYNC_CALLS
from appliance.takeover.admin_calls import TAKEOVER_CALLS
from appliance.tenants.admin_calls import TENANT_CALLS

CALLS: tuple[AdminCall[Any], ...] = (
    *SERVER_CALLS,
    *MEETING_CALLS,
    *CALLBACK_CALLS,
    *ANALYTICS_CALLS,
    *DOCTOR_CALLS,
    *RECORDING_CALLS,
    *SYNC_CALLS,
    *TAKEOVER_CALLS,
    *TENANT_CALLS,
)
"""Every call, in the order of the documents."""


def bind_calls(features: Features) -> tuple[BoundAdminCall, ...]:
    """Return every call with what its feature is given."""
    return (
        *(call.bind(features.servers) for call in (*SERVER_CALLS, *SYNC_CALLS)),
        *(call.bind(features.meetings) for call in MEETING_CALLS),
        *(call.bind(features.callbacks) for call in (*CALLBACK_CALLS, *ANALYTICS_CALLS)),
        *(call.bind(features.doctor) for call in DOCTOR_CALLS),
        *(call.bind(features.recordings) for call in RECORDING_CALLS),
        *(call.bind(features.takeover) for call in TAKEOVER_CALLS),
        *(call.bind(features.tenants) for call in TENANT_CALLS),
    )


def make_control_app(features: Features) -> AsgiApp:
    """Return the application that the control socket serves."""
    app = QuartTrio("appliance.control")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT_S
    app.register_blueprint(make_admin_blueprint(features), url_prefix=PREFIX)
    app.register_error_handler(HTTPException, _render_http_error)
    return QuartShim(app)


def make_admin_blueprint(features: Features) -> Blueprint:
    """Return the calls, to be mounted behind something that authenticates."""
    blueprint = Blueprint("admin", __name__)
    for call in bind_calls(features):
        view = _make_view(features, call)
        blueprint.add_url_rule(f"/{call.name}", call.name, view, methods=[call.method])
    return blueprint


def _make_view(features: Features, call: BoundAdminCall) -> Callable[[], Awaitable[Response]]:
    async def view() -> Response:
        document, code = await answer_call(call, _read_call, features.faults, features.log)
        return _respond(document, code)

    return view


async def _read_call() -> Call:
    body = await request.get_data(False, False, False)
    return Call(
        str(request.scope.get(SCOPE_KEY, UNKNOWN)),
        form.merge_fields(form.parse_body(body), request.args.items()),
    )


async def _render_http_error(error: HTTPException) -> Response:
    code = error.code or 500
    texts = {404: "no such call", 405: "this call has another method"}
    return _respond({"error": texts.get(code, error.name)}, code)


def _respond(document: Any, code: int) -> Response:
    return Response(json.dumps(document), code, content_type="application/json")
