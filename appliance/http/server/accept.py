"""Accepts connections, and carries bytes over them: what the public listener stands on.

Leaner than Trio's own listener and stream, whose every step lets all other tasks run first, which
for a short answer costs as much as the system calls. Uses what Trio publishes only. Knows no HTTP.
Truth: accept(2), and what was measured (docs/architecture.md).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from appliance.log import Log

AT_ONCE = 64
"""Connections accepted before the others get their turn."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
PAUSE_S = 0.1
"""Before the next try without files or memory; the clients wait in the backlog meanwhile."""
_COMPLAINT_EVERY_S = 60.0
_BIG_BYTES = 64 * 1024
_RECEIVE_BYTES = 64 * 1024


class ClientStream(trio.abc.Stream):
    """One accepted connection; also what TLS is spoken over.

    Only waiting is a checkpoint, and so is sending much.
    """

    def __init__(self, accepted: socket.socket) -> None:
        """Take over an accepted socket."""
        accepted.setblocking(False)
        self.socket = accepted
        self._new = True
        self._waiting = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises trio.BrokenResourceError, ClosedResourceError."""
        if len(data) > _BIG_BYTES:
            await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest:
            self._check_open()
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                await self._wait(trio.lowlevel.wait_writable)
            except OSError as error:
                raise trio.BrokenResourceError("the connection is lost") from error

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes; b"" is the end. Raises trio.BrokenResourceError, ClosedResourceError.

        A request often comes with its connection, but hardly ever one right after an answer: only
        the first time it is looked for before it is waited for.
        """
        looks, self._new = self._new, False
        while True:
            if not looks:
                await self._wait(trio.lowlevel.wait_readable)
            looks = False
            self._check_open()
            try:
                return self.socket.recv(max_bytes or _RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError("the connection is lost") from error

    def close(self) -> None:
        """Close at once; safe to call twice, and from a cancelled task."""
        if self.socket.fileno() == -1:
            return
        if self._waiting:
            trio.lowlevel.notify_closing(self.socket)
        self.socket.close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        self._check_open()
        await self._wait(trio.lowlevel.wait_writable)

    async def _wait(self, until: Callable[[socket.socket], Awaitable[None]]) -> None:
        self._check_open()
        self._waiting += 1
        try:
            await until(self.socket)
        finally:
            self._waiting -= 1

    def _check_open(self) -> None:
        if self.socket.fileno() == -1:
            raise trio.ClosedResourceError("the connection was closed")


def prepare_listener(listening: socket.socket, user_timeout_s: float) -> None:
    """Set what connections accepted here inherit (Linux copies the listener's).

    `user_timeout_s`: how long a client may take nothing.
    """
    listening.setblocking(False)
    if listening.family == socket.AF_UNIX:
        return
    set_option = listening.setsockopt
    set_option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(user_timeout_s * 1000))
    set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # As Trio does: more in the kernel's buffer only makes a slow client's answers later.
    set_option(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16 * 1024)


async def accept_forever(
    listening: socket.socket,
    serve: Callable[[ClientStream], Awaitable[None]],
    nursery: trio.Nursery,
    log: Log,
) -> NoReturn:
    """Run `serve` in the nursery for each connection; it closes the connection."""
    complaint_s = -_COMPLAINT_EVERY_S
    while True:
        await trio.lowlevel.wait_readable(listening)
        try:
            for _ in range(AT_ONCE):
                nursery.start_soon(serve, ClientStream(listening.accept()[0]))
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno not in EXHAUSTED:
                continue  # a client that is gone again
            now_s = trio.current_time()
            if now_s - complaint_s >= _COMPLAINT_EVERY_S:
                complaint_s = now_s
                log.error("connections_not_accepted", reason=error.strerror)
            await trio.sleep(PAUSE_S)
