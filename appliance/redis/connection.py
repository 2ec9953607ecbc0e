"""Opens one connection to Redis: address, TLS, Sentinel, log-in, and the bytes in and out.

Must not know who waits for which answer (redis_client does). RESP2 only.
Source: redis.io commands AUTH, SELECT, ROLE, SCRIPT LOAD; "Sentinel client spec".
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, cast

import hiredis
import trio

from appliance.redis.errors import LOST, RedisDown, RedisError, lost_reason, reply_error
from appliance.redis.url import Endpoint, parse_redis_url

Argument: TypeAlias = str | bytes | int | float
Command: TypeAlias = Sequence[Argument]

CONNECT_TIMEOUT_S = 1.0
_SENTINEL_TIMEOUT_S = 0.5
_FULL_BACKLOG_RETRY_S = 0.02
_CHUNK_BYTES = 65_536
# An idle connection through a dead network is noticed after 15 + 3 * 5 s.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
_CLIENT_NAME = "scalelite-appliance"

_pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is. With sentinels, the url gives user, password, database and TLS only."""

    url: str = field(repr=False)
    sentinels: tuple[tuple[str, int], ...] = ()
    sentinel_master: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, known to Redis by the SHA-1 of its source."""

    name: str
    source: str = field(repr=False)
    sha1: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha1", digest)


class Wire(Protocol):
    """Bytes to and from one Redis. One task may send while another receives."""

    def send_now(self, data: bytes) -> int:
        """Send what goes without waiting and return how many bytes went, maybe 0."""

    async def send_all(self, data: bytes) -> None:
        """Send everything. Raises: one of LOST."""

    async def receive(self) -> bytes:
        """Wait for bytes; empty when Redis has closed. Raises: one of LOST."""

    def close(self) -> None:
        """Close at once. Nobody may be sending or receiving."""


class PlainWire:
    """A socket of the standard library: leaner than trio's stream, and it can send at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send_now(self, data: bytes) -> int:
        try:
            return self._sock.send(data)
        except OSError:  # full, or broken: then send_all or receive will say so
            return 0

    async def send_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)

    async def receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(_CHUNK_BYTES)
            except BlockingIOError:
                continue

    def close(self) -> None:
        self._sock.close()


class TlsWire:
    """TLS over a trio stream."""

    def __init__(self, tcp: trio.SocketStream, context: ssl.SSLContext, host: str) -> None:
        self._tcp = tcp
        self._tls = trio.SSLStream(tcp, context, server_hostname=host)

    def send_now(self, data: bytes) -> int:
        return 0

    async def send_all(self, data: bytes) -> None:
        await self._tls.send_all(data)

    async def receive(self) -> bytes:
        return bytes(await self._tls.receive_some(_CHUNK_BYTES))

    def close(self) -> None:
        self._tcp.socket.close()


def pack(command: Command) -> bytes:
    """Encode a command. Text read from Redis that was not UTF-8 goes back as the same bytes.

    Raises: TypeError for None, bool and other types; UnicodeEncodeError for other surrogates.
    """
    try:
        return _pack(tuple(command))
    except UnicodeEncodeError:
        return _pack(
            tuple(
                part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
                for part in command
            )
        )


def new_reader(on_error: Callable[[str], object], not_enough: object) -> hiredis.Reader:
    """Make a parser of replies: text is UTF-8, other bytes survive as surrogate escapes."""
    return hiredis.Reader(
        encoding="utf-8",
        errors="surrogateescape",
        replyError=cast("Callable[[str], Exception]", on_error),
        notEnoughData=not_enough,
    )


def parse_address(address: RedisAddress) -> Endpoint:
    """Parse the url. Raises: ValueError, whose text does not hold the url."""
    endpoint = parse_redis_url(address.url)
    # Where Redis is, the Sentinels say.
    return replace(endpoint, path=None) if address.sentinels else endpoint


async def connect(address: RedisAddress, endpoint: Endpoint, scripts: Sequence[Script]) -> Wire:
    """Connect to the master, log in and load the scripts. Raises: RedisDown.

    Takes at most 1 s, and 0.5 s more for each Sentinel that does not answer.
    """
    try:
        host, port = endpoint.host, endpoint.port
        if address.sentinels:
            host, port = await _find_master(address)
        with trio.move_on_after(CONNECT_TIMEOUT_S), ExitStack() as stack:
            wire = await _open_wire(endpoint, host, port)
            stack.callback(wire.close)
            await _log_in(wire, endpoint, scripts)
            stack.pop_all()
            return wire
    except LOST as error:
        raise RedisDown(lost_reason(error)) from None
    raise RedisDown("no answer to connecting")


async def _open_wire(endpoint: Endpoint, host: str, port: int) -> Wire:
    if endpoint.path is not None:
        return PlainWire(await _open_unix(endpoint.path))
    stream = await trio.open_tcp_stream(host, port)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        stream.setsockopt(socket.IPPROTO_TCP, option, value)
    if endpoint.tls is not None:
        return TlsWire(stream, endpoint.tls, host)
    return _plain(stream)


def _plain(stream: trio.SocketStream) -> PlainWire:
    sock = socket.socket(fileno=stream.socket.detach())
    sock.setblocking(False)
    return PlainWire(sock)


async def _open_unix(path: str) -> socket.socket:
    """Connect to a Unix socket, which succeeds or fails at once.

    Not trio.open_unix_socket: it takes the EAGAIN of a full backlog for success.
    """
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.setblocking(False)
        while True:
            try:
                sock.connect(path)
            except BlockingIOError:
                await trio.sleep(_FULL_BACKLOG_RETRY_S)
            else:
                stack.pop_all()
                return sock


async def _log_in(wire: Wire, endpoint: Endpoint, scripts: Sequence[Script]) -> None:
    """Authenticate, choose the database, make sure that this is a master that answers."""
    must: list[Command] = []
    if endpoint.password is not None:
        user = () if endpoint.username is None else (endpoint.username,)
        must.append(("AUTH", *user, endpoint.password))
    if endpoint.db:
        must.append(("SELECT", endpoint.db))
    # PING tells LOADING, ROLE a replica. An ACL may refuse these, and a script may not compile:
    # then it is not for us to refuse the connection, the commands themselves will tell.
    may: list[Command] = [("CLIENT", "SETNAME", _CLIENT_NAME), ("PING",), ("ROLE",)]
    role_at = len(must) + 2
    load: list[Command] = [("SCRIPT", "LOAD", script.source) for script in scripts]
    replies = await _ask(wire, [*must, *may, *load])
    for reply in replies:
        if isinstance(reply, RedisDown):
            raise reply
    for command, reply in zip(must, replies, strict=False):
        if isinstance(reply, RedisError):
            raise RedisDown(f"{command[0]!s} refused")
    role = replies[role_at]
    if isinstance(role, list) and role[0] != "master":
        raise RedisDown("not a master")


async def _ask(wire: Wire, commands: Sequence[Command]) -> list[Any]:
    """Send commands on a connection that nobody else uses; error replies are in the list."""
    await wire.send_all(b"".join(map(pack, commands)))
    missing = object()
    reader = new_reader(reply_error, missing)
    replies: list[Any] = []
    while len(replies) < len(commands):
        reply = reader.gets()
        if reply is not missing:
            replies.append(reply)
        elif data := await wire.receive():
            reader.feed(data)
        else:
            raise RedisDown("closed by Redis")
    return replies


async def _find_master(address: RedisAddress) -> tuple[str, int]:
    """Ask the Sentinels, one after the other, where the master is. Raises: RedisDown."""
    for host, port in address.sentinels:
        with trio.move_on_after(_SENTINEL_TIMEOUT_S):
            found = await _ask_sentinel(host, port, address.sentinel_master or "")
            if found is not None:
                return found
    raise RedisDown("no Sentinel knows the master")


async def _ask_sentinel(host: str, port: int, master: str) -> tuple[str, int] | None:
    try:
        wire = _plain(await trio.open_tcp_stream(host, port))
        with ExitStack() as stack:
            stack.callback(wire.close)
            (found,) = await _ask(wire, [("SENTINEL", "get-master-addr-by-name", master)])
    except (*LOST, RedisDown):
        return None
    return (str(found[0]), int(found[1])) if isinstance(found, list) else None
