"""A connection as the server sees it; both kinds of connections implement it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from appliance.http.messages import AsgiApp
from appliance.http.server.accept import AcceptedStream
from appliance.log import Log

ServedStream: TypeAlias = AcceptedStream | trio.SSLStream[AcceptedStream]
"""An accepted connection, plain or TLS."""


@dataclass(frozen=True, slots=True)
class ListenerTimeouts:
    """How long a client may take, and how long the stop of the server, in seconds."""

    keep_alive_s: float = 75.0
    """For a whole request head to arrive. Longer than the 60 s for which nginx keeps its
    connections to the appliance, so that nginx closes them and no request meets a closing one."""
    handshake_s: float = 30.0
    unread_s: float = 30.0
    """A client that takes no bytes for so long is cut off (TCP_USER_TIMEOUT)."""
    drain_s: float = 25.0
    """For running requests when the server stops."""
    last_request_s: float = 1.0
    """For a request that is on its way when the server stops: it still gets its response."""


class ServedConnection(Protocol):
    """One accepted connection."""

    async def run(self) -> None:
        """Serve to the end; the caller closes the stream. Raises: OSError."""

    def close_if_idle(self, since_s: float = math.inf) -> None:
        """Close at once unless a request is running or ended after `since_s` (Trio's clock)."""

    def end(self) -> None:
        """Close at once, or after the response to the running request."""


ConnectionFactory: TypeAlias = Callable[
    [AsgiApp, Config, WorkerContext, ServedStream, ListenerTimeouts, Log], ServedConnection
]
