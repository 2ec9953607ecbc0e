"""One request on its way from plain ASGI through a Quart-Trio application.

After the last byte of a response Hypercorn queues `http.disconnect` and, in the same task, prepares
the connection for the next request. Quart-Trio reacts to that message by cancelling its nursery,
and with it that task: connections are then never closed and never time out. Before that it cancels
a view whose client leaves, in the middle of a change, and it reads a body into memory as fast as it
arrives, even if the view waits for a slow disk.
Therefore the end of a response is sent after Quart has returned, Quart learns that a client has
left only while a long response is sent, and it sees an empty body: views read that of
`current_exchange().request`, with its limits.
Seen in Hypercorn 0.17.3 and 0.18 with Quart-Trio 0.12 and 0.13 (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import cast

import quart
import trio
from quart.wrappers import base

from appliance.http.messages import (
    AsgiApp,
    ClientGone,
    ClientTimeouts,
    Message,
    Receive,
    Request,
    Scope,
    Send,
    read_request,
)
from appliance.http.origin import RequestOrigin

STALL_S = 30.0
"""A client that takes no bytes for so long is given up: the response may hold a connection to
PostgreSQL."""

_KEY = "appliance.exchange"
_NO_BODY: Message = {"type": "http.request", "body": b"", "more_body": False}
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}

_ClientLeft: type[Exception] = getattr(base, "ClientDisconnectedError", ClientGone)
"""Raised by newer versions of Quart than Debian 13's."""

Report = Callable[[int, bytes], None]


class Exchange:
    """A request and, as far as it was sent, its response."""

    def __init__(
        self, request: Request, origin: RequestOrigin, send: Send, report: Report | None = None
    ) -> None:
        """`report` is called once, with the status and the beginning of the body.

        That is before a response with a length is sent, and at the end of any other.
        """
        self.request = request
        self.origin = origin
        self.stall_s = STALL_S
        self.started = False
        """Whether the head of the response was sent."""
        self._send = send
        self._report = report
        self._status = 0
        self._has_length = False
        self._complete = False
        self._unread = False
        self._asked = False
        self._watching = trio.Event()
        self.nursery: trio.Nursery
        """For work beside the view; cancelled at the end of the response."""

    async def run(self, app: AsgiApp, scope: Scope) -> None:
        """Have the application respond.

        Raises: ClientGone; and what a view raises after its response has begun.
        """
        # The host was checked, and Quart need not parse what a client wrote there.
        headers = [field for field in scope["headers"] if field[0] != b"host"]
        try:
            async with trio.open_nursery() as self.nursery:
                await app({**scope, "headers": headers, _KEY: self}, self._receive, self._pass)
                self.nursery.cancel_scope.cancel()
        except ExceptionGroup as group:
            error = _first_error(group)
            # It has left just when its response was to begin.
            raise ClientGone if isinstance(error, _ClientLeft) else error from None
        if not self._complete:
            raise ClientGone
        self._report_once(b"")
        if self._unread:
            await self.request.body.discard()
        await self._send(_END)

    def watch_client(self) -> None:
        """Cancel everything when the client closes the connection, for a response that is long."""
        self._watching.set()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return _NO_BODY
        await self._watching.wait()
        await self.request.body.wait_gone()
        return {"type": "http.disconnect"}

    async def _pass(self, message: Message) -> None:
        """Send a message of the application. Raises: ClientGone (the client takes no bytes)."""
        if message["type"] == "http.response.start":
            message = self._begin(message)
        elif not message.get("more_body", False):
            self._complete = True
            return
        elif self._has_length:
            self._report_once(message["body"])
        with trio.move_on_after(self.stall_s) as scope:
            await self._send(message)
        if scope.cancelled_caught:
            raise ClientGone

    def _begin(self, message: Message) -> Message:
        self.started = True
        self._status = message["status"]
        headers = list(message["headers"])
        self._has_length = any(name == b"content-length" for name, _ in headers)
        if self.origin.request_id is not None:
            headers.append((b"x-request-id", self.origin.request_id))
        self._unread = self.request.has_body() and not self.request.body.ended
        if self._unread:
            headers.append((b"connection", b"close"))
        return {**message, "headers": headers}

    def _report_once(self, body: bytes) -> None:
        report, self._report = self._report, None
        if report is not None:
            report(self._status, body)


def current_exchange() -> Exchange:
    """Return the exchange of the request that a view answers."""
    return cast(Exchange, quart.request.scope[_KEY])  # type: ignore[literal-required]


def serve_quart(app: AsgiApp) -> AsgiApp:
    """Return a listener's application that is Quart's alone. Errors are raised to the listener."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = read_request(scope, receive, ClientTimeouts())
            with suppress(ClientGone):
                await Exchange(request, RequestOrigin("", None), send).run(app, scope)

    return serve


def _first_error(group: ExceptionGroup) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
