"""Who may make admin calls on which listener, and how a listener denies a request.

On the control socket the kernel has identified the peer (control_socket.py). On the public listener
a request has a checksum made with ADMIN_SECRET (else LOADBALANCER_SECRET or one of
LOADBALANCER_SECRETS; never a tenant's). It covers the name of the call and the query, not the body:
a signed address is as good as the secret for that call, so it is never logged. A request that is
denied before its call is looked at gets XML with status 200, as from Scalelite.
Source: Scalelite's docs/api-README.md and its API controllers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from quart import Request, Response

from appliance.admin_calls.actors import ACTOR_KEY, CLIENT_KEY, UNKNOWN, remote_actor
from appliance.bbb import errors
from appliance.bbb.checksum import split_checksum, verify_checksum
from appliance.bbb.errors import Failure
from appliance.bbb.params import Params, parse_query
from appliance.bbb.xml import XML_TYPE, render_error
from appliance.fault_log import FaultLog
from appliance.settings import Settings

_MAX_QUERY_BYTES = 64 * 1024


class Denied(Exception):
    """Ends a request before its call is made."""

    def __init__(self, failure: Failure, status: int = 200, allow: Iterable[str] = ()) -> None:
        super().__init__(failure.key)
        self.failure = failure
        self.status = status
        self.allow = ", ".join(allow)


def no_such_call() -> Denied:
    """Return the denial of an unknown call."""
    return Denied(errors.UNSUPPORTED_REQUEST, 404)


def wrong_method(allow: Iterable[str]) -> Denied:
    """Return the denial of a request that has another method than its call."""
    return Denied(errors.UNSUPPORTED_REQUEST, 405, allow)


class Access(Protocol):
    """How one listener identifies its clients."""

    @property
    def is_local(self) -> bool:
        """Whether clients are on this machine and may make calls about its files."""

    def identify(self, name: str, request: Request) -> tuple[str, Params]:
        """Return the actor of a call and the parameters of its query. Raises Denied."""

    def render(self, denied: Denied) -> Response:
        """Return the answer to a request that is denied."""


class ControlAccess:
    """The control socket: everybody who could connect may make every call."""

    is_local = True

    def identify(self, name: str, request: Request) -> tuple[str, Params]:
        """Return the connected user."""
        return str(request.scope.get(ACTOR_KEY, UNKNOWN)), parse_query(request.query_string)

    def render(self, denied: Denied) -> Response:
        """Say why in JSON, as calls do."""
        texts = {404: "no such call", 405: "this call has another method"}
        body = json.dumps({"error": texts.get(denied.status, denied.failure.message)})
        return Response(body, denied.status, content_type="application/json")


@dataclass(frozen=True, slots=True)
class PublicAccess:
    """The public listener."""

    settings: Settings
    faults: FaultLog

    @property
    def is_local(self) -> bool:
        """Clients may be anywhere."""
        return False

    def identify(self, name: str, request: Request) -> tuple[str, Params]:
        """Check content type and checksum; nothing of the body has been read."""
        if (
            request.method == "POST"
            and _has_body(request)
            and request.mimetype != "application/json"
        ):
            raise Denied(errors.UNSUPPORTED_CONTENT_TYPE)
        client = str(cast(dict[str, Any], request.scope)[CLIENT_KEY])
        query: bytes = request.query_string
        if not self._is_signed(name, query):
            self.faults.note("admin_checksum_wrong", client, call=name)
            raise Denied(errors.CHECKSUM_ERROR)
        return remote_actor(client), parse_query(split_checksum(query)[0])

    def _is_signed(self, name: str, query: bytes) -> bool:
        if len(query) > _MAX_QUERY_BYTES:
            return False
        allowed = self.settings.api.allowed_algorithms
        return verify_checksum(name, query, self.settings.admin.secrets, allowed) is not None

    def render(self, denied: Denied) -> Response:
        """Render the failure as Scalelite does."""
        body = render_error(denied.failure.key, denied.failure.message)
        return Response(body, denied.status, content_type=XML_TYPE)


def _has_body(request: Request) -> bool:
    if "transfer-encoding" in request.headers:
        return True
    return request.headers.get("content-length", "").strip("0 ") != ""
