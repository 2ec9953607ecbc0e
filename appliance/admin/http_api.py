"""The admin API on the public listener: the calls of admin_routes.py behind a checksum.

Who holds ADMIN_SECRET (else LOADBALANCER_SECRET or one of LOADBALANCER_SECRETS; never a tenant's)
may make any call. The checksum covers the name of the call and the query, not the body: that is
Scalelite's design, so a signed address is as good as the secret for that call and is never logged.
What Scalelite refuses before it looks at a call, it refuses in XML with status 200; so do we.
Truth: spec/administration.md, spec/bbb-api.md (Checksum); Scalelite's api controllers.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial

from appliance.admin.openapi import make_document
from appliance.admin.routes import CALLS, bind_calls
from appliance.admin_calls import forms as form
from appliance.admin_calls.actors import remote_actor
from appliance.admin_calls.call import (
    BODY_TIMEOUT_S,
    MAX_BODY_BYTES,
    PREFIX,
    Call,
    answer_call,
)
from appliance.bbb import errors
from appliance.bbb.api_call import xml_response
from appliance.bbb.checksum import split_checksum, verify_checksum
from appliance.bbb.errors import Failure
from appliance.bbb.params import parse_query
from appliance.bbb.xml import render_error
from appliance.features import Features
from appliance.http.errors import HttpError
from appliance.http.messages import Request, Response, read_body

ADMIN_PREFIX = PREFIX + "/"
DOCUMENT_NAME = "openapi.json"

_JSON = b"application/json; charset=utf-8"
_MAX_TARGET_BYTES = 64 * 1024
# Answers hold the servers' secrets, and addresses are signed.
_PRIVATE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class AdminApi:
    """Answers what is asked below ADMIN_PREFIX."""

    def __init__(self, features: Features) -> None:
        self._features = features
        public = {call.name for call in CALLS if not call.local}
        self._calls = {call.name: call for call in bind_calls(features) if call.name in public}
        self._document = json.dumps(
            make_document(CALLS, uploads=features.recordings.spool is not None), indent=1
        ).encode()
        self._tag = b'"%s"' % hashlib.sha256(self._document).hexdigest()[:32].encode()

    async def handle(self, request: Request, client: str) -> Response:
        """Answer one request of `client`, an address. Raises ClientGone."""
        name = request.path[len(ADMIN_PREFIX) :]
        if name == DOCUMENT_NAME:
            return self._show_document(request)
        call = self._calls.get(name)
        if call is None:
            return _refuse(errors.UNSUPPORTED_REQUEST, 404)
        allowed = _methods_of(call.method)
        if request.method not in allowed:
            return _refuse_method(allowed)
        posted = request.method == "POST" and request.has_body()
        if posted and request.media_type() != "application/json":
            return _refuse(errors.UNSUPPORTED_CONTENT_TYPE)
        if not self._is_signed(request, name):
            self._features.faults.note("admin_checksum_wrong", client, call=name)
            return _refuse(errors.CHECKSUM_ERROR)
        try:
            read = partial(_read_call, request, remote_actor(client))
            document, status = await answer_call(
                call, read, self._features.faults, self._features.log
            )
        except HttpError as error:
            document, status = {"error": error.reason}, error.status
        return Response(status, _JSON, json.dumps(document).encode(), _PRIVATE)

    def _is_signed(self, request: Request, name: str) -> bool:
        settings = self._features.settings
        if len(request.query) > _MAX_TARGET_BYTES:
            return False
        secrets, allowed = settings.admin.secrets, settings.api.allowed_algorithms
        return verify_checksum(name, request.query, secrets, allowed) is not None

    def _show_document(self, request: Request) -> Response:
        """Show what the API is. It holds no secret, so anybody may read it."""
        allowed = _methods_of("GET")
        if request.method not in allowed:
            return _refuse_method(allowed)
        headers = ((b"etag", self._tag), (b"cache-control", b"no-cache"))
        known = request.headers.get(b"if-none-match", b"")
        if known.strip() == b"*" or self._tag in known:
            return Response(304, _JSON, b"", headers)
        return Response(200, _JSON, self._document, headers)


async def _read_call(request: Request, who: str) -> Call:
    """Raises BadRequest, HttpError (413, 408), ClientGone."""
    body = b""
    if request.method == "POST":
        body = await read_body(request, MAX_BODY_BYTES, limit_s=BODY_TIMEOUT_S)
    query = parse_query(split_checksum(request.query)[0])
    return Call(who, form.merge_fields(form.parse_body(body), query))


def _methods_of(method: str) -> tuple[str, ...]:
    return ("GET", "HEAD") if method == "GET" else (method,)


def _refuse_method(allowed: tuple[str, ...]) -> Response:
    refusal = _refuse(errors.UNSUPPORTED_REQUEST, 405)
    allow = (b"allow", ", ".join(allowed).encode())
    return Response(refusal.status, refusal.content_type, refusal.body, (*refusal.headers, allow))


def _refuse(failure: Failure, status: int = 200) -> Response:
    answer = xml_response(render_error(failure.key, failure.message), status)
    return Response(answer.status, answer.content_type, answer.body, _PRIVATE)
