"""Accepts connections, and carries bytes over them.

Leaner than Trio's listener and stream, with which a connection for a single request costs 370 µs
instead of 200: each of their steps lets all other tasks run first, and the listener closes every
connection through a cancelled scope. Uses Trio's published interface only. Knows no HTTP.
Source: accept(2).
"""

from __future__ import annotations

import math
import socket
from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from appliance.log import Log
from appliance.system.exhaustion import EXHAUSTED
from appliance.system.wire import SocketWire

BATCH = 64
"""Connections accepted before other tasks run."""
PAUSE_S = 0.1
"""Before the next attempt without descriptors or memory, doubled up to _MAX_PAUSE_S; clients wait
in the backlog meanwhile."""
_MAX_PAUSE_S = 1.0
_LOG_INTERVAL_S = 60.0
_LARGE_BYTES = 64 * 1024


class AcceptedStream(SocketWire):
    """One accepted connection; also the transport below TLS."""

    def __init__(self, accepted: socket.socket) -> None:
        """Take over an accepted socket."""
        super().__init__(accepted)
        self._new = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; lets other tasks run before much data.

        Raises: trio.BrokenResourceError, trio.ClosedResourceError.
        """
        if len(data) > _LARGE_BYTES:
            await trio.lowlevel.checkpoint()
        await super().send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes; b"" is the end of the stream.

        Tries to read before it waits, the first time only: a request often arrives together with
        its connection, but hardly ever right after a response.
        Raises: trio.BrokenResourceError, trio.ClosedResourceError.
        """
        if self._new:
            self._new = False
            data = self.receive_now(max_bytes)
            if data is not None:
                return data
        return await super().receive_some(max_bytes)


def prepare_listener(listening: socket.socket, unread_s: float) -> None:
    """Set the options that accepted connections inherit (Linux copies them from the listener).

    `unread_s`: how long a client may take no bytes.
    """
    listening.setblocking(False)
    if listening.family == socket.AF_UNIX:
        return
    set_option = listening.setsockopt
    set_option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(unread_s * 1000))
    set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # As in trio.SocketStream: more in the kernel's buffer only delays what a slow client gets next.
    set_option(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16 * 1024)


class ConnectionLimit:
    """Counts the connections of a server, so that they leave descriptors for everything else."""

    def __init__(self, maximum: float, close_idle: Callable[[], None], log: Log) -> None:
        """At `maximum` the rest waits; `close_idle` closes connections that are not in use."""
        self._maximum = maximum
        self._close_idle = close_idle
        self._log = log
        self._open = 0
        self._logged_s = -math.inf
        self._closed = trio.lowlevel.ParkingLot()

    @property
    def reached(self) -> bool:
        """Return whether no further connection may be accepted now."""
        return self._open >= self._maximum

    def enter(self) -> None:
        """Count an accepted connection."""
        self._open += 1

    def leave(self) -> None:
        """Count a closed connection."""
        self._open -= 1
        self._closed.unpark()

    async def wait(self) -> None:
        """Wait until there is room, closing idle connections meanwhile."""
        while self.reached:
            now_s = trio.current_time()
            if now_s - self._logged_s >= _LOG_INTERVAL_S:
                self._logged_s = now_s
                self._log.warning("client_connections_exhausted", maximum=self._maximum)
            self._close_idle()
            with trio.move_on_after(_MAX_PAUSE_S):
                await self._closed.park()

    async def wait_unused(self) -> None:
        """Wait until no connection is open."""
        while self._open:
            await self._closed.park()


def accept_waiting(
    listening: socket.socket,
    serve: Callable[[AcceptedStream], Awaitable[None]],
    nursery: trio.Nursery,
    limit: ConnectionLimit,
    most: int = BATCH,
) -> None:
    """Run `serve` in the nursery for the connections that wait, at most `most`.

    Raises OSError: descriptors or memory are exhausted.
    """

    async def serve_counted(stream: AcceptedStream) -> None:
        try:
            await serve(stream)
        finally:
            limit.leave()

    for _ in range(most):
        if limit.reached:  # another listener may have used it up
            return
        try:
            stream = AcceptedStream(listening.accept()[0])
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise
            continue  # the client has closed the connection already
        limit.enter()
        nursery.start_soon(serve_counted, stream)


async def accept_forever(
    listening: socket.socket,
    serve: Callable[[AcceptedStream], Awaitable[None]],
    nursery: trio.Nursery,
    log: Log,
    limit: ConnectionLimit,
) -> NoReturn:
    """Run `serve` in the nursery for each connection; `serve` closes the connection."""
    logged_s, pause_s = -_LOG_INTERVAL_S, PAUSE_S
    while True:
        await trio.lowlevel.wait_readable(listening)
        await limit.wait()
        try:
            accept_waiting(listening, serve, nursery, limit)
            pause_s = PAUSE_S
        except OSError as error:
            now_s = trio.current_time()
            if now_s - logged_s >= _LOG_INTERVAL_S:
                logged_s = now_s
                log.error("connections_not_accepted", reason=error.strerror)
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)
