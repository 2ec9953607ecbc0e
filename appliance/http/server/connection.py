"""One client's connection: Hypercorn's TCPServer, corrected and made cheaper.

Corrected:
- A request body that the application does not read never blocks the end of the connection.
- A send can be cancelled, so that a client that never reads does not hold up a stop.
- A connection that is closed while a second request waits in its buffer ends.
- The response to a request that was refused unread arrives: what its client still sends is dropped,
  in the kernel and at a bounded rate, since it may be a flood.
Made cheaper, for a small request:
- The server looks for idle connections every few seconds. Hypercorn starts and cancels a task
  around each request: 40 to 60 µs.
- The send lock is taken without a checkpoint when it is free: 2.5 µs a send.
The rest is in `protocol`. Uses internals of Hypercorn that are the same in 0.17.3 and 0.18
(`tuning` checks the version, tests/http/server/ shows that they fit).
Source: RFC 9112.
"""

from __future__ import annotations

import math
import socket
from collections import deque
from contextlib import suppress
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from appliance.http.messages import LINGERS, AsgiApp, Message
from appliance.http.server.accept import AcceptedStream
from appliance.http.server.interface import ListenerTimeouts, ServedStream
from appliance.http.server.protocol import Http1Protocol, LargeData
from appliance.log import Log

_INBOX_SIZE = 10
_LINGER_S = 5.0
_DROP_PAUSE_S = 0.01
_DROP_BYTES = 1024 * 1024
"""Size of the steps in which bytes of a refused client are dropped. A client that floods the
listener waits meanwhile, as its buffers are full."""


class _Inbox:
    """The messages of one request until the application takes them; bounded."""

    __slots__ = ("_arrived", "_gone", "_messages", "_room")

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._gone = False
        self._arrived = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    async def put(self, message: Message) -> None:
        """Add a part of the body once there is room; after http.disconnect nothing is added."""
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
        """Return the next part, http.disconnect at the end."""
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
        """Run the application for one request; return the function that passes it the body."""
        inbox = _Inbox()
        assert self._nursery is not None
        self._nursery.start_soon(self._call_app, app, scope, inbox.receive, send)
        return inbox.put

    async def _call_app(self, app: AsgiApp, scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            # The path only: the query is signed.
            self._log.error("request_not_answered", path=scope["path"], exc_info=error)
        await send(None)


class TunedConnection(TCPServer):
    """One accepted connection, plain or TLS."""

    def __init__(
        self,
        app: AsgiApp,
        config: Config,
        context: WorkerContext,
        stream: ServedStream,
        timeouts: ListenerTimeouts,
        log: Log,
    ) -> None:
        # Hypercorn takes plain streams too; its annotation names TLS only.
        tls: Any = stream
        state = ConnectionState({LINGERS: True})
        super().__init__(app, config, context, state, tls)  # type: ignore[arg-type]
        self._client = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        self._tls = isinstance(stream, trio.SSLStream)
        self._timeouts = timeouts
        self._log = log
        self._reading = trio.CancelScope()
        """Around the handshake, then around all reading."""
        self._idle = True
        self._idle_since_s = math.inf
        """On Trio's clock; infinite until the handshake is done."""
        self._ending = False

    def close_if_idle(self, since_s: float = math.inf) -> None:
        """Close at once unless a request is running or ended after `since_s` (Trio's clock)."""
        if self._idle and self._idle_since_s <= since_s:
            self._reading.cancel()

    def end(self) -> None:
        """Close at once, or after the response to the running request."""
        self._ending = True
        self.close_if_idle()

    async def run(self) -> None:
        """Serve to the end; the caller closes the stream. Raises: OSError."""
        stream: Any = self.stream
        if self._tls and not await self._shake_hands(stream):
            return
        accepted = self._client.socket
        client = parse_socket_addr(accepted.family, accepted.getpeername())
        server = parse_socket_addr(accepted.family, accepted.getsockname())
        async with _Requests(self._log) as requests:
            self.protocol: Any = Http1Protocol(
                self.app,
                self.config,
                self.context,
                requests,
                self.state,
                self._tls,
                client,
                server,
                self.protocol_send,
            )
            await self._read_data()

    async def _shake_hands(self, stream: trio.SSLStream[AcceptedStream]) -> bool:
        with trio.move_on_after(self._timeouts.handshake_s) as self._reading:
            try:
                await stream.do_handshake()
            except trio.BrokenResourceError:
                return False
            return True
        return False

    async def _read_data(self) -> None:
        """Pass on what arrives until the client ends the stream, or the server the connection."""
        with trio.CancelScope() as self._reading:
            self._note_idle(True)
            while not self._ending or not self._idle:
                try:
                    data = bytes(await self.stream.receive_some(MAX_RECV))
                except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
                    _drop_traceback(error)
                    break
                if self._reading.cancel_called:
                    break  # too late: the request would run, and its response might be cut off
                await self.protocol.handle(RawData(data))
                if not data:
                    break
                if self.protocol.refused:
                    await self._drop_rest()
                    break
        await self.protocol.handle(Closed())

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol asks for: send, close, note whether a request is running."""
        if isinstance(event, LargeData):
            await self._send(event.data, event.head)
        elif isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            if self.protocol.refused:
                self._close_after_lingering()
            else:
                await self._close()
        elif isinstance(event, Updated):
            self._note_idle(event.idle)

    async def _send(self, data: bytes, head: bytes = b"") -> None:
        whole = False
        try:
            await self._lock_sending()
            try:
                if head and not self._tls:
                    await self._client.send_behind(head, data)
                else:
                    if head:
                        await self.stream.send_all(head)
                    await self.stream.send_all(data)
            finally:
                self.send_lock.release()
            whole = True
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            _drop_traceback(error)
            await self._close()
        finally:
            if not whole:  # cancelled: nothing may follow half a response
                self._client.close()

    async def _lock_sending(self) -> None:
        if self.send_lock.locked():
            await self.send_lock.acquire()
        else:
            self.send_lock.acquire_nowait()

    def _close_after_lingering(self) -> None:
        """End our side now, and the connection when the client ends its side or a limit is reached.

        If it were closed with bytes unread, the kernel would reset it, and its client would lose
        the response.
        """
        with suppress(OSError):  # the client has closed it already
            self._client.socket.shutdown(socket.SHUT_WR)
        self._idle = True
        self._idle_since_s = trio.current_time() - self._timeouts.keep_alive_s + _LINGER_S

    async def _drop_rest(self) -> None:
        """Drop what a refused client still sends, without copying it (MSG_TRUNC, tcp(7))."""
        with trio.move_on_after(_LINGER_S), suppress(OSError, trio.ClosedResourceError):
            while True:
                await trio.sleep(_DROP_PAUSE_S)
                await trio.lowlevel.wait_readable(self._client.socket)
                if not self._client.socket.recv(_DROP_BYTES, socket.MSG_TRUNC):
                    return

    async def _close(self) -> None:
        self._client.close()
        # With a second request in its buffer the protocol waits for the end of the first one, and
        # would wait forever.
        self._reading.cancel()
        await self.protocol.handle(Closed())

    def _note_idle(self, idle: bool) -> None:
        self._idle = idle
        if idle:
            self._idle_since_s = trio.current_time()
            if self._ending:
                self._reading.cancel()


def _drop_traceback(error: Exception) -> None:
    """Drop the frames in which the cause of a connection's error was raised.

    Trio raises the error inside contextlib's `__exit__`, whose frame and the OSError below refer
    to each other; without this, whole responses stay in memory until the garbage collector runs.
    """
    if error.__cause__ is not None:
        error.__cause__.__traceback__ = None
