"""Responses that are sent while they are produced, so that no large one is ever held in memory.

A failure before the first piece was sent becomes an ordinary response; after that the connection is
cut off, so that no client takes half a response for the whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import trio
from quart import Response

from appliance.http.quart_exchange import current_exchange

HELD_BYTES = 256 * 1024

Sink = Callable[[bytes], Awaitable[None]]
"""Takes a piece; waits while the client does not read."""
Producer = Callable[[Sink], Awaitable[None]]


async def stream_response(produce: Producer, content_type: str) -> Response:
    """Return a response of status 200 whose body `produce` passes to a sink in pieces.

    A body of less than 256 KiB is sent whole, with its length. Raises: what `produce` raises
    before that much is there.
    """
    pieces, exchange = _Pieces(produce), current_exchange()
    exchange.watch_client()
    exchange.nursery.start_soon(pieces.run)
    first, is_last = await pieces.first()
    body = first if is_last else pieces.following(first)
    return Response(body, content_type=content_type)


class _Pieces:
    """Collects what is produced, in pieces of HELD_BYTES or more."""

    def __init__(self, produce: Producer) -> None:
        self._produce = produce
        self._sender, self._receiver = trio.open_memory_channel[tuple[bytes, bool]](0)
        """A piece, and whether it is the last one."""
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Produce all pieces; a failure is raised where they are taken."""
        async with self._sender:
            try:
                await self._produce(self._hold)
            except Exception as error:
                self._failure = error  # a nursery would wrap it into a group
            else:
                await self._sender.send((b"".join(self._held), True))

    async def _hold(self, piece: bytes) -> None:
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes >= HELD_BYTES:
            whole, self._held, self._held_bytes = b"".join(self._held), [], 0
            await self._sender.send((whole, False))

    async def first(self) -> tuple[bytes, bool]:
        """Return the first piece and whether it is the last. Raises: what `produce` raises."""
        async for piece in self._receiver:
            return piece
        assert self._failure is not None
        raise self._failure

    async def following(self, first: bytes) -> AsyncIterator[bytes]:
        """Yield the first piece and all others. Raises: what `produce` raises."""
        yield first
        async for piece, _ in self._receiver:
            yield piece
        if self._failure is not None:
            raise self._failure
