"""Hands requests for the admin API over to its Quart blueprint, and takes whole answers back.

The rest of the public listener is plain ASGI: it has read the head of a request and sends, counts
and logs all answers alike.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from appliance.admin.routes import BODY_TIMEOUT_S, MAX_BODY_BYTES, make_public_admin_blueprint
from appliance.admin_calls.actors import CLIENT_KEY
from appliance.admin_calls.call import PREFIX
from appliance.bbb import errors
from appliance.bbb.api_call import xml_response
from appliance.bbb.xml import render_error
from appliance.features import Features
from appliance.http.errors import HttpError
from appliance.http.messages import ClientGone, ClientTimeouts, Message, Request, Response, Scope
from appliance.http.quart_shim import QuartShim

ADMIN_PREFIX = PREFIX + "/"

Headers = Iterable[tuple[bytes, bytes]]


class AdminMount:
    """Answers requests below ADMIN_PREFIX."""

    def __init__(self, features: Features, timeouts: ClientTimeouts) -> None:
        app = QuartTrio("appliance.public")
        app.url_map.merge_slashes = False
        limit_s = min(BODY_TIMEOUT_S, timeouts.form_s)
        app.register_blueprint(make_public_admin_blueprint(features, body_timeout_s=limit_s))
        app.register_error_handler(HTTPException, _render)
        self._app = QuartShim(app)

    async def handle(self, request: Request, client: str) -> Response:
        """Answer one request of `client`, an address. Raises ClientGone."""
        collected = _Collected()
        exchange = _Exchange(request)
        await self._app(_scope(request, client), exchange.receive, collected.send)
        if collected.status == 0:
            raise ClientGone
        return collected.response


async def _render(error: HTTPException) -> tuple[bytes, int, dict[str, str]]:
    failure = errors.UNSUPPORTED_REQUEST
    refusal = xml_response(render_error(failure.key, failure.message), error.code or 500)
    return refusal.body, refusal.status, {"content-type": refusal.content_type.decode()}


def _scope(request: Request, client: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query,
        "root_path": "",
        "headers": list(request.headers.items()),
        "client": None if request.peer is None else (request.peer, 0),
        "server": None,
        CLIENT_KEY: client,
    }


class _Exchange:
    """The body of a request as ASGI messages."""

    def __init__(self, request: Request) -> None:
        self._body = request.body
        self._left = MAX_BODY_BYTES

    async def receive(self) -> Message:
        """Return the next part of the body.

        A call that has its body is carried out even if its client goes away.
        """
        if self._body.ended or self._left < 0:
            await trio.sleep_forever()
        try:
            chunk = await self._body.read_chunk()
        except ClientGone:
            return {"type": "http.disconnect"}
        except HttpError:  # the body stalls; the blueprint has a shorter limit
            await trio.sleep_forever()
        self._left -= len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": not self._body.ended}


class _Collected:
    """An answer, from its ASGI messages."""

    def __init__(self) -> None:
        self.status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    async def send(self, message: Message) -> None:
        """Take one message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = [(name.lower(), value) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    @property
    def response(self) -> Response:
        """Return the answer; the listener sets the length of its body."""
        content_type = dict(self._headers).get(b"content-type", b"")
        own = (b"content-type", b"content-length")
        headers = tuple(pair for pair in self._headers if pair[0] not in own)
        return Response(self.status, content_type, self._body, headers)
