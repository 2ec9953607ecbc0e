"""The calls that BBB servers make to the appliance, which no checksum of the API covers.

Each carries its own proof; nothing else in a request is trusted. Answers are plain text with HTTP
statuses, since programs read them.
"""

from __future__ import annotations

from quart import Blueprint, Response, request

from appliance.callbacks import analytics
from appliance.callbacks.analytics_rules import ANALYTICS_CALL, MAX_BODY_BYTES, BadReport
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.ended import record_end, relay_end
from appliance.callbacks.ended_rules import ENDED_CALL
from appliance.faults import StoreDown
from appliance.http.messages import read_body
from appliance.http.origin import client_of
from appliance.http.quart_app import text_response
from appliance.http.quart_exchange import current_exchange
from appliance.tenants.end_callback import END_CALLBACK_CALL
from appliance.tenants.signed_calls import find_caller


def make_server_blueprint(deps: CallbackDeps) -> Blueprint:
    """Return the calls of BBB servers; errors are left to the application."""
    blueprint = Blueprint("bbb_servers", __name__)

    @blueprint.get(f"/{ENDED_CALL}")
    async def meeting_ended() -> Response:
        return _answer_end(deps, await record_end(deps, request.query_string))

    @blueprint.get(f"/{END_CALLBACK_CALL}")
    async def end_callback() -> Response:
        return _answer_end(deps, await relay_end(deps, request.query_string))

    @blueprint.post(f"/{ANALYTICS_CALL}")
    async def analytics_callback() -> Response:
        try:
            return await _take_analytics(deps)
        except BadReport as error:
            return text_response(400, str(error))
        except StoreDown as error:
            # The server does not try again: an operator may want to know.
            deps.log.warning("analytics_not_taken", reason=str(error))
            raise

    return blueprint


def _answer_end(deps: CallbackDeps, accepted: bool) -> Response:
    if not accepted:
        reason = "not signed by the appliance"
        deps.faults.note("meeting_end_refused", client_of(request.scope), reason=reason)
        return text_response(403, reason)
    # BBB takes no other status for a success, not even 204 (CallbackUrlService).
    return text_response(200, "ok")


async def _take_analytics(deps: CallbackDeps) -> Response:
    """Raises: BadReport, HttpError (413, 408), StoreDown, ClientGone."""
    exchange = current_exchange()
    reporter = await analytics.find_reporter(deps, request.headers.get("authorization"))
    if reporter is None:
        deps.faults.note("analytics_refused", client_of(request.scope), reason="no valid token")
        return text_response(401, "no valid token", {"www-authenticate": "Bearer"})
    body = await read_body(exchange.request, MAX_BODY_BYTES)
    caller = await find_caller(deps.tenants, exchange.origin, exchange.request)
    accepted = await analytics.accept_report(deps, caller.tenant if caller else None, body)
    return text_response(200, accepted.value)
