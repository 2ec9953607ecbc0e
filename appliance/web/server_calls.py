"""The calls that BBB servers make to us, which no checksum of the API covers.

Each brings its own proof; nothing else of a request is believed. Answers are plain text with HTTP
statuses, since programs read them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from appliance.core.ended_meetings import ENDED_CALL
from appliance.core.faults import StoreDown
from appliance.operations.ended_meetings import take_end
from appliance.operations.resources import Resources
from appliance.web.http import Request, Response
from appliance.web.origin import Origin

Handler = Callable[[Resources, Request, Origin], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ServerCall:
    """One call that servers make."""

    method: str
    handler: Handler


def text_response(status: int, text: str, *headers: tuple[bytes, bytes]) -> Response:
    """Return a line of plain text."""
    return Response(status, b"text/plain; charset=utf-8", f"{text}\n".encode(), headers)


async def _meeting_ended(res: Resources, request: Request, origin: Origin) -> Response:
    try:
        taken = await take_end(res, request.query)
    except StoreDown as error:
        res.faults.note("request_without_store", "redis", reason=str(error))
        return text_response(503, "try again later")
    return text_response(200, "ok") if taken else text_response(403, "not signed by us")


SERVER_CALLS: Mapping[str, ServerCall] = {
    ENDED_CALL: ServerCall("GET", _meeting_ended),
}
