"""Speaks HTTP/1.1 over one connection: a request out, an answer in (RFC 9112, by h11).

Must not open connections, keep them, or send anything twice. Errors are httpx's, with texts of
our own: h11's and the system's may quote what was sent or received, and that may be signed.

Which error says what about the request:
- httpx.LocalProtocolError: it cannot be sent as it is; nothing was.
- httpx.WriteError, WriteTimeout, ReadError: it was sent, wholly or in part, and then the
  connection was lost; the caller looks at `Connection.touched` for the first two.
- httpx.RemoteProtocolError (UnusableAnswerError): an answer came that cannot be used.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import h11
import httpx
import trio

from appliance.http.client.message import (
    MAX_HEAD_BYTES,
    AnswerHead,
    RequestHead,
    Upload,
    parse_simple,
)
from appliance.system.wire import Wire

SMALL_BODY_BYTES = 16 * 1024
"""A body up to this goes out in one piece with the head. The kernel takes that much at once, so a
server that answers without reading cannot block us."""

PIECE_BYTES = 64 * 1024
"""A streamed body is written in pieces of at most this, each with its own time limit."""

BODY_CLEANUP_S = 1.0
_LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
_END = h11.EndOfMessage()


class BodyLengthError(httpx.WriteError):
    """A streamed body turned out shorter or longer than announced: its source's fault."""


@dataclass(slots=True)
class Clock:
    """The time limits of one exchange, all in seconds or on Trio's clock."""

    scope: trio.CancelScope
    """Around the whole exchange; its deadline is set once the request has been sent."""
    answer_s: float
    """From the last byte sent to the last byte of the answer; also for writing one piece."""
    deadline: float
    """The caller's own, for everything."""

    def stop(self) -> None:
        """While connecting: that has a limit of its own, whose error says "not sent"."""
        self.scope.deadline = math.inf

    def request_begins(self) -> None:
        """Nothing but the caller's own deadline counts while a body is streamed."""
        self.scope.deadline = self.deadline

    def request_sent(self) -> None:
        """Let the server's time begin."""
        self.scope.deadline = min(self.deadline, trio.current_time() + self.answer_s)


class Connection:
    """One connection to one origin, used by one exchange at a time."""

    __slots__ = ("_begun", "_eof", "_h11", "_half_written", "_missing", "_wire", "idle_since")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._h11: h11.Connection | None = None
        """The parser of the present exchange; None: it is simple so far."""
        self._begun: bytes | None = None
        """The beginning of a simple answer's body, until it is read."""
        self._missing = 0
        """How many bytes of a simple answer are to come; below 0: more came than that."""
        self._eof = False
        self._half_written = False
        self.idle_since = 0.0

    @property
    def touched(self) -> bool:
        """Whether a byte of the present request was handed to the kernel."""
        return self._wire.touched

    def stale(self) -> bool:
        """Tell whether it cannot be used again; never blocks."""
        return self._wire.stale()

    def close(self) -> None:
        """Close at once."""
        self._wire.close()

    async def converse(
        self, head: RequestHead, body: bytes | Upload | None, clock: Clock
    ) -> AnswerHead:
        """Send a request and return the head of its answer.

        An answer that begins before the body was fully sent ends the upload: the server has made
        up its mind (RFC 9112 section 9.3). The connection is then not reusable.
        Raises: see the module; and whatever the body's iterator raises.
        """
        self._wire.touched = False
        self._h11 = None
        if isinstance(body, bytes) and len(body) > SMALL_BODY_BYTES:
            body = Upload(_once(body), len(body))
        if isinstance(body, Upload):
            clock.request_begins()
            return await self._converse_streaming(head, body, clock)
        clock.request_sent()
        await self._write(head.render() + (body or b""))
        data = await self._receive()
        simple = None if head.method == "HEAD" else parse_simple(data)
        if simple is not None:
            answer, self._begun, self._missing = simple
            return answer
        parser = self._h11 = h11.Connection(h11.CLIENT, MAX_HEAD_BYTES)
        parser.send(head.to_h11())
        if body:
            parser.send(h11.Data(data=body))
        parser.send(_END)
        parser.receive_data(data)
        return await self._read_head(parser)

    async def read_chunk(self) -> bytes | bytearray | None:
        """Return the next part of the answer's body, None at its end."""
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
        part, self._begun = self._begun, None
        if part is not None or self._missing <= 0:
            return part
        part = await self._receive()
        if not part:
            raise httpx.ReadError("the connection was lost before the whole answer")
        self._missing -= len(part)
        return part if self._missing >= 0 else part[: self._missing]

    async def read_body(self, head: AnswerHead, max_bytes: int) -> bytes:
        """Return the whole body. Raises: UnusableAnswerError before more is held in memory."""
        head.check_length(max_bytes)
        parts: list[bytes | bytearray] = []
        size = 0
        while (part := await self.read_chunk()) is not None:
            size += len(part)
            if size > max_bytes:
                raise head.too_large(max_bytes)
            parts.append(part)
        return b"".join(parts)

    async def rest(self) -> bool:
        """Tell, once the answer was read, whether the next request may use this connection."""
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

    async def _converse_streaming(
        self, head: RequestHead, body: Upload, clock: Clock
    ) -> AnswerHead:
        parser = self._h11 = h11.Connection(h11.CLIENT, MAX_HEAD_BYTES)
        answer: AnswerHead | None = None
        lost: httpx.TransportError | None = None
        failed: Exception | None = None

        async def listen() -> None:
            nonlocal answer, lost
            try:
                answer = await self._read_head(parser)
            except httpx.TransportError as exc:
                lost = exc
            nursery.cancel_scope.cancel()

        await self._write(parser.send(head.to_h11()) or b"")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            try:
                await self._upload(parser, body, clock.answer_s)
            except Exception as exc:
                failed = exc
                if type(exc) is not httpx.WriteError:
                    nursery.cancel_scope.cancel()
                # else: what the server said before it hung up may still be read
            clock.request_sent()
        clock.request_sent()
        if answer is not None:
            if body.length is not None:
                _finish_body(parser)
            return answer
        raise failed or lost or httpx.ReadError("the connection was lost")

    async def _upload(self, parser: h11.Connection, body: Upload, piece_s: float) -> None:
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
        self._half_written = True  # h11 counts as sent what an early answer may have cut off
        try:
            await self._wire.send_all(data)
        except _LOST as exc:
            raise httpx.WriteError("the connection was lost while sending") from exc
        self._half_written = False

    async def _read_head(self, parser: h11.Connection) -> AnswerHead:
        while True:
            event = self._next_event(parser)
            if type(event) is h11.Response:
                head = AnswerHead(event.status_code, list(event.headers))
                head.check_encoding()
                return head
            if event is h11.NEED_DATA:
                parser.receive_data(await self._receive())

    async def _receive(self) -> bytes:
        try:
            data = await self._wire.receive_some()
        except _LOST as exc:
            raise httpx.ReadError("the connection was lost before the whole answer") from exc
        self._eof = not data
        return data

    def _next_event(self, parser: h11.Connection) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        head_awaited = parser.their_state is h11.SEND_RESPONSE
        try:
            return parser.next_event()
        except h11.RemoteProtocolError:
            if self._eof and not (head_awaited and _is_garbage(parser.trailing_data[0])):
                raise httpx.ReadError("the connection was lost before the whole answer") from None
            raise httpx.RemoteProtocolError("the answer is not valid HTTP") from None


def _render(parser: h11.Connection, event: h11.Data | h11.EndOfMessage) -> bytes:
    try:
        return parser.send(event) or b""
    except h11.LocalProtocolError:
        raise BodyLengthError("the request body is not as long as announced") from None


def _finish_body(parser: h11.Connection) -> None:
    """Note that the body is complete, if all of its length was sent: the answer may come before
    its source has said that this was all. A shorter one leaves the connection unusable."""
    if parser.our_state is h11.SEND_BODY:
        with suppress(h11.LocalProtocolError):
            parser.send(_END)


def _is_garbage(received: bytes) -> bool:
    """Tell whether what came before the end of the stream is no beginning of an answer."""
    return not b"HTTP/1.".startswith(received[:7])


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


@asynccontextmanager
async def _closing(chunks: AsyncIterable[bytes]) -> AsyncIterator[AsyncIterable[bytes]]:
    """Close a generator that was not run to its end; anything else is its owner's."""
    try:
        yield chunks
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + BODY_CLEANUP_S):
                await close()
