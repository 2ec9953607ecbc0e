"""An entry in the table of API calls that each feature has in its `routes.py`."""

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
    """Return an XML answer; API errors have status 200 too, as in BBB."""
    return Response(status, XML, body)


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[Deps]):
    """One call: its handler, and the methods and bodies that it accepts."""

    handler: Callable[[Deps, Caller, SignedRequest], Awaitable[Answer]]
    methods: frozenset[str] = frozenset({"GET", "POST"})
    accepts: Accepts = Accepts.FORM
    json: bool = False
    """Whether its failures are JSON documents."""

    def bind(self, deps: Deps) -> BoundCall:
        """Return the call with the dependencies of its feature."""
        return BoundCall(partial(self.handler, deps), self.methods, self.accepts, self.json)


@dataclass(frozen=True, slots=True)
class BoundCall:
    """A call with the dependencies of its feature."""

    answer: Callable[[Caller, SignedRequest], Awaitable[Answer]]
    methods: frozenset[str]
    accepts: Accepts
    json: bool
