"""One client's connection as Hypercorn itself serves it; what http_connection stands in for.

Used where http_connection was not checked against the Hypercorn that is installed, and with
TUNING_OFF=connections. It answers rightly, and costs more: a request half as much CPU again, a
client that reads nothing keeps its connection until TCP_USER_TIMEOUT, and HTTP/2 without TLS (h2c)
is spoken to whoever asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from appliance.http.server.accept import ClientStream
from appliance.log import Log

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
Stream = ClientStream | trio.SSLStream[ClientStream]

CHECKED_VERSIONS = ("0.17.3", "0.18.")
"""Beginnings of the versions of Hypercorn whose inside http_connection was checked against."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a client may take, in seconds."""

    keep_alive_s: float = 75.0
    """For a whole request head to come. Longer than the 60 s that nginx keeps its connections to
    us, so that it is nginx that closes them."""
    handshake_s: float = 30.0
    unread_s: float = 30.0
    """A client that takes nothing for so long is cut off (TCP_USER_TIMEOUT)."""
    drain_s: float = 25.0
    """What requests under way get when the server stops."""


class Served(Protocol):
    """One accepted connection."""

    async def run(self) -> None:
        """Serve to the end; closing the stream is the caller's. Raises OSError."""

    def close_if_idle(self, since_s: float = math.inf) -> None:
        """Close at once, unless a request is under way, or came to its end after `since_s`."""


ServedType = Callable[[AsgiApp, Config, WorkerContext, Stream, Limits, Log], Served]


class StockConnection(TCPServer):
    """One accepted connection, plain or TLS."""

    def __init__(
        self,
        app: AsgiApp,
        config: Config,
        context: WorkerContext,
        stream: Stream,
        _limits: Limits,
        _log: Log,
    ) -> None:
        # Hypercorn takes plain streams too, whatever its annotation says.
        tls: Any = stream
        super().__init__(ASGIWrapper(app), config, context, ConnectionState({}), tls)

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()  # else the file stays open until the end of its deadline

    def close_if_idle(self, since_s: float = math.inf) -> None:
        """Do nothing: Hypercorn's have a deadline, and wait for the end of the server."""


def choose_connection(tuned: bool, hypercorn: str, log: Log) -> ServedType:
    """Return what serves connections, by whether ours is wanted and fits this Hypercorn."""
    if tuned and hypercorn.startswith(CHECKED_VERSIONS):
        # Imported here: another Hypercorn may not even have what it is made of.
        from appliance.http.server.connection import Connection

        return Connection
    if tuned:
        log.warning("connections_not_tuned", hypercorn=hypercorn)
    return StockConnection


def hypercorn_version() -> str:
    """Return the version of Hypercorn, empty if it does not say."""
    try:
        return version("hypercorn")
    except PackageNotFoundError:
        return ""
