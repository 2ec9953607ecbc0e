"""A TCP proxy that cuts, stalls and silences the connections that it carries."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Callable, Sequence
from enum import Enum

import trio

_BYTES = 64 * 1024
_TICK_S = 0.02
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with which a close is a reset."""


class Mode(Enum):
    """What becomes of connections and bytes."""

    PASS = "pass"
    REFUSE = "refuse"
    """New connections are reset."""
    STALL = "stall"
    """New connections are accepted, and nothing is carried."""
    MUTE = "mute"
    """Requests arrive, answers do not: the connection is cut instead."""


class CuttingProxy:
    """Carries connections to the targets by turns; one that refuses is passed over."""

    def __init__(self, targets: Callable[[], Sequence[int]]) -> None:
        """`targets` returns ports of the loopback."""
        self._targets = targets
        self._turns = itertools.count()
        self._open: set[trio.CancelScope] = set()
        self.mode = Mode.PASS
        self.port = 0

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; `port` is set when it is started."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._carry, [listener])

    def cut(self) -> None:
        """Reset all connections."""
        for scope in self._open:
            scope.cancel()

    async def _carry(self, client: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._open.add(scope)
            try:
                await self._connect_and_carry(client, scope)
            except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                self._open.discard(scope)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.socket.close()

    async def _connect_and_carry(self, client: trio.SocketStream, scope: trio.CancelScope) -> None:
        if self.mode is Mode.REFUSE:
            return
        await self._until_carried()
        server = await self._connect()
        if server is None:
            return
        async with server, trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, client, server)
            await self._pump(server, client, is_answer=True)
            with trio.move_on_after(0.2):  # what the client reads last
                await client.send_eof()
                await client.wait_send_all_might_not_block()
                await trio.sleep(0.05)
            scope.cancel()

    async def _until_carried(self) -> None:
        while self.mode is Mode.STALL:  # noqa: ASYNC110
            await trio.sleep(_TICK_S)

    async def _connect(self) -> trio.SocketStream | None:
        ports = self._targets()
        first = next(self._turns)
        for step in range(len(ports)):
            try:
                return await trio.open_tcp_stream("127.0.0.1", ports[(first + step) % len(ports)])
            except OSError:
                continue
        return None

    async def _pump(
        self, source: trio.SocketStream, sink: trio.SocketStream, *, is_answer: bool = False
    ) -> None:
        while data := await source.receive_some(_BYTES):
            await self._until_carried()
            if is_answer and self.mode is Mode.MUTE:
                return
            await sink.send_all(data)
        if not is_answer:
            await sink.send_eof()
