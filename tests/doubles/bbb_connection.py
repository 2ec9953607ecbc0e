"""Connections of the simulated BBB server: reading requests, sending answers, breaking off.

Independent of BBB: an `Application` gets each request and answers through its `Connection`. Uses
asyncio and only the standard library, for speed and a fast start.
Source: RFC 9112 (framing, persistence), RFC 9110 (100-continue).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from tests.doubles.bbb_http import (
    KEPT_BODY_BYTES,
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    BadRequestError,
    ChunkedFraming,
    Framing,
    LengthFraming,
    Reply,
    Request,
)


class Application(Protocol):
    """The receiver of a Connection's requests."""

    def handle_head(self, request: Request, connection: Connection) -> bool:
        """Return True if the request is handled before its body is read."""

    def handle(self, request: Request, connection: Connection) -> None:
        """Answer a complete request through `connection`, now or later."""


class Connection(asyncio.Protocol):
    """A client connection, which reads one request after the other and sends the answers."""

    def __init__(self, application: Application, connections: set[Connection]) -> None:
        self._application = application
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._request: Request | None = None
        self._framing: Framing | None = None
        self._hash = hashlib.sha256()
        self._kept = bytearray()
        self._busy = False
        self._muted = False
        self._keep_alive = True
        self._paused = False
        self._stream: Iterator[bytes] | None = None

    # -- reading -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the listener, which can drop its connections."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and discard pending output."""
        self._connections.discard(self)
        self._transport = None
        self._stream = None

    def data_received(self, data: bytes) -> None:
        """Feed received bytes into the request being read."""
        if self._muted:
            return
        if self._busy:
            self._buffer += data
            return
        try:
            self._feed(data)
        except BadRequestError as error:
            status, reason = error.args
            self.send(Reply(str(reason).encode(), "text/plain", status).encode(), close=True)

    def _feed(self, data: bytes) -> None:
        while data:
            if self._framing is not None:
                part, rest = self._framing.feed(data)
                self._take_body(part)
                if rest is None:
                    return
                data = rest
                self._framing = None
                self._finish_body()
            else:
                data = self._buffer + data if self._buffer else data
                self._buffer = b""
                end = data.find(b"\r\n\r\n")
                if end < 0:
                    if len(data) > MAX_HEAD_BYTES:
                        raise BadRequestError(431, "header too large")
                    self._buffer = data
                    return
                head, data = data[:end], data[end + 4 :]
                self._begin(head)
            if self._busy or self._muted:
                self._buffer = data
                return

    def _begin(self, head: bytes) -> None:
        line, _, fields = head.partition(b"\r\n")
        try:
            method, target, version = line.split(b" ")
        except ValueError:
            raise BadRequestError(400, "no request line") from None
        if len(line) > MAX_LINE_BYTES:
            raise BadRequestError(414, "request line too long")
        request = Request(method.decode("latin-1"), target, head, time.time())
        lowered = fields.lower()
        self._keep_alive = version != b"HTTP/1.0"
        if b"connection:" in lowered:
            self._read_connection_field(request)
        if b"content-length:" in lowered or b"transfer-encoding:" in lowered:
            self._begin_body(request)
            return
        self._busy = True
        self._application.handle(request, self)

    def _read_connection_field(self, request: Request) -> None:
        option = request.headers.get("connection", "").lower()
        if option == "close":
            self._keep_alive = False
        elif option == "keep-alive":
            self._keep_alive = True

    def _begin_body(self, request: Request) -> None:
        fields = request.headers
        self._hash = hashlib.sha256()
        self._kept = bytearray()
        self._busy = True
        if self._application.handle_head(request, self):
            return
        self._busy = False
        self._request = request
        if "transfer-encoding" in fields:
            if fields["transfer-encoding"].lower() != "chunked" or "content-length" in fields:
                raise BadRequestError(400, "ambiguous framing")
            self._framing = ChunkedFraming()
        else:
            if not fields["content-length"].isdecimal():
                raise BadRequestError(400, "length is no number")
            self._framing = LengthFraming(int(fields["content-length"]))
        if fields.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if fields.get("content-length") == "0":
            self._framing = None
            self._finish_body()

    def _take_body(self, part: bytes) -> None:
        request = self._request
        assert request is not None
        request.body_size += len(part)
        self._hash.update(part)
        if len(self._kept) < KEPT_BODY_BYTES:
            self._kept += part[: KEPT_BODY_BYTES - len(self._kept)]

    def _finish_body(self) -> None:
        request = self._request
        assert request is not None
        self._request = None
        request.body = bytes(self._kept)
        request.body_sha256 = self._hash.hexdigest()
        self._busy = True
        self._application.handle(request, self)

    # -- answering -----------------------------------------------------------------------------

    def send(self, raw: bytes, close: bool = False) -> None:
        """Send an encoded answer, then continue to read or close."""
        if self._transport is None:
            return
        self._transport.write(raw)
        self._finish(close)

    def _finish(self, close: bool) -> None:
        if self._transport is None:
            return
        if close or not self._keep_alive:
            self._muted = True
            self._transport.close()
            return
        self._busy = False
        if self._buffer:
            data, self._buffer = self._buffer, b""
            self.data_received(data)

    def send_in_pieces(self, pieces: Iterator[bytes]) -> None:
        """Send the pieces no faster than the client reads them; they may be endless."""
        self._stream = pieces
        self._pump()

    def _pump(self) -> None:
        transport = self._transport
        if self._stream is None or self._paused or transport is None or transport.is_closing():
            return
        piece = next(self._stream, None)
        if piece is None:
            self._stream = None
            self._finish(close=False)
            return
        transport.write(piece)
        # One piece per iteration of the loop, so that a fast reader does not starve the others.
        asyncio.get_running_loop().call_soon(self._pump)

    def send_slowly(self, raw: bytes, interval_s: float) -> None:
        """Send `raw` one byte every `interval_s` seconds."""
        if self._transport is None:
            return
        self._transport.write(raw[:1])
        if len(raw) > 1:
            asyncio.get_running_loop().call_later(interval_s, self.send_slowly, raw[1:], interval_s)
        else:
            self._finish(close=False)

    def pause_writing(self) -> None:
        """Stop streaming: the client does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """Continue to stream."""
        self._paused = False
        self._pump()

    def hang(self, read_on: bool = True) -> None:
        """Never answer; further input is read and dropped, or not read if `read_on` is False."""
        self._muted = True
        if not read_on and self._transport is not None:
            self._transport.pause_reading()

    def stall(self, stalled: bool) -> None:
        """Stop or resume reading; the connection stays open."""
        if self._transport is None:
            return
        if stalled:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """Close without sending anything."""
        if self._transport is not None:
            self._muted = True
            self._transport.close()

    def reset(self) -> None:
        """Close with a TCP reset, as a crashed or firewalled server does."""
        if self._transport is None:
            return
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._muted = True
        self._transport.abort()


class Listener:
    """A listening socket that can be made to refuse, or to accept and never read."""

    def __init__(self, port: int, application: Application) -> None:
        self._application = application
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[object]] = set()
        self._socket = self._bind(port)
        self.port: int = self._socket.getsockname()[1]
        self._accepting = False

    @staticmethod
    def _bind(port: int) -> socket.socket:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind(("127.0.0.1", port))
        return listening

    def open(self) -> None:
        """Accept and serve connections; undoes refuse() and stall()."""
        if self._accepting:
            return
        self._accepting = True
        self._socket.listen(4096)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept)
        for connection in self._connections:
            connection.stall(False)

    def refuse(self) -> None:
        """Refuse new connections and reset the open ones; the port stays bound."""
        self._stop_accepting()
        self._socket.close()
        self._socket = self._bind(self.port)
        self.drop_connections()

    def stall(self) -> None:
        """Let the kernel accept connections, but read from none, new or old."""
        self._stop_accepting()
        self._socket.listen(4096)
        for connection in self._connections:
            connection.stall(True)

    def drop_connections(self) -> None:
        """Reset every open connection."""
        for connection in tuple(self._connections):
            connection.reset()

    def close(self) -> None:
        """Stop listening and reset the open connections."""
        self._stop_accepting()
        self._socket.close()
        self.drop_connections()

    def _stop_accepting(self) -> None:
        if self._accepting:
            self._accepting = False
            asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        make: Callable[[], Connection] = lambda: Connection(self._application, self._connections)  # noqa: E731
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            for _ in range(128):
                accepted, _address = self._socket.accept()
                accepted.setblocking(False)
                task = loop.create_task(loop.connect_accepted_socket(make, accepted))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
