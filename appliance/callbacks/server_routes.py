"""The calls that BBB servers make to us, which no checksum of the API covers.

Each brings its own proof; nothing else of a request is believed. Answers are plain text with HTTP
statuses, since programs read them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from appliance.callbacks import analytics
from appliance.callbacks.analytics_rules import ANALYTICS_CALL, MAX_BODY_BYTES, BadReport
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.ended import record_end, relay_end
from appliance.callbacks.ended_rules import ENDED_CALL
from appliance.faults import StoreDown
from appliance.http.errors import HttpError
from appliance.http.messages import Request, Response, read_body
from appliance.http.origin import RequestOrigin
from appliance.model import Tenant
from appliance.tenants.end_callback import END_CALLBACK_CALL

Handler = Callable[[CallbackDeps, Request, RequestOrigin], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ServerCall:
    """One call that servers make."""

    method: str
    handler: Handler


def text_response(status: int, text: str, *headers: tuple[bytes, bytes]) -> Response:
    """Return a line of plain text."""
    return Response(status, b"text/plain; charset=utf-8", f"{text}\n".encode(), headers)


async def _meeting_ended(deps: CallbackDeps, request: Request, origin: RequestOrigin) -> Response:
    return await _answer_end(deps, record_end(deps, request.query))


async def _end_callback(deps: CallbackDeps, request: Request, origin: RequestOrigin) -> Response:
    return await _answer_end(deps, relay_end(deps, request.query))


async def _answer_end(deps: CallbackDeps, taking: Awaitable[bool]) -> Response:
    try:
        taken = await taking
    except StoreDown as error:
        deps.faults.note("request_without_store", "redis", reason=str(error))
        return text_response(503, "try again later")
    # BBB takes no other status for a success, not even 204 (CallbackUrlService).
    return text_response(200, "ok") if taken else text_response(403, "not signed by us")


async def _analytics(deps: CallbackDeps, request: Request, origin: RequestOrigin) -> Response:
    try:
        reporter = await analytics.find_reporter(deps, request.header(b"authorization"))
        if reporter is None:
            return text_response(401, "no valid token", (b"www-authenticate", b"Bearer"))
        body = await read_body(request, MAX_BODY_BYTES)
        taken = await analytics.accept_report(deps, await _tenant(deps, origin), body)
    except BadReport as error:
        return text_response(400, str(error))
    except HttpError as error:
        return text_response(error.status, error.reason)
    except StoreDown as error:
        # Its server does not try again: somebody may want to know.
        deps.log.warning("analytics_not_taken", reason=str(error))
        return text_response(503, "try again later")
    return text_response(200, taken.value)


async def _tenant(deps: CallbackDeps, origin: RequestOrigin) -> Tenant | None:
    if not deps.settings.api.multitenancy:
        return None
    return await deps.tenants.cache.find(origin.host.partition(".")[0])


SERVER_CALLS: Mapping[str, ServerCall] = {
    ENDED_CALL: ServerCall("GET", _meeting_ended),
    END_CALLBACK_CALL: ServerCall("GET", _end_callback),
    ANALYTICS_CALL: ServerCall("POST", _analytics),
}
