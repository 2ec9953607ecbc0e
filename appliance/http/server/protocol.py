"""The messages of one connection: Hypercorn's HTTP/1.1, with what it lacks in front of the world.

Differs from Hypercorn's own H11Protocol in this only:
- HTTP/1.1 alone. A client could otherwise ask for h2c or WebSockets, past a proxy that believes it
  saw HTTP/1.1; and a malformed request for either raised an error that ended the whole process.
- After a request that has both a length and chunks the connection is closed.
- What follows the last request of a connection is ignored, and does not take its answer away.
- A whole answer is one send.
- What is simple in HTTP/1.1 (http_simple) is read and written without h11.
Leans on Hypercorn's inside as http_connection does, and is used by it alone. Does no I/O.
Truth: RFC 9112.
"""

from __future__ import annotations

from typing import Any

import h11
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from appliance.http.server.fast_path import CLOSE, parse_request, render_head

_JOIN_BYTES = 64 * 1024
"""A body up to this is copied behind its head, so that both go out in one send."""


class _H11(h11.Connection):
    """Ignores what comes after the last request, where h11 sees an error of that request.

    Some clients end a form with a line too many, which is then not of it (RFC 9112 section 2.2).
    """

    def receive_data(self, data: bytes) -> None:
        if not data or self.their_state is not h11.MUST_CLOSE:
            super().receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        return h11.NEED_DATA if self.their_state is h11.MUST_CLOSE else super().next_event()


class Http1(H11Protocol):
    """HTTP/1.1 without upgrades; a whole answer in one send."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection = _H11(h11.SERVER, self.config.h11_max_incomplete_size)
        self._begun: Response | None = None
        """The head of an answer, not written yet."""
        self._held = b""
        """The same written, to be sent with the first of its body."""
        self._simple = b""
        """The request under way, if h11 has not read it."""
        self._goes_on = b""
        """What the answer to that one says of the connection."""
        self._answered = False
        """Whether the answer to that one was sent, or is being sent."""
        self._last = False
        """No request is taken after this one."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Ignore every wish to speak another protocol, as RFC 9110 section 7.8 allows."""

    async def handle(self, event: Event) -> None:
        """Take what comes from the client."""
        if isinstance(event, RawData):
            if self._answered:
                if event.data:
                    await self.can_read.clear()
                    await self.can_read.wait()
            elif self._simple:
                self._leave_to_h11()
            if self._is_at_rest() and (simple := parse_request(event.data)) is not None:
                self._simple, self._goes_on = event.data, simple.connection
                await self.send(Updated(idle=False))
                await self._open_stream("GET", simple.target, simple.headers, simple.version)
                await self.stream.handle(EndBody(stream_id=STREAM_ID))
                return
        await super().handle(event)

    def _is_at_rest(self) -> bool:
        """Whether the next byte begins a request."""
        connection = self.connection
        return (
            self.stream is None
            and connection.their_state is h11.IDLE
            and connection.our_state is h11.IDLE
            and not connection.trailing_data[0]
        )

    def _leave_to_h11(self) -> None:
        """Have h11 read the simple request that is under way, and write its answer."""
        self.connection.receive_data(self._simple)
        self._simple = b""
        assert isinstance(self.connection.next_event(), h11.Request)
        assert isinstance(self.connection.next_event(), h11.EndOfMessage)

    async def _create_stream(self, request: h11.Request) -> None:
        # Two ways to tell where it ends: whoever stands before us may have taken the other one, and
        # so what follows for this client's (RFC 9112 section 6.1, request smuggling).
        names = {name for name, _ in request.headers}
        self._last = {b"content-length", b"transfer-encoding"} <= names
        await self._open_stream(
            request.method.decode("ascii").upper(),
            request.target,
            list(request.headers),
            request.http_version.decode("ascii"),
        )

    async def _open_stream(
        self, method: str, target: bytes, headers: list[tuple[bytes, bytes]], version: str
    ) -> None:
        self.stream: Any = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=version,
                method=method,
                raw_path=target,
                state=self.connection_state,
            )
        )

    async def stream_send(self, event: StreamEvent) -> None:
        """Send a part of an answer; its head goes out with the first part of its body."""
        if isinstance(event, Response):
            headers = [*event.headers, *self.config.response_headers("h11")]
            if self._last:
                headers.append((b"connection", b"close"))
            self._begun = Response(STREAM_ID, headers, event.status_code)
        elif isinstance(event, Body):
            if not await self._answer_simply(event.data):
                await self._send_behind_head(self._render(h11.Data(data=event.data)))
        elif isinstance(event, EndBody):
            if not self._answered and not await self._answer_simply(b""):
                await self._send_behind_head(self._render(h11.EndOfMessage()))
        else:
            await super().stream_send(event)

    async def _answer_simply(self, body: bytes) -> bool:
        """Send the whole of a simple answer, if this is one; else h11 has written its head."""
        if self._answered:
            self._answered = False  # so that the connection is closed
            raise h11.LocalProtocolError("more than the Content-Length of the answer")
        begun, self._begun = self._begun, None
        if begun is None:
            return False
        if self._simple:
            head = render_head(begun.status_code, begun.headers, len(body), self._goes_on)
            if head is not None:
                self._held = head
                self._answered = True
                await self._send_behind_head(body)
                return True
            self._leave_to_h11()
        self._held = self._render(
            h11.Response(headers=begun.headers, status_code=begun.status_code)
        )
        return False

    async def _maybe_recycle(self) -> None:
        """Make ready for the next request, or close."""
        self._begun = None
        if not self._simple:
            await super()._maybe_recycle()
            return
        stays = self._answered and self._goes_on != CLOSE and not self.context.terminated.is_set()
        self._simple, self._answered = b"", False
        await self._close_stream()
        if stays:
            await self.can_read.set()
        await self.send(Updated(idle=True) if stays else Closed())

    async def _send_behind_head(self, data: bytes) -> None:
        head, self._held = self._held, b""
        if head and len(data) > _JOIN_BYTES:
            await self.send(RawData(data=head))
            head = b""
        if head or data:
            await self.send(RawData(data=head + data))

    def _render(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> bytes:
        try:
            return self.connection.send(event) or b""
        except h11.LocalProtocolError:
            # After an error of the client's h11 takes nothing but the answer that says so.
            if self.connection.their_state is not h11.ERROR:
                raise
            return b""
