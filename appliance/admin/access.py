"""Access to the admin calls on each listener, and how a listener denies a request.

On the control socket the kernel has identified the peer (control_socket.py). On the public listener
a request has an access token, or a checksum made with ADMIN_SECRET (else LOADBALANCER_SECRET or one
of LOADBALANCER_SECRETS; never a tenant's). The checksum covers the name of the call and the query,
not the body: a signed address is as good as the secret for that call, so it is never logged. A
request that is denied before its call is looked at gets XML with status 200, as from Scalelite; one
with a token gets JSON (RFC 6750, section 3).
Source: Scalelite's docs/api-README.md and its API controllers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from quart import Request, Response

from appliance.admin_calls.actors import (
    ACTOR_KEY,
    Actor,
    signed_actor,
)
from appliance.bbb import errors
from appliance.bbb.checksum import split_checksum, verify_checksum
from appliance.bbb.errors import Failure
from appliance.bbb.params import Params, parse_query
from appliance.bbb.xml import XML_TYPE, render_error
from appliance.fault_log import FaultLog
from appliance.http.authorization import parse_bearer
from appliance.http.origin import client_of
from appliance.settings import Settings
from appliance.tokens.deps import TokenDeps
from appliance.tokens.find import find_token

_JSON = "application/json"
_MAX_QUERY_BYTES = 64 * 1024


class Denied(Exception):
    """Ends a request before its call is made."""

    def __init__(
        self,
        failure: Failure,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        reason: str = "",
    ) -> None:
        super().__init__(failure.key)
        self.failure = failure
        self.status = status
        self.headers = headers or {}
        self.reason = reason
        """Not empty: the answer is JSON with this reason, on any listener."""


def no_such_call() -> Denied:
    """Return the denial of an unknown call."""
    return Denied(errors.UNSUPPORTED_REQUEST, 404)


def wrong_method(allow: str) -> Denied:
    """Return the denial of a request that has another method than its call."""
    return Denied(errors.UNSUPPORTED_REQUEST, 405, {"Allow": allow})


class Access(Protocol):
    """How one listener identifies its clients."""

    @property
    def is_local(self) -> bool:
        """Whether clients are on this machine and may make calls about its files."""

    async def identify(self, name: str, request: Request) -> tuple[Actor, Params]:
        """Return the actor of a call and the parameters of its query.

        Raises Denied, StoreDown.
        """

    def render(self, denied: Denied) -> Response:
        """Return the answer to a request that is denied."""


class ControlAccess:
    """The control socket: everybody who could connect may make every call."""

    is_local = True

    async def identify(self, name: str, request: Request) -> tuple[Actor, Params]:
        """Return the connected user."""
        scope = cast(dict[str, Any], request.scope)
        return scope[ACTOR_KEY], parse_query(request.query_string)

    def render(self, denied: Denied) -> Response:
        """Say why in JSON, as calls do."""
        texts = {404: "no such call", 405: "this call has another method"}
        return _refuse_in_json(denied, texts.get(denied.status, denied.failure.message))


@dataclass(frozen=True, slots=True)
class PublicAccess:
    """The public listener."""

    settings: Settings
    faults: FaultLog
    tokens: TokenDeps

    @property
    def is_local(self) -> bool:
        """Clients may be anywhere."""
        return False

    async def identify(self, name: str, request: Request) -> tuple[Actor, Params]:
        """Check the token, or content type and checksum; nothing of the body has been read."""
        client = client_of(request.scope)
        query: bytes = request.query_string
        secret = parse_bearer(request.headers.get("authorization"))
        foreign_body = (
            request.method in ("POST", "PUT") and _has_body(request) and request.mimetype != _JSON
        )
        if secret is not None:
            actor = await self._find_bearer(secret, client)
            if foreign_body:
                reason = f"the body must be {_JSON}"
                raise Denied(errors.UNSUPPORTED_CONTENT_TYPE, 415, reason=reason)
            return actor, parse_query(query)
        if foreign_body:
            raise Denied(errors.UNSUPPORTED_CONTENT_TYPE)
        if not self._is_signed(name, query):
            self.faults.note("admin_checksum_wrong", client, call=name)
            raise Denied(errors.CHECKSUM_ERROR)
        return signed_actor(client), parse_query(split_checksum(query)[0])

    async def _find_bearer(self, secret: str, client: str) -> Actor:
        token = await find_token(self.tokens, secret)
        if token is None:
            self.faults.note("admin_token_refused", client)
            reason = "the token is unknown, has expired or was revoked"
            headers = {"WWW-Authenticate": "Bearer"}
            raise Denied(errors.CHECKSUM_ERROR, 401, headers, reason=reason)
        who = f"token {token.name} {client}"
        return Actor(who, token.role, token.tenant_id)

    def _is_signed(self, name: str, query: bytes) -> bool:
        if len(query) > _MAX_QUERY_BYTES:
            return False
        allowed = self.settings.api.allowed_algorithms
        return verify_checksum(name, query, self.settings.admin.secrets, allowed) is not None

    def render(self, denied: Denied) -> Response:
        """Render the failure as Scalelite does, or in JSON."""
        if denied.reason:
            return _refuse_in_json(denied, denied.reason)
        body = render_error(denied.failure.key, denied.failure.message)
        return Response(body, denied.status, content_type=XML_TYPE)


def _refuse_in_json(denied: Denied, reason: str) -> Response:
    return Response(json.dumps({"error": reason}), denied.status, content_type=_JSON)


def _has_body(request: Request) -> bool:
    if "transfer-encoding" in request.headers:
        return True
    return request.headers.get("content-length", "").strip("0 ") != ""
