"""Opens one connection to Redis: address, TLS, Sentinel, authentication, loaded scripts.

Also encodes commands and makes the parser of replies; which caller waits for which reply is known
to `link` only. RESP2.
Source: redis.io commands AUTH, SELECT, ROLE, SCRIPT LOAD; "Sentinel client spec".
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

import hiredis
import trio

from appliance.redis.errors import (
    LOST,
    NO_PERMISSION,
    RedisDown,
    RedisError,
    lost_reason,
    reply_error,
)
from appliance.redis.sentinel import find_master
from appliance.redis.url import Endpoint, parse_redis_url
from appliance.system.wire import SocketWire, TlsWire, Wire, connect_tcp

Argument: TypeAlias = str | bytes | int | float
Command: TypeAlias = Sequence[Argument]

CONNECT_TIMEOUT_S = 1.0
_FULL_BACKLOG_RETRY_S = 0.02
# The loss of an idle connection is detected after 15 + 3 * 5 s.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
_CLIENT_NAME = "scalelite-appliance"

_pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The address of Redis. With sentinels, the url gives user, password, database and TLS only."""

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


def pack(command: Command) -> bytes:
    """Encode a command. Text from Redis that was not UTF-8 is sent back as the same bytes.

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
    # The Sentinels name the host and port.
    return replace(endpoint, path=None) if address.sentinels else endpoint


async def connect(
    address: RedisAddress,
    endpoint: Endpoint,
    scripts: Sequence[Script],
    *,
    avoid: tuple[str, int] | None = None,
) -> tuple[Wire, tuple[str, int]]:
    """Connect to the master, authenticate and load the scripts; return its host and port, too.

    `avoid`: the master of the connection before, which the Sentinels may have replaced.
    Takes at most 1 s, and 0.5 s more with Sentinels. Raises: RedisDown.
    """
    try:
        host, port = endpoint.host, endpoint.port
        if address.sentinels:
            name = address.sentinel_master or ""
            master = await find_master(ask_sentinel, address.sentinels, name, avoid)
            if master is None:
                raise RedisDown("no Sentinel knows the master")
            host, port = master.address
        with trio.move_on_after(CONNECT_TIMEOUT_S), ExitStack() as stack:
            wire = await _open_wire(endpoint, host, port)
            stack.callback(wire.close)
            await _log_in(wire, endpoint, scripts)
            stack.pop_all()
            return wire, (host, port)
    except LOST as error:
        raise RedisDown(lost_reason(error)) from None
    raise RedisDown("no answer to connecting")


async def _open_wire(endpoint: Endpoint, host: str, port: int) -> Wire:
    if endpoint.path is not None:
        return await _connect_unix(endpoint.path)
    wire = await connect_tcp(host, port)
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        wire.socket.setsockopt(socket.IPPROTO_TCP, option, value)
    if endpoint.tls is not None:
        return TlsWire(trio.SSLStream(wire, endpoint.tls, server_hostname=host))
    return wire


async def _connect_unix(path: str) -> SocketWire:
    """Connect to a Unix socket, which succeeds or fails at once.

    Not trio.open_unix_socket, which takes the EAGAIN of a full backlog for success.
    """
    with ExitStack() as stack:
        wire = SocketWire(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        stack.callback(wire.close)
        while True:
            try:
                wire.socket.connect(path)
            except BlockingIOError:
                await trio.sleep(_FULL_BACKLOG_RETRY_S)
            else:
                stack.pop_all()
                return wire


_NO_PASSWORD = "a password is required, but REDIS_URL has none"


async def _log_in(wire: Wire, endpoint: Endpoint, scripts: Sequence[Script]) -> None:
    """Authenticate, select the database, check that this is a master that answers."""
    required: list[Command] = []
    if endpoint.password is not None:
        user = () if endpoint.username is None else (endpoint.username,)
        required.append(("AUTH", *user, endpoint.password))
    if endpoint.db:
        required.append(("SELECT", endpoint.db))
    # PING detects LOADING, ROLE a replica. An ACL may refuse these, and a script may not compile:
    # the connection is used all the same, since the commands that need them will fail clearly.
    optional: list[Command] = [("CLIENT", "SETNAME", _CLIENT_NAME), ("PING",), ("ROLE",)]
    role_at = len(required) + 2
    replies = await _ask(wire, [*required, *optional])
    for command, reply in zip(required, replies, strict=False):
        if isinstance(reply, RedisError | RedisDown):
            raise RedisDown(_refusal(command, reply))
    for reply in replies:
        if isinstance(reply, RedisDown) and reply.reason != NO_PERMISSION:
            raise RedisDown(_NO_PASSWORD if reply.reason == "NOAUTH" else reply.reason)
    role = replies[role_at]
    if isinstance(role, list) and role[0] != "master":
        raise RedisDown("not a master")
    # Only now: Redis drops a client that sends more than 16 KiB before it has authenticated.
    await _ask(wire, [("SCRIPT", "LOAD", script.source) for script in scripts])


def _refusal(command: Command, reply: RedisError | RedisDown) -> str:
    """Return why AUTH or SELECT was refused, in words that name what to correct."""
    if command[0] != "AUTH":
        return f"{command[0]!s} refused: does Redis have the database of REDIS_URL?"
    code = reply.reason if isinstance(reply, RedisDown) else reply.code
    if code == "WRONGPASS":
        return "the password (or user name) in REDIS_URL is wrong"
    return "AUTH refused: REDIS_URL has a password, but Redis expects none"


async def _ask(wire: Wire, commands: Sequence[Command]) -> list[Any]:
    """Send commands on a connection that is not shared yet; error replies are in the list."""
    await wire.send_all(b"".join(map(pack, commands)))
    missing = object()
    reader = new_reader(reply_error, missing)
    replies: list[Any] = []
    while len(replies) < len(commands):
        reply = reader.gets()
        if reply is not missing:
            replies.append(reply)
        elif data := await wire.receive_some():
            reader.feed(data)
        else:
            raise RedisDown("closed by Redis")
    return replies


async def ask_sentinel(
    host: str, port: int, commands: tuple[tuple[str, ...], ...]
) -> list[Any] | None:
    """Ask a Sentinel; None: it gave no answer."""
    try:
        wire = await connect_tcp(host, port)
        with ExitStack() as stack:
            stack.callback(wire.close)
            return await _ask(wire, commands)
    except (*LOST, RedisDown):
        return None


async def follow_sentinel(
    host: str, port: int, channels: tuple[str, ...], on_message: Callable[[], None]
) -> None:
    """Subscribe to channels of a Sentinel until the connection is lost."""
    try:
        wire = await connect_tcp(host, port)
        with ExitStack() as stack:
            stack.callback(wire.close)
            await wire.send_all(pack(("SUBSCRIBE", *channels)))
            while data := await wire.receive_some():
                if b"message" in data:  # and not the answer to SUBSCRIBE
                    on_message()  # what it says is asked for, since this may be a part of it
    except LOST:
        return
