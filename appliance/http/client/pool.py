"""Keeps HTTP/1.1 connections to many servers and lends them to one exchange at a time.

A pool of its own, since httpx's scans every connection at every request (265 to 790 µs a call; this
one takes 60 to 75) and loses slots for good when waiters are cancelled. What it guarantees:
- A request is never sent twice. Only a kept connection that turns out to be dead before the kernel
  took a byte of the request is replaced. An error of connecting, or for lack of a slot, says that
  the server has seen no byte of the request.
- A connection whose exchange did not run to its end (error, cancellation, early response) is
  closed, so no response reaches another request.
- An origin that hangs uses up its own slots only.
- Redirects are not followed; compression is neither asked for nor accepted.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import cast

import httpx
import trio

from appliance.http.client.dial import Dialer, Lookup, Origin, parse_origin
from appliance.http.client.exchange import ExchangeDeadline, PooledConnection
from appliance.http.client.message import (
    Headers,
    RequestHead,
    ResponseHead,
    StreamedBody,
    UnusableResponseError,
    make_head,
)
from appliance.system.exhaustion import OwnLimitError

MAX_PER_ORIGIN = 128
"""Exchanges with one origin at once; more wait within their connect timeout."""

MAX_TOTAL = 2048
"""Open connections in all, idle ones included; bounds the file descriptors."""

IDLE_S = 30.0
"""A kept connection is closed after this: well before nginx, which stands in front of every BBB
server and keeps its end for 60 s or more, so that requests seldom meet a closing connection."""

SWEEP_S = 5.0


@dataclass(frozen=True, slots=True)
class ExchangeLimits:
    """The limits of one exchange."""

    connect_s: float
    """For a free slot, the name look-up, TCP and TLS together."""
    response_s: float
    """From the last byte of the request sent to the last byte of the response; for a streamed body
    also for writing each piece of 64 KiB. Waiting for the body's source is not limited here."""
    max_response_bytes: int


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response, read wholly."""

    status: int
    headers: Headers
    """Names in lower case."""
    body: bytes


class _OriginPool:
    """The connections to one origin."""

    __slots__ = ("idle", "slots", "users")

    def __init__(self, max_connections: int) -> None:
        self.slots = trio.Semaphore(max_connections)
        self.idle: list[PooledConnection] = []
        """The longest idle first; the last is used first."""
        self.users = 0
        """Exchanges that are running or waiting for a slot."""


@dataclass(slots=True)
class _Lease:
    """A connection in use, its response begun."""

    pool: _OriginPool
    connection: PooledConnection
    head: ResponseHead
    ended: bool = False


class PoolTransport(httpx.AsyncBaseTransport):
    """The pool: `exchange` for frequent calls, an httpx transport for everything else."""

    def __init__(
        self,
        ssl_context: ssl.SSLContext,
        *,
        max_per_origin: int = MAX_PER_ORIGIN,
        max_total: int = MAX_TOTAL,
        idle_s: float = IDLE_S,
        max_streamed_bytes: float = math.inf,
        lookup: Lookup | None = None,
        allows: Callable[[str], bool] | None = None,
    ) -> None:
        """Start with no connection. `max_streamed_bytes` limits responses read through httpx.

        `allows` returns whether an address may be connected to, None: all may.
        """
        self._dialer = Dialer(ssl_context, lookup, allows)
        self._max_per_origin = max_per_origin
        self._max_total = max_total
        self._idle_s = idle_s
        self._max_streamed_bytes = max_streamed_bytes
        self._pools: dict[Origin, _OriginPool] = {}
        self._open = 0
        self._next_sweep = -math.inf
        self._closed = False

    @property
    def open_connections(self) -> int:
        """How many connections there are: in use, idle or being opened."""
        return self._open

    async def exchange(
        self,
        origin: Origin,
        method: str,
        target: bytes,
        limits: ExchangeLimits,
        *,
        headers: Headers = (),
        body: bytes | StreamedBody | None = None,
        deadline: float = math.inf,
    ) -> RawResponse:
        """Send one request and return its whole response.

        `target` is the encoded path with its query; `deadline`, on Trio's clock, is for everything.
        Raises: httpx.TransportError; and what the body's iterator raises.
        """
        request = make_head(method, target, origin.host_header, headers, body)
        with trio.CancelScope() as scope:
            timing = ExchangeDeadline(scope, limits.response_s, deadline)
            lease = await self._begin(origin, request, body, limits.connect_s, timing)
            reusable = False
            try:
                content = await lease.connection.read_body(lease.head, limits.max_response_bytes)
                reusable = await lease.connection.is_reusable()
            finally:
                self._end(lease, reusable)
            return RawResponse(lease.head.status, lease.head.headers, content)
        raise httpx.ReadTimeout("no answer in time")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of httpx; the response's body is streamed, each read limited in time.

        httpx's `pool` and `write` timeouts are not read: `connect` and `read` cover them.
        """
        origin = parse_origin(request.url)
        body = _body_of(request)
        headers = request.headers.raw
        target = request.url.raw_path
        head = make_head(request.method, target, origin.host_header, headers, body)
        timeouts = request.extensions.get("timeout", {})
        connect_s, read_s = (_unlimited(timeouts.get(key)) for key in ("connect", "read"))
        with trio.CancelScope() as scope:
            timing = ExchangeDeadline(scope, read_s, math.inf)
            lease = await self._begin(origin, head, body, connect_s, timing)
            stream = _ResponseBody(self, lease, read_s, self._max_streamed_bytes)
            try:
                lease.head.check_length(self._max_streamed_bytes)
            except UnusableResponseError:
                self._end(lease, reusable=False)
                raise
            return httpx.Response(
                lease.head.status,
                headers=list(lease.head.headers),
                stream=stream,
                extensions={"http_version": b"HTTP/1.1"},
            )
        raise httpx.ReadTimeout("no answer in time")

    async def aclose(self) -> None:
        """Close what is idle; what is in use is closed when its exchange ends."""
        self._closed = True
        for pool in self._pools.values():
            while pool.idle:
                self._discard(pool.idle.pop())
        await trio.lowlevel.checkpoint()

    async def _begin(
        self,
        origin: Origin,
        request: RequestHead,
        body: bytes | StreamedBody | None,
        connect_s: float,
        timing: ExchangeDeadline,
    ) -> _Lease:
        """Send a request on a kept or new connection and wait for the head of its response."""
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = _OriginPool(self._max_per_origin)
        connect_by = min(timing.overall, trio.current_time() + connect_s)
        pool.users += 1
        lease = None
        try:
            await _take_slot(pool, connect_by)
            try:
                while lease is None:
                    timing.suspend()
                    lease = await self._try(origin, pool, request, body, connect_by, timing)
            finally:
                if lease is None:
                    pool.slots.release()
        finally:
            if lease is None:
                pool.users -= 1
        return lease

    async def _try(
        self,
        origin: Origin,
        pool: _OriginPool,
        request: RequestHead,
        body: bytes | StreamedBody | None,
        connect_by: float,
        timing: ExchangeDeadline,
    ) -> _Lease | None:
        """Return None if a kept connection took no byte of the request: try the next one."""
        kept = self._take_idle(pool)
        connection = kept or await self._dial(origin, connect_by)
        head = None
        try:
            head = await connection.send_request(request, body, timing)
        except (httpx.WriteError, httpx.ReadError) as exc:
            if connection.touched:
                raise
            if kept is None:
                raise httpx.ConnectError("the connection was lost at once") from exc
            return None
        finally:
            if head is None:
                self._discard(connection)
        return _Lease(pool, connection, head)

    def _end(self, lease: _Lease, reusable: bool) -> None:
        """Give a connection back. Never blocks: it also runs in cancelled tasks."""
        if lease.ended:
            return
        lease.ended = True
        lease.pool.slots.release()
        lease.pool.users -= 1
        if reusable and not self._closed:
            lease.connection.idle_since = trio.current_time()
            lease.pool.idle.append(lease.connection)
        else:
            self._discard(lease.connection)

    def _take_idle(self, pool: _OriginPool) -> PooledConnection | None:
        now = trio.current_time()
        if now >= self._next_sweep:
            self._sweep(now)
        while pool.idle:
            connection = pool.idle.pop()
            if now - connection.idle_since < self._idle_s and not connection.stale():
                return connection
            self._discard(connection)
        return None

    async def _dial(self, origin: Origin, connect_by: float) -> PooledConnection:
        if self._closed:
            raise httpx.ConnectError("the pool is closed")
        self._make_room()
        self._open += 1
        wire = None
        try:
            with trio.CancelScope(deadline=connect_by):
                wire = await self._dialer.dial(origin)
        finally:
            if wire is None:
                self._open -= 1
        if wire is None:
            raise httpx.ConnectTimeout("not connected in time")
        return PooledConnection(wire)

    def _make_room(self) -> None:
        if self._open < self._max_total:
            return
        pools = [pool for pool in self._pools.values() if pool.idle]
        if not pools:
            limit = OwnLimitError("too many connections")
            raise httpx.PoolTimeout(str(limit)) from limit
        self._discard(min(pools, key=lambda pool: pool.idle[0].idle_since).idle.pop(0))

    def _discard(self, connection: PooledConnection) -> None:
        connection.close()
        self._open -= 1

    def _sweep(self, now: float) -> None:
        """Close what was idle too long at any origin, and forget origins without an exchange."""
        self._next_sweep = now + SWEEP_S
        for origin, pool in list(self._pools.items()):
            while pool.idle and now - pool.idle[0].idle_since >= self._idle_s:
                self._discard(pool.idle.pop(0))
            if not pool.idle and not pool.users:
                del self._pools[origin]


class _ResponseBody(httpx.AsyncByteStream):
    """The body of a response that httpx reads."""

    def __init__(
        self, transport: PoolTransport, lease: _Lease, read_s: float, max_bytes: float
    ) -> None:
        self._transport = transport
        self._lease = lease
        self._read_s = read_s
        self._max_bytes = max_bytes
        self._reusable = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        while (part := await self._read()) is not None:
            size += len(part)
            if size > self._max_bytes:
                raise self._lease.head.too_large(self._max_bytes)
            yield bytes(part)
        self._reusable = await self._lease.connection.is_reusable()

    async def aclose(self) -> None:
        self._transport._end(self._lease, self._reusable)

    async def _read(self) -> bytes | bytearray | None:
        with trio.CancelScope(deadline=trio.current_time() + self._read_s):
            return await self._lease.connection.read_chunk()
        raise httpx.ReadTimeout("no answer in time")


async def _take_slot(pool: _OriginPool, connect_by: float) -> None:
    try:
        pool.slots.acquire_nowait()
    except trio.WouldBlock:
        with trio.CancelScope(deadline=connect_by):
            await pool.slots.acquire()
            return
        raise httpx.PoolTimeout("no free connection in time") from None


def _body_of(request: httpx.Request) -> bytes | StreamedBody | None:
    try:
        return request.content
    except httpx.RequestNotRead:
        length = request.headers.get("content-length")
        # httpx types a request's stream as sync or async; an async client refuses the former
        stream = cast("httpx.AsyncByteStream", request.stream)
        return StreamedBody(stream, int(length) if length else None)


def _unlimited(timeout_s: float | None) -> float:
    return math.inf if timeout_s is None else timeout_s
