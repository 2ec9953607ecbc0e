"""Responses that are sent while they are produced, so that no large one is ever held in memory.

A failure before the first piece was sent becomes an ordinary response; after that the connection is
cut off, so that no client takes half a response for the whole.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from appliance.http.messages import ClientGone, Request, Response, Send

STALL_S = 30.0
"""A client that takes no bytes for so long is given up: the response may hold a connection to
PostgreSQL."""

HELD_BYTES = 256 * 1024

Sink = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StreamedResponse:
    """A response of status 200 whose body `produce` passes to a sink in pieces."""

    content_type: bytes
    produce: Callable[[Sink], Awaitable[None]]


class ResponseStream:
    """Sends one streamed response."""

    def __init__(self, send: Send, request: Request, request_id: bytes | None) -> None:
        self._send = send
        self._request = request
        self._request_id = request_id
        self._held: list[bytes] = []
        """Pieces not sent yet: a small response is sent whole, with its length."""
        self._content_type = b""
        self.started = False
        """Whether the head of the response was sent."""

    async def run(self, response: StreamedResponse) -> Response | None:
        """Send a response; a small one is returned instead.

        Raises: ClientGone (the client has closed the connection or takes no bytes), and what
        `produce` raises.
        """
        self._content_type = response.content_type
        failure: Exception | None = None
        finished = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_client, nursery.cancel_scope)
            try:
                await response.produce(self._write)
                finished = True
            except Exception as error:
                failure = error  # a nursery would wrap it into a group
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if not finished:
            raise ClientGone
        body = b"".join(self._held)
        if not self.started:
            return Response(200, response.content_type, body)
        await self._send_piece(body, more=False)
        return None

    async def _watch_client(self, scope: trio.CancelScope) -> None:
        """Cancel the work when the client has closed the connection."""
        await self._request.body.wait_gone()
        scope.cancel()

    async def _write(self, piece: bytes) -> None:
        self._held.append(piece)
        if sum(map(len, self._held)) >= HELD_BYTES:
            whole, self._held = b"".join(self._held), []
            await self._send_piece(whole, more=True)

    async def _send_piece(self, piece: bytes, *, more: bool) -> None:
        with trio.move_on_after(STALL_S) as scope:
            if not self.started:
                self.started = True
                await self._send_head()
            await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        if scope.cancelled_caught:
            raise ClientGone

    async def _send_head(self) -> None:
        headers = [(b"content-type", self._content_type)]
        if self._request_id is not None:
            headers.append((b"x-request-id", self._request_id))
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
