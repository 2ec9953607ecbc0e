"""One client's connection: Hypercorn's HTTP/1.1, with what it lacks for a server that must stay up.

Differs from Hypercorn's own TCPServer and H11Protocol in this only:
- HTTP/1.1 alone. A client could otherwise ask for h2c or WebSockets, past a proxy that believes it
  saw HTTP/1.1; and a malformed request for either raised an error that ended the whole process.
- What the application does not read (a body it refuses) never blocks the end of the connection.
- Sends can be cancelled, so that a client that never reads does not hold up a stop.
- A connection that is closed with a second request waiting in it is done with.
- After a request that has both a length and chunks the connection is closed.
- What follows the last request of a connection is ignored, and does not take its answer away.
- An idle connection is one that the server finds idle now and then, not a task that is started and
  cancelled around each request; and a whole answer is one send.
- What is simple in HTTP/1.1 (http_simple) is read and written without h11.
Leans on Hypercorn's inside, which is the same in 0.17.3 and 0.18; its test file shows that it fits.
With another version, or TUNING_OFF=connections, http_stock serves instead.
Truth: RFC 9112, and what was measured of Hypercorn (docs/architecture.md).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from appliance.log import Log
from appliance.tasks.http_accept import ClientStream
from appliance.tasks.http_simple import CLOSE, parse_request, render_head
from appliance.tasks.http_stock import AsgiApp, Limits, Stream

Message = dict[str, Any]

_JOIN_BYTES = 64 * 1024
"""A body up to this is copied behind its head, so that both go out in one send."""
_INBOX_SIZE = 10


class _Inbox:
    """What a client sends for one request, until the application takes it; holds a little only."""

    __slots__ = ("_arrived", "_gone", "_messages", "_room")

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._gone = False
        self._arrived = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    async def put(self, message: Message) -> None:
        """Add a part of the body, when there is room; after the end nothing is added."""
        if message["type"] == "http.disconnect":
            self._gone = True
            self._arrived.unpark_all()
            self._room.unpark_all()
            return
        while len(self._messages) >= _INBOX_SIZE and not self._gone:
            await self._room.park()
        if not self._gone:
            self._messages.append(message)
            self._arrived.unpark()

    async def receive(self) -> Message:
        """Give the next part, http.disconnect at the end."""
        while not self._messages:
            if self._gone:
                await trio.lowlevel.checkpoint()
                return {"type": "http.disconnect"}
            await self._arrived.park()
        self._room.unpark()
        return self._messages.popleft()


class _Requests(TaskGroup):
    """The requests of one connection."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    async def spawn_app(self, app: Any, config: Config, scope: Any, send: Any) -> Any:
        """Run the application for one request; return what gives it the request's body."""
        inbox = _Inbox()
        assert self._nursery is not None
        self._nursery.start_soon(self._answer, app, scope, inbox.receive, send)
        return inbox.put

    async def _answer(self, app: AsgiApp, scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            # Never the query: it is signed.
            self._log.error("request_not_answered", path=scope["path"], exc_info=error)
        await send(None)


class _H11(h11.Connection):
    """Ignores what comes after the last request, where h11 sees an error of that request.

    Some clients end a form with a line too many, which is then not of it (RFC 9112 section 2.2).
    """

    def receive_data(self, data: bytes) -> None:
        if not data or self.their_state is not h11.MUST_CLOSE:
            super().receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        return h11.NEED_DATA if self.their_state is h11.MUST_CLOSE else super().next_event()


class _Http1(H11Protocol):
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


class Connection(TCPServer):
    """One accepted connection, plain or TLS."""

    def __init__(
        self,
        app: AsgiApp,
        config: Config,
        context: WorkerContext,
        stream: Stream,
        limits: Limits,
        log: Log,
    ) -> None:
        # Hypercorn takes plain streams too, whatever its annotation says.
        tls: Any = stream
        super().__init__(app, config, context, ConnectionState({}), tls)  # type: ignore[arg-type]
        self._client = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        self._limits = limits
        self._log = log
        self._listening = trio.CancelScope()
        """Around the handshake, then around all reading."""
        self._idle = True
        self._idle_since_s = math.inf
        """On Trio's clock; before there is a connection, never."""

    def close_if_idle(self, since_s: float = math.inf) -> None:
        """Close at once, unless a request is under way, or came to its end after `since_s`."""
        if self._idle and self._idle_since_s <= since_s:
            self._listening.cancel()

    async def run(self) -> None:
        """Serve to the end; closing the stream is the caller's. Raises OSError."""
        stream: Any = self.stream
        tls = stream is not self._client
        if tls and not await self._shake_hands(stream):
            return
        socket = self._client.socket
        client = parse_socket_addr(socket.family, socket.getpeername())
        server = parse_socket_addr(socket.family, socket.getsockname())
        async with _Requests(self._log) as requests:
            self.protocol: Any = _Http1(
                self.app,
                self.config,
                self.context,
                requests,
                self.state,
                tls,
                client,
                server,
                self.protocol_send,
            )
            await self._read_data()

    async def _shake_hands(self, stream: trio.SSLStream[ClientStream]) -> bool:
        with trio.move_on_after(self._limits.handshake_s) as self._listening:
            try:
                await stream.do_handshake()
            except trio.BrokenResourceError:
                return False
            return True
        return False

    async def _read_data(self) -> None:
        """Hand on what comes, until the client ends it, or who looks for idle ones."""
        with trio.CancelScope() as self._listening:
            self._note_idle(True)
            while not self.context.terminated.is_set() or not self._idle:
                try:
                    data = bytes(await self.stream.receive_some(MAX_RECV))
                except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
                    _untie(error)
                    break
                if self._listening.cancel_called:
                    break  # too late: it would be done, and its answer perhaps cut off
                await self.protocol.handle(RawData(data))
                if not data:
                    break
        await self.protocol.handle(Closed())

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol wants: send, close, or know whether a request is under way."""
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            await self._close()
        elif isinstance(event, Updated):
            self._note_idle(event.idle)

    async def _send(self, data: bytes) -> None:
        whole = False
        try:
            await self._lock_sending()
            try:
                await self.stream.send_all(data)
            finally:
                self.send_lock.release()
            whole = True
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            _untie(error)
            await self._close()
        finally:
            if not whole:  # cancelled: nothing may follow half an answer
                self._client.close()

    async def _lock_sending(self) -> None:
        """Take the lock, without letting all other tasks run first if nobody else has it."""
        if self.send_lock.locked():
            await self.send_lock.acquire()
        else:
            self.send_lock.acquire_nowait()

    async def _close(self) -> None:
        self._client.close()
        # With a second request in its buffer the protocol waits for the end of the first, and
        # would wait for ever.
        self._listening.cancel()
        await self.protocol.handle(Closed())

    def _note_idle(self, idle: bool) -> None:
        self._idle = idle
        if idle:
            self._idle_since_s = trio.current_time()


def _untie(error: Exception) -> None:
    """Let go of the frames that the error of a connection was raised in.

    Trio raises it inside contextlib's `__exit__`, whose frame and the OSError below hold each
    other; so whole answers stayed in memory until the garbage collector came along.
    """
    if error.__cause__ is not None:
        error.__cause__.__traceback__ = None
