"""One client's connection: Hypercorn's HTTP/1.1, with what it lacks for a server that must stay up.

Differs from Hypercorn's own TCPServer in this only (http_protocol has the rest):
- What the application does not read (a body it refuses) never blocks the end of the connection.
- Sends can be cancelled, so that a client that never reads does not hold up a stop.
- A connection that is closed with a second request waiting in it is done with.
- An idle connection is one that the server finds idle now and then, not a task that is started and
  cancelled around each request.
Leans on Hypercorn's inside, which is the same in 0.17.3 and 0.18; its test file shows that it fits.
With another version, or TUNING_OFF=connections, http_stock serves instead.
Truth: RFC 9112, and what was measured of Hypercorn (docs/architecture.md).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from appliance.http.server.accept import ClientStream
from appliance.http.server.hypercorn_connection import AsgiApp, Limits, Stream
from appliance.http.server.protocol import Http1
from appliance.log import Log

Message = dict[str, Any]

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
            self.protocol: Any = Http1(
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
