"""One call of the public BBB API: a row in the table of its feature (`routes.py` of each)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from appliance.bbb.caller import Caller
from appliance.bbb.signed_request import Accepts, SignedRequest
from appliance.bbb.xml import XML_TYPE
from appliance.http.messages import Response
from appliance.http.streaming import StreamedResponse

XML = XML_TYPE.encode()

Deps = TypeVar("Deps")
Answer = Response | StreamedResponse


def xml_response(body: bytes, status: int = 200) -> Response:
    """Return an XML answer; API errors have status 200 too, as BBB's do."""
    return Response(status, XML, body)


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[Deps]):
    """How one call is answered: which methods and bodies it takes, and by which handler."""

    handler: Callable[[Deps, Caller, SignedRequest], Awaitable[Answer]]
    methods: frozenset[str] = frozenset({"GET", "POST"})
    accepts: Accepts = Accepts.FORM
    json: bool = False
    """Its failures are JSON documents."""

    def bind(self, deps: Deps) -> BoundCall:
        """Return the call with what its feature is given."""
        return BoundCall(partial(self.handler, deps), self.methods, self.accepts, self.json)


@dataclass(frozen=True, slots=True)
class BoundCall:
    """A call that is ready to be answered."""

    answer: Callable[[Caller, SignedRequest], Awaitable[Answer]]
    methods: frozenset[str]
    accepts: Accepts
    json: bool
