"""Bytes over one connected socket, plain or TLS: shared by the HTTP client, the listener and Redis.

Knows no protocol. Sits on a non-blocking socket instead of trio.SocketStream for three reasons:
- A caller can send without awaiting (`send_now`), and learns to the byte whether the kernel took
  anything (`touched`): that decides whether a request may be sent again.
- Only waiting is a checkpoint. Every method of trio.SocketStream is one, which costs 2 µs each time
  and lets all other tasks run between a request and its response.
- A reply has never arrived yet when a client starts to wait for it. Waiting first saves the system
  call of a `recv` that fails.
Uses Trio's published interface only. The errors are Trio's: BrokenResourceError, with the OSError
as its cause, once the connection is lost; ClosedResourceError after `close`.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

RECEIVE_BYTES = 64 * 1024

LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""The errors after which a connection is of no more use."""


class Wire(Protocol):
    """One connection. One task may send while another receives; both raise one of LOST."""

    touched: bool
    """Whether a byte was handed to the kernel since this was last set to False."""

    def send_now(self, data: bytes) -> int:
        """Send as much as the kernel takes without waiting and return how many bytes: maybe 0."""

    async def send_all(self, data: bytes) -> None:
        """Send everything."""

    async def receive_some(self) -> bytes:
        """Wait for bytes; b"" is the end of the stream."""

    async def leftover(self) -> bool:
        """Return whether received bytes are buffered in this process."""

    def stale(self) -> bool:
        """Return whether an idle connection has received bytes, an end or an error."""

    def close(self) -> None:
        """Close at once. Safe to call twice, and from a cancelled task."""


class SocketWire(trio.abc.Stream):
    """A connected socket; also the transport below a TlsWire."""

    def __init__(self, connected: socket.socket) -> None:
        """Take over a connected socket."""
        connected.setblocking(False)
        self.socket = connected
        self.touched = False
        self.refuse_to_wait = False
        """While set, `receive_some` raises trio.WouldBlock."""
        self._waiting = 0
        self._poll: select.poll | None = None

    def send_now(self, data: bytes) -> int:
        """Send as much as the kernel takes without waiting and return how many bytes: maybe 0."""
        try:
            sent = self.socket.send(data)
        except OSError:  # full; or broken, which send_all and receive_some will raise
            return 0
        self.touched = True
        return sent

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises: trio.BrokenResourceError, trio.ClosedResourceError."""
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                try:
                    sent += self.socket.send(view[sent:])
                    self.touched = True
                except BlockingIOError:
                    await self._wait(trio.lowlevel.wait_writable)
                except OSError as error:
                    raise self._translate() from error

    async def send_behind(self, head: bytes, data: bytes) -> None:
        """Send `head` and `data`, mostly in one system call, without copying one behind the other.

        Raises: as send_all.
        """
        try:
            sent = self.socket.sendmsg((head, data))
            self.touched = True
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._translate() from error
        if sent < len(head):
            await self.send_all(head[sent:])
        with memoryview(data) as view, view[max(sent - len(head), 0) :] as rest:
            await self.send_all(rest)

    def receive_now(self, max_bytes: int | None = None) -> bytes | None:
        """Return what has arrived, None if nothing has; b"" is the end of the stream.

        Raises: trio.BrokenResourceError, trio.ClosedResourceError.
        """
        try:
            return self.socket.recv(max_bytes or RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._translate() from error

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes; b"" is the end of the stream.

        Raises: trio.BrokenResourceError, trio.ClosedResourceError; trio.WouldBlock while
        `refuse_to_wait` is set.
        """
        if self.refuse_to_wait:
            raise trio.WouldBlock
        while True:
            await self._wait(trio.lowlevel.wait_readable)
            data = self.receive_now(max_bytes)
            if data is not None:
                return data

    async def leftover(self) -> bool:
        """Return False: nothing is buffered in this process."""
        return False

    def stale(self) -> bool:
        """Return whether an idle connection has received bytes, an end or an error."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.socket, select.POLLIN)
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close at once. Safe to call twice, and from a cancelled task."""
        if self.socket.fileno() == -1:
            return
        if self._waiting:  # the call costs a system call even if no task waits
            trio.lowlevel.notify_closing(self.socket)
        self.socket.close()

    async def aclose(self) -> None:
        """Close; for trio.SSLStream."""
        self.close()
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel takes bytes; for trio.SSLStream."""
        await self._wait(trio.lowlevel.wait_writable)

    async def _wait(self, until: Callable[[socket.socket], Awaitable[None]]) -> None:
        if self.socket.fileno() == -1:
            raise self._translate()
        self._waiting += 1
        try:
            await until(self.socket)
        finally:
            self._waiting -= 1

    def _translate(self) -> trio.ClosedResourceError | trio.BrokenResourceError:
        if self.socket.fileno() == -1:
            return trio.ClosedResourceError("the connection was closed")
        return trio.BrokenResourceError("the connection is lost")


class TlsWire:
    """TLS over a SocketWire."""

    def __init__(self, tls: trio.SSLStream[SocketWire]) -> None:
        """Take over a stream. If no handshake was done, the first `send_all` does it."""
        self._tls = tls
        self._tcp = tls.transport_stream

    @property
    def touched(self) -> bool:
        """Whether a byte was handed to the kernel since this was last set to False."""
        return self._tcp.touched

    @touched.setter
    def touched(self, value: bool) -> None:
        self._tcp.touched = value

    def send_now(self, data: bytes) -> int:
        """Return 0: TLS may have to receive before it can send."""
        return 0

    async def send_all(self, data: bytes) -> None:
        """Send everything. Raises: trio.BrokenResourceError, trio.ClosedResourceError."""
        await self._tls.send_all(data)

    async def receive_some(self) -> bytes:
        """Wait for bytes; b"" is the end of the stream. Raises: as send_all."""
        return bytes(await self._tls.receive_some())

    async def leftover(self) -> bool:
        """Return whether decrypted or still encrypted bytes are buffered in this process.

        A server that sends two responses at once may have both of them read into TLS's buffers;
        the second one would then answer the next request. The only public way to look into those
        buffers is to read, so this reads with a transport that refuses to wait for more.
        """
        self._tcp.refuse_to_wait = True
        try:
            await self._tls.receive_some(1)
        except trio.WouldBlock:
            return False
        finally:
            self._tcp.refuse_to_wait = False
        return True

    def stale(self) -> bool:
        """Return whether an idle connection has received bytes, an end or an error."""
        return self._tcp.stale()

    def close(self) -> None:
        """Close at once, without a close_notify: it could block, and each protocol that is used
        here marks the end of its messages itself."""
        self._tcp.close()


async def connect_tcp(host: str, port: int) -> SocketWire:
    """Connect to a name or an address, with the TCP options that Trio sets. Raises: OSError."""
    stream = await trio.open_tcp_stream(host, port)
    return SocketWire(socket.socket(fileno=stream.socket.detach()))
