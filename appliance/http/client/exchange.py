"""One request and its response over one connection: HTTP/1.1 with h11 (RFC 9112).

Never opens or keeps connections, and never sends a request twice. Errors are httpx's, with texts
written here: the texts of h11 and of the system may quote what was sent or received, which may be
signed.

What each error says about the request:
- httpx.LocalProtocolError: it cannot be sent as it is, and nothing was sent.
- httpx.WriteError, WriteTimeout, ReadError: the connection was lost after the request was sent,
  wholly or in part; for WriteError and ReadError the caller asks `PooledConnection.touched`.
- httpx.RemoteProtocolError, including UnusableResponseError: a response came that cannot be used.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import h11
import httpx
import trio

from appliance.http.client.message import (
    MAX_HEAD_BYTES,
    RequestHead,
    ResponseHead,
    StreamedBody,
    parse_simple,
)
from appliance.system.wire import LOST, Wire

SMALL_BODY_BYTES = 16 * 1024
"""A body up to this is sent in one piece with the head. The kernel takes that much at once, so a
server that responds without reading cannot block the sender."""

PIECE_BYTES = 64 * 1024
"""A streamed body is written in pieces of at most this, each with its own time limit."""

BODY_CLEANUP_S = 1.0
_END = h11.EndOfMessage()


class BodyLengthError(httpx.WriteError):
    """A streamed body was shorter or longer than announced: an error of its source."""


@dataclass(slots=True)
class ExchangeDeadline:
    """The deadline of one exchange, which depends on how far the exchange has come."""

    scope: trio.CancelScope
    """Around the whole exchange."""
    response_s: float
    """From the last byte of the request to the last byte of the response; also the limit for
    writing one piece of a streamed body."""
    overall: float
    """On Trio's clock; the caller's deadline for everything."""

    def suspend(self) -> None:
        """Set none while connecting, which has a limit of its own whose error says "not sent"."""
        self.scope.deadline = math.inf

    def begin_upload(self) -> None:
        """Set the overall deadline only: the source of a streamed body may take its time."""
        self.scope.deadline = self.overall

    def request_sent(self) -> None:
        """Start the time that the server has for its response."""
        self.scope.deadline = min(self.overall, trio.current_time() + self.response_s)


class PooledConnection:
    """One connection to one origin, used by one exchange at a time."""

    __slots__ = ("_eof", "_first", "_h11", "_half_written", "_missing", "_wire", "idle_since")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._h11: h11.Connection | None = None
        """The parser of the present exchange; None while its response is simple."""
        self._first: bytes | None = None
        """The part of a simple response's body that came with the head, until it is read."""
        self._missing = 0
        """Bytes of a simple response still to come; below 0 if more came than announced."""
        self._eof = False
        self._half_written = False
        self.idle_since = 0.0

    @property
    def touched(self) -> bool:
        """Whether a byte of the present request was handed to the kernel."""
        return self._wire.touched

    def stale(self) -> bool:
        """Return whether it cannot be used again; never blocks."""
        return self._wire.stale()

    def close(self) -> None:
        """Close at once."""
        self._wire.close()

    async def send_request(
        self, head: RequestHead, body: bytes | StreamedBody | None, deadline: ExchangeDeadline
    ) -> ResponseHead:
        """Send a request and return the head of its response.

        A response that begins before the body was fully sent ends the upload: the server has
        decided (RFC 9112 section 9.3). The connection is then not reusable.
        Raises: see the module; and what the body's iterator raises.
        """
        self._wire.touched = False
        self._h11 = None
        if isinstance(body, bytes) and len(body) > SMALL_BODY_BYTES:
            body = StreamedBody(_once(body), len(body))
        if isinstance(body, StreamedBody):
            deadline.begin_upload()
            return await self._send_streaming(head, body, deadline)
        deadline.request_sent()
        await self._write(head.render() + (body or b""))
        data = await self._receive()
        simple = None if head.method == "HEAD" else parse_simple(data)
        if simple is not None:
            response, self._first, self._missing = simple
            return response
        parser = self._h11 = h11.Connection(h11.CLIENT, MAX_HEAD_BYTES)
        parser.send(head.to_h11())
        if body:
            parser.send(h11.Data(data=body))
        parser.send(_END)
        parser.receive_data(data)
        return await self._read_head(parser)

    async def read_chunk(self) -> bytes | bytearray | None:
        """Return the next part of the response's body, None at its end."""
        if self._h11 is None:
            return await self._read_simple()
        while True:
            event = self._next_event(self._h11)
            if type(event) is h11.Data:
                return event.data
            if type(event) is h11.EndOfMessage:
                return None
            self._h11.receive_data(await self._receive())

    async def _read_simple(self) -> bytes | None:
        part, self._first = self._first, None
        if part is not None or self._missing <= 0:
            return part
        part = await self._receive()
        if not part:
            raise httpx.ReadError("the connection was lost before the whole response")
        self._missing -= len(part)
        return part if self._missing >= 0 else part[: self._missing]

    async def read_body(
        self,
        head: ResponseHead,
        max_bytes: int,
        take: Callable[[bytes | bytearray], Awaitable[None]] | None = None,
    ) -> bytes:
        """Return the whole body, at most `max_bytes`; with `take` pass it on in parts instead.

        Raises: UnusableResponseError; and what `take` raises.
        """
        head.check_length(max_bytes)
        parts: list[bytes | bytearray] = []
        size = 0
        while (part := await self.read_chunk()) is not None:
            size += len(part)
            if size > max_bytes:
                raise head.too_large(max_bytes)
            if take is None:
                parts.append(part)
            else:
                await take(part)
        return b"".join(parts)

    async def is_reusable(self) -> bool:
        """Return whether the next request may use this connection, once the response was read."""
        parser = self._h11
        if parser is None and self._missing:
            return False
        if parser is not None and not (
            parser.our_state is h11.DONE
            and parser.their_state is h11.DONE
            and not parser.trailing_data[0]
        ):
            return False
        return not self._half_written and not await self._wire.leftover()

    async def _send_streaming(
        self, head: RequestHead, body: StreamedBody, deadline: ExchangeDeadline
    ) -> ResponseHead:
        parser = self._h11 = h11.Connection(h11.CLIENT, MAX_HEAD_BYTES)
        response: ResponseHead | None = None
        lost: httpx.TransportError | None = None
        failed: Exception | None = None

        async def listen() -> None:
            nonlocal response, lost
            try:
                response = await self._read_head(parser)
            except httpx.TransportError as exc:
                lost = exc
            nursery.cancel_scope.cancel()

        await self._write(parser.send(head.to_h11()) or b"")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            try:
                await self._upload(parser, body, deadline.response_s)
            except Exception as exc:
                failed = exc
                if type(exc) is not httpx.WriteError:
                    nursery.cancel_scope.cancel()
                # else: what the server sent before it closed may still be read
            deadline.request_sent()
        deadline.request_sent()
        if response is not None:
            if body.length is not None:
                _finish_body(parser)
            return response
        raise failed or lost or httpx.ReadError("the connection was lost")

    async def _upload(self, parser: h11.Connection, body: StreamedBody, piece_s: float) -> None:
        async with _closing(body.chunks) as chunks:
            async for chunk in chunks:
                for start in range(0, len(chunk), PIECE_BYTES):
                    piece = h11.Data(data=chunk[start : start + PIECE_BYTES])
                    await self._write_within(_render(parser, piece), piece_s)
        await self._write_within(_render(parser, _END), piece_s)

    async def _write_within(self, data: bytes, limit_s: float) -> None:
        with trio.move_on_after(limit_s) as scope:
            await self._write(data)
            await trio.lowlevel.checkpoint()  # a fast server must not keep the loop to itself
        if scope.cancelled_caught:
            raise httpx.WriteTimeout("the server did not take the request in time")

    async def _write(self, data: bytes) -> None:
        self._half_written = True  # h11 counts as sent what an early response may have cut off
        try:
            await self._wire.send_all(data)
        except LOST as exc:
            raise httpx.WriteError("the connection was lost while sending") from exc
        self._half_written = False

    async def _read_head(self, parser: h11.Connection) -> ResponseHead:
        while True:
            event = self._next_event(parser)
            if type(event) is h11.Response:
                head = ResponseHead(event.status_code, list(event.headers))
                head.check_encoding()
                return head
            if event is h11.NEED_DATA:
                parser.receive_data(await self._receive())

    async def _receive(self) -> bytes:
        try:
            data = await self._wire.receive_some()
        except LOST as exc:
            raise httpx.ReadError("the connection was lost before the whole response") from exc
        self._eof = not data
        return data

    def _next_event(self, parser: h11.Connection) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        head_expected = parser.their_state is h11.SEND_RESPONSE
        try:
            return parser.next_event()
        except h11.RemoteProtocolError:
            if self._eof and not (head_expected and _is_garbage(parser.trailing_data[0])):
                raise httpx.ReadError("the connection was lost before the whole response") from None
            raise httpx.RemoteProtocolError("the response is not valid HTTP") from None


def _render(parser: h11.Connection, event: h11.Data | h11.EndOfMessage) -> bytes:
    try:
        return parser.send(event) or b""
    except h11.LocalProtocolError:
        raise BodyLengthError("the request body is not as long as announced") from None


def _finish_body(parser: h11.Connection) -> None:
    """Tell h11 that the body is complete, if all of its announced length was sent.

    The response may come before the source of the body has said that it ends. A body that is
    shorter leaves the connection unusable.
    """
    if parser.our_state is h11.SEND_BODY:
        with suppress(h11.LocalProtocolError):
            parser.send(_END)


def _is_garbage(received: bytes) -> bool:
    """Return whether what came before the end of the stream cannot begin a response."""
    return not b"HTTP/1.".startswith(received[:7])


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


@asynccontextmanager
async def _closing(chunks: AsyncIterable[bytes]) -> AsyncIterator[AsyncIterable[bytes]]:
    """Close a generator that was not run to its end; the owner closes anything else."""
    try:
        yield chunks
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + BODY_CLEANUP_S):
                await close()
