"""Requests and responses as values, over plain ASGI.

The hot calls do without a framework: a request costs what its own rules cost. Holds no rule of
the API. Truth: the ASGI HTTP specification.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from appliance.bbb import errors
from appliance.bbb.errors import ApiError

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_MAX_LENGTH_DIGITS = 18
"""More no Content-Length has, and Python refuses to read very many."""


class ClientGone(Exception):
    """The client closed the connection before its body had come."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the client of a request is waited for, in seconds."""

    chunk_s: float = 60.0
    """A body may stall for so long."""
    form_s: float = 60.0
    """A form must have come as a whole."""
    linger_s: float = 5.0
    """What comes of a body that was refused is read for so long after the answer. A connection
    closed with bytes unread takes back the answer that the client has not read yet."""


class Body:
    """The body of one request, to be read once."""

    __slots__ = ("_receive", "ended", "patience")

    def __init__(self, receive: Receive, patience: Patience) -> None:
        self._receive = receive
        self.patience = patience
        self.ended = False

    async def read_chunk(self) -> bytes:
        """Return what came next, b"" at the end. Raises ApiError (BODY_STALLED), ClientGone."""
        while not self.ended:
            with trio.move_on_after(self.patience.chunk_s) as patience:
                message = await self._receive()
            if patience.cancelled_caught:
                raise ApiError(errors.BODY_STALLED)
            if message["type"] == "http.disconnect":
                raise ClientGone
            self.ended = not message.get("more_body", False)
            chunk: bytes = message.get("body", b"")
            if chunk:
                return chunk
        return b""

    async def wait_gone(self) -> None:
        """Return when the client has closed the connection; what it still sends is forgotten."""
        while (message := await self._receive())["type"] != "http.disconnect":
            self.ended = self.ended or not message.get("more_body", False)

    async def discard(self) -> None:
        """Read what the client still sends, for a while, and forget it."""
        with trio.move_on_after(self.patience.linger_s):
            try:
                while await self.read_chunk():
                    pass
            except (ApiError, ClientGone):
                pass


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, its body still to be read."""

    method: str
    path: str
    query: bytes = field(repr=False)
    """Raw, as received, without the `?`."""
    headers: Mapping[bytes, bytes] = field(repr=False)
    """By name in lower case; of several of one name the last, which the proxy next to us wrote."""
    body: Body = field(repr=False)
    peer: str | None
    """Address of the connected peer, None on a Unix socket."""
    scheme: str = "http"
    """Of the connection to us; what a proxy was asked by is in Origin."""
    told: dict[str, object] = field(default_factory=dict, repr=False)
    """What the log is to say of it: whose meeting it was about."""

    def header(self, name: bytes) -> str | None:
        """Return the header of a lower-case name."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def has_body(self) -> bool:
        """Whether the request announces a body."""
        if b"transfer-encoding" in self.headers:
            return True
        return self.headers.get(b"content-length", b"").strip(b"0 ") != b""

    def content_length(self) -> int | None:
        """Return the announced length of the body in bytes, None if there is none."""
        value = self.headers.get(b"content-length", b"")
        return int(value) if value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS else None

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


def read_request(scope: Scope, receive: Receive, patience: Patience) -> Request:
    """Return the request of an ASGI scope of type `http`."""
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"],
        headers=dict(scope["headers"]),
        body=Body(receive, patience),
        peer=client[0] if client else None,
        scheme=scope.get("scheme", "http"),
    )


async def send_response(
    send: Send, response: Response, request: Request, request_id: bytes | None
) -> None:
    """Send an answer; an incoming X-Request-ID is echoed.

    If the body of the request was not read, the connection is closed, but not at once.
    """
    headers = [
        (b"content-type", response.content_type),
        (b"content-length", b"%d" % len(response.body)),
        *response.headers,
    ]
    if request_id is not None:
        headers.append((b"x-request-id", request_id))
    unread = request.has_body() and not request.body.ended
    if unread:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if request.method == "HEAD" else response.body
    if unread:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await request.body.discard()
        body = b""
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Chunks:
    """The body of a request as it arrives, up to a number of bytes; iterated over once.

    Iterating raises ApiError (BODY_TOO_LARGE, BODY_STALLED) and ClientGone.
    """

    def __init__(self, request: Request, max_bytes: int) -> None:
        """Raises ApiError (BODY_TOO_LARGE) if more is announced."""
        if (request.content_length() or 0) > max_bytes:
            raise ApiError(errors.BODY_TOO_LARGE)
        self._body = request.body
        self._left = max_bytes
        self._again: deque[bytes] = deque()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._again:
            return self._again.popleft()
        chunk = await self._body.read_chunk()
        if not chunk:
            raise StopAsyncIteration
        self._left -= len(chunk)
        if self._left < 0:
            raise ApiError(errors.BODY_TOO_LARGE)
        return chunk

    def put_back(self, chunks: Iterable[bytes]) -> None:
        """Have chunks that were taken come once more, before the others."""
        self._again.extendleft(reversed(list(chunks)))


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Return the whole body. Raises ApiError (BODY_TOO_LARGE, BODY_STALLED) and ClientGone."""
    with trio.move_on_after(request.body.patience.form_s) as patience:
        body = b"".join([chunk async for chunk in Chunks(request, max_bytes)])
    if patience.cancelled_caught:
        raise ApiError(errors.BODY_STALLED)
    return body
