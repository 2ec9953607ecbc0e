"""One frequent call of the public BBB API, answered as plain ASGI: a row in a feature's table.

Quart adds 140 µs to a request, as much as these calls take without it. All others are blueprints
(tenants/signed_calls.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from appliance.bbb.caller import Caller
from appliance.bbb.errors import Failure
from appliance.bbb.signed_request import Accepts, SignedRequest
from appliance.bbb.xml import XML_TYPE, render_error
from appliance.http.messages import Response

_XML = XML_TYPE.encode()
NO_CACHE = ("cache-control", "no-cache")
"""On every answer of the API, as BBB's ApiController sends it."""
_HEADERS = ((NO_CACHE[0].encode(), NO_CACHE[1].encode()),)


def xml_response(body: bytes, status: int = 200) -> Response:
    """Return an XML response; API errors have status 200 too, as BBB's do."""
    return Response(status, _XML, body, _HEADERS)


def xml_failure(failure: Failure, status: int | None = None) -> Response:
    """Return a FAILED response, with the failure's own status unless one is given."""
    body = render_error(failure.key, failure.message)
    return xml_response(body, failure.http_status if status is None else status)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call: the function that answers it, and the methods and bodies that it accepts."""

    answer: Callable[[Caller, SignedRequest], Awaitable[Response]]
    methods: frozenset[str] = frozenset({"GET", "POST"})
    accepts: Accepts = Accepts.FORM
