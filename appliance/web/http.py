"""Requests and responses as values, over plain ASGI.

The hot calls do without a framework: a request costs what its own rules cost. Holds no rule of
the API. Truth: the ASGI HTTP specification.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from appliance.core import errors
from appliance.core.errors import ApiError

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

CHUNK_PATIENCE_S = 60.0
"""How long a body may stall before the request is given up."""


class ClientGone(Exception):
    """The client closed the connection while its body was being read."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, its body still to be read."""

    method: str
    path: str
    query: bytes
    """Raw, as received, without the `?`."""
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    """Names in lower case."""
    receive: Receive = field(repr=False)
    peer: str | None
    """Address of the connected peer, None on a Unix socket."""

    def header(self, name: bytes) -> str | None:
        """Return the first header of a lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    def has_body(self) -> bool:
        """Whether the request announces a body."""
        if self.header(b"transfer-encoding") is not None:
            return True
        return (self.header(b"content-length") or "0").strip() != "0"

    def content_length(self) -> int | None:
        """Return the announced length of the body in bytes, None if there is none."""
        value = self.header(b"content-length")
        return int(value) if value is not None and value.isascii() and value.isdigit() else None

    def media_type(self) -> str:
        """Return the type and subtype of the body in lower case, '' if none is given."""
        return (self.header(b"content-type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Response:
    """One whole answer."""

    status: int
    content_type: bytes
    body: bytes = field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)


async def send_response(
    send: Send, response: Response, request_id: bytes | None, *, head_only: bool = False
) -> None:
    """Send an answer; an incoming X-Request-ID is echoed."""
    headers = [
        (b"content-type", response.content_type),
        (b"content-length", str(len(response.body)).encode()),
        *response.headers,
    ]
    if request_id is not None:
        headers.append((b"x-request-id", request_id))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if head_only else response.body
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def read_chunks(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body as it arrives.

    Raises ApiError (BODY_TOO_LARGE, BODY_STALLED) and ClientGone.
    """
    announced = request.content_length()
    if announced is not None and announced > max_bytes:
        raise ApiError(errors.BODY_TOO_LARGE)
    received = 0
    while True:
        message = None
        with trio.move_on_after(CHUNK_PATIENCE_S):
            message = await request.receive()
        if message is None:
            raise ApiError(errors.BODY_STALLED)
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        received += len(chunk)
        if received > max_bytes:
            raise ApiError(errors.BODY_TOO_LARGE)
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return
