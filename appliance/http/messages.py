"""Requests and responses as values, over plain ASGI.

The frequent calls use these without a framework: Quart adds 140 µs to each request. Holds no rule
of an API. Source: the ASGI HTTP specification.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any

import trio

from appliance.http.errors import HttpError

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
"""Called with a Scope, a Receive and a Send."""

Headers = tuple[tuple[bytes, bytes], ...]

MIN_RATE = 1024
"""Bytes per second. A client that sends less occupies a connection for nothing."""
_SMALL_BODY_BYTES = 64 * 1024
_JOINED_BYTES = 256 * 1024
"""Sent at once, before other tasks run."""
_REFUSAL_PAUSE_S = 0.25
LINGERS = "appliance.lingers"
"""In the ASGI state of connections that drop an unread body themselves, after the response."""
_MAX_LENGTH_DIGITS = 18
"""More than any real Content-Length has; Python refuses to parse thousands of digits."""


class ClientGone(Exception):
    """The client closed the connection before its request or the response was complete."""


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """How long the body of a request is waited for, in seconds."""

    rate_s: float = 30.0
    """A body brings MIN_RATE bytes for each second of this, or ends before."""
    body_s: float = 3600.0
    """For a body that is streamed."""
    form_s: float = 60.0
    """For a body that is read whole."""
    linger_s: float = 5.0
    """For reading what comes of a body that was refused, after the response. If a connection is
    closed with bytes unread, its client loses the part of the response that it has not read yet."""


class Body:
    """The body of one request, to be read once."""

    __slots__ = ("_arrived", "_left_s", "_lingers", "_receive", "ended", "timeouts")

    def __init__(
        self, receive: Receive, timeouts: ClientTimeouts, *, lingers: bool = False
    ) -> None:
        """`lingers`: the connection drops what is not read."""
        self._receive = receive
        self._lingers = lingers
        self.timeouts = timeouts
        self.ended = False
        self._arrived = 0
        """Bytes since the rate was last checked."""
        self._left_s = timeouts.rate_s
        """Seconds of waiting until it is checked again. The time in which the application does not
        read does not count: it may be waiting for a slow disk or server."""

    async def read_chunk(self) -> bytes:
        """Return the next part, b"" at the end. Raises: HttpError (408), ClientGone."""
        while not self.ended:
            message = await self._receive_in_time()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self.ended = not message.get("more_body", False)
            chunk: bytes = message.get("body", b"")
            if chunk:
                self._arrived += len(chunk)
                return chunk
        return b""

    async def _receive_in_time(self) -> Message:
        """Wait for the next message. Raises: HttpError (408), less came than MIN_RATE allows."""
        while True:
            began_s = trio.current_time()
            with trio.move_on_after(self._left_s) as scope:
                message = await self._receive()
            self._left_s = max(0.0, self._left_s - (trio.current_time() - began_s))
            if not scope.cancelled_caught:
                return message
            if self._arrived < MIN_RATE * self.timeouts.rate_s:
                raise body_stalled()
            self._arrived, self._left_s = 0, self.timeouts.rate_s

    async def wait_gone(self) -> None:
        """Return when the client has closed the connection; what it still sends is dropped."""
        while (message := await self._receive())["type"] != "http.disconnect":
            self.ended = self.ended or not message.get("more_body", False)

    async def discard(self) -> None:
        """Read and drop what the client still sends, for linger_s, unless the connection does."""
        if self._lingers:
            return
        with trio.move_on_after(self.timeouts.linger_s):
            try:
                while await self.read_chunk():
                    pass
            except (HttpError, ClientGone):
                pass


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, its body still to be read."""

    method: str
    path: str
    query: bytes = field(repr=False)
    """Raw, as received, without the `?`."""
    headers: Mapping[bytes, bytes] = field(repr=False)
    """By name in lower case; of several with one name the last, which the nearest proxy wrote."""
    body: Body = field(repr=False)
    peer: str | None
    """Address of the connected peer, None on a Unix socket."""
    scheme: str = "http"
    """Of this connection; RequestOrigin has the one that a proxy received."""
    log_fields: dict[str, object] = field(default_factory=dict, repr=False)
    """Added to the log line of the request, such as the meeting it was about."""

    def header(self, name: bytes) -> str | None:
        """Return the header of a lower-case name."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def has_body(self) -> bool:
        """Return whether the request announces a body."""
        length = self.headers.get(b"content-length")
        if length is not None and length.strip(b"0 "):
            return True
        return b"transfer-encoding" in self.headers

    def content_length(self) -> int | None:
        """Return the announced length of the body in bytes, None if there is none."""
        value = self.headers.get(b"content-length", b"")
        return int(value) if value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS else None

    def media_type(self) -> str:
        """Return the type and subtype of the body in lower case, '' if none is given."""
        return (self.header(b"content-type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Response:
    """One whole response."""

    status: int
    content_type: bytes
    body: bytes = field(repr=False)
    headers: Headers = field(default=(), repr=False)
    more: Sequence[bytes] = field(default=(), repr=False)
    """Bytes after the body, of which a large one is not to be copied."""


def read_request(scope: Scope, receive: Receive, timeouts: ClientTimeouts) -> Request:
    """Return the request of an ASGI scope of type `http`."""
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"],
        headers=dict(scope["headers"]),
        body=Body(receive, timeouts, lingers=LINGERS in (scope.get("state") or ())),
        peer=client[0] if client else None,
        scheme=scope.get("scheme", "http"),
    )


async def send_response(
    send: Send, response: Response, request: Request, request_id: bytes | None
) -> None:
    """Send a response, with `request_id` as X-Request-ID.

    If the body of the request was not read, the connection is closed, after linger_s at most; the
    response to a large one is late, which bounds how many a client can send.
    """
    size = len(response.body)
    if response.more:
        size += sum(map(len, response.more))
    headers = [
        (b"content-type", response.content_type),
        (b"content-length", b"%d" % size),
        *response.headers,
    ]
    if request_id is not None:
        headers.append((b"x-request-id", request_id))
    unread = request.has_body() and not request.body.ended
    if unread:
        headers.append((b"connection", b"close"))
        length = request.content_length()
        if length is None or length > _SMALL_BODY_BYTES:
            await trio.sleep(_REFUSAL_PAUSE_S)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if request.method == "HEAD" else response.body
    if response.more and body:
        for piece in _joined((body, *response.more)):
            await trio.lowlevel.checkpoint()  # the client may take it as fast as it is sent
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        body = b""
    if unread:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await request.body.discard()
        body = b""
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join short pieces, since each that is sent takes 0.1 ms; no long one is copied."""
    short: list[bytes] = []
    size = 0
    for piece in pieces:
        if short and size + len(piece) > _JOINED_BYTES:
            yield b"".join(short)
            short, size = [], 0
        short.append(piece)
        size += len(piece)
    yield b"".join(short)


class Chunks:
    """The body of a request in the parts that arrive, up to a number of bytes; iterated once.

    The client has `limit_s` to send all of it, body_s if that is None; the time in which nothing is
    read does not count.
    Iterating raises HttpError (413, 408) and ClientGone.
    """

    def __init__(self, request: Request, max_bytes: int, *, limit_s: float | None = None) -> None:
        """Raises: HttpError (413) if more is announced."""
        if (request.content_length() or 0) > max_bytes:
            raise body_too_large()
        self._body = request.body
        self._left = max_bytes
        self._left_s = request.body.timeouts.body_s if limit_s is None else limit_s
        self._put_back: deque[bytes] = deque()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._put_back:
            return self._put_back.popleft()
        began_s = trio.current_time()
        with trio.move_on_after(self._left_s) as scope:
            chunk = await self._body.read_chunk()
        if scope.cancelled_caught:
            raise body_stalled()
        self._left_s = max(0.0, self._left_s - (trio.current_time() - began_s))
        if not chunk:
            raise StopAsyncIteration
        self._left -= len(chunk)
        if self._left < 0:
            raise body_too_large()
        return chunk

    def put_back(self, chunks: Iterable[bytes]) -> None:
        """Yield chunks that were taken once more, before the others."""
        self._put_back.extendleft(reversed(list(chunks)))


async def read_body(
    request: Request,
    max_bytes: int,
    *,
    limit_s: float = math.inf,
    check: Callable[[bytes], None] = lambda _: None,
) -> bytes:
    """Return the whole body, within form_s and `limit_s`.

    `check` is called with each part when it arrives, and ends the reading by raising.
    Raises: HttpError (413, 408), ClientGone.
    """
    chunks = []
    with trio.move_on_after(min(limit_s, request.body.timeouts.form_s)) as scope:
        async for chunk in Chunks(request, max_bytes):
            check(chunk)
            chunks.append(chunk)
    if scope.cancelled_caught:
        raise body_stalled()
    return b"".join(chunks)


def body_too_large() -> HttpError:
    """Return the error of a body that is larger than its request may have."""
    return HttpError(413, "The body of the request is too large.")


def body_stalled() -> HttpError:
    """Return the error of a body that did not arrive in time."""
    return HttpError(408, "The body of the request did not arrive.")
