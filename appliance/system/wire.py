"""Carries bytes over one connection to an HTTP server, plain or TLS.

Knows no HTTP. Must not decide when a request is sent again: it only tells, to the byte, whether
anything was handed to the kernel (`touched`). It sits directly on a non-blocking socket instead
of trio.SocketStream, because only so a failed first `send` can be told from a failed later one,
and because an answer is never there yet when one starts to wait for it: waiting first saves a
system call per exchange.
"""

from __future__ import annotations

import select
import socket
from typing import Protocol

import trio

RECEIVE_BYTES = 65536


class Wire(Protocol):
    """What an exchange needs of a connection; every method but `close` raises OSError or
    trio.BrokenResourceError when the connection is gone."""

    touched: bool
    """Whether a byte was handed to the kernel since this was last set to False."""

    async def send_all(self, data: bytes) -> None: ...

    async def receive_some(self) -> bytes:
        """Wait for bytes; b"" is the end of the stream."""
        ...

    async def leftover(self) -> bool:
        """Tell whether bytes beyond the last answer are buffered in this process."""
        ...

    def stale(self) -> bool:
        """Tell whether an idle connection got bytes, an end or an error; never blocks."""
        ...

    def close(self) -> None:
        """Close at once; safe to call twice, and from a cancelled task."""
        ...


class TcpWire(trio.abc.Stream):
    """One TCP connection; also the transport beneath a `TlsWire`."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a connected, non-blocking socket."""
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self.touched = False
        self.refuse_to_wait = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises: OSError."""
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                try:
                    sent += self._sock.send(view[sent:])
                    self.touched = True
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._sock)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes. Raises: OSError; _WouldWaitError while `refuse_to_wait` is set."""
        if self.refuse_to_wait:
            raise _WouldWaitError
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(max_bytes or RECEIVE_BYTES)
            except BlockingIOError:
                continue

    async def leftover(self) -> bool:
        return False

    def stale(self) -> bool:
        return bool(self._poll.poll(0))

    def close(self) -> None:
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.wait_writable(self._sock)

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


class TlsWire:
    """One TLS connection over a TcpWire; the handshake is done before it is handed out."""

    def __init__(self, tcp: TcpWire, tls: trio.SSLStream[TcpWire]) -> None:
        self._tcp = tcp
        self._tls = tls

    @property
    def touched(self) -> bool:
        return self._tcp.touched

    @touched.setter
    def touched(self, value: bool) -> None:
        self._tcp.touched = value

    async def send_all(self, data: bytes) -> None:
        await self._tls.send_all(data)

    async def receive_some(self) -> bytes:
        return bytes(await self._tls.receive_some())

    async def leftover(self) -> bool:
        """Tell whether decrypted or still encrypted bytes are buffered.

        A server that sends two answers at once may have both read into TLS's buffers; the second
        would answer the next request. Nothing public looks in there but a read, so one is made
        whose transport refuses to wait for more.
        """
        self._tcp.refuse_to_wait = True
        try:
            await self._tls.receive_some(1)
        except _WouldWaitError:
            return False
        finally:
            self._tcp.refuse_to_wait = False
        return True

    def stale(self) -> bool:
        return self._tcp.stale()

    def close(self) -> None:
        # No close_notify: HTTP frames its messages itself, and a farewell could block.
        self._tcp.close()


class _WouldWaitError(Exception):
    """The transport had to wait for bytes while it was told not to."""
