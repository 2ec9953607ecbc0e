"""Serves one ASGI application on the addresses of a listener, and stops in order.

Connections are accepted and served here one by one, because an error in one of them must not end
the others: Hypercorn's own `serve` ends with the first exception.
On stop the listeners close at once. A connection closes after a response with `Connection: close`,
or after a second without a request. Running requests get `drain_s` to finish.
"""

from __future__ import annotations

import logging
import math
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import TypeAlias

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from appliance.http.messages import AsgiApp, Response
from appliance.http.server.accept import (
    AcceptedStream,
    ConnectionLimit,
    accept_forever,
    accept_waiting,
)
from appliance.http.server.fast_path import MAX_HEAD_BYTES
from appliance.http.server.interface import ListenerTimeouts, ServedConnection, ServedStream
from appliance.http.server.sockets import BACKLOG, Listener, ListenError, load_tls, open_listeners
from appliance.http.server.tuning import choose_connection, hypercorn_version
from appliance.log import Log
from appliance.settings import WebSettings

HeadRefusal: TypeAlias = Callable[[bytes], Response | None]

_TIMEOUTS = ListenerTimeouts()
_SPARE_S = 1.0
"""When no further client can be served, connections that are idle for longer are closed."""
_IDLE_CHECK_S = 5.0
"""Between two checks for idle connections. A deadline for each of them costs 4 µs a request."""


class HttpServer:
    """The server of one ASGI application."""

    def __init__(
        self,
        app: AsgiApp,
        web: WebSettings,
        log: Log,
        *,
        timeouts: ListenerTimeouts = _TIMEOUTS,
        max_connections: float = math.inf,
        tuned: bool = True,
        refuse_large_head: HeadRefusal | None = None,
    ) -> None:
        """Serve an application to at most `max_connections` clients at once; others wait.

        `refuse_large_head` returns the response to a head over a limit by its first bytes; None: a
        bare 431. `tuned=False`: Hypercorn's own connections serve it (see `tuning`).
        """
        self._app = app
        self._web = web
        self._log = log
        self._timeouts = timeouts
        self._config = _build_config(timeouts, refuse_large_head)
        self._connection = choose_connection(tuned, hypercorn_version(), log)
        self._context = WorkerContext(None)
        self._open: set[ServedConnection] = set()
        self._tls: ssl.SSLContext | None = None
        self._limit = ConnectionLimit(max_connections, self._close_spare, log)

    async def run(
        self,
        stop: trio.Event,
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop`, then drain; `started` gets the bound URLs. Raises: ListenError."""
        self._tls = load_tls(self._web)
        with ExitStack() as stack:
            opening = open_listeners(self._web.binds, unread_s=self._timeouts.unread_s)
            listeners = stack.enter_context(opening)
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, connections)
                    accepting.start_soon(self._close_unused)
                    task_status.started([listener.url for listener in listeners])
                    await stop.wait()
                    accepting.cancel_scope.cancel()
                connections.cancel_scope.deadline = trio.current_time() + self._timeouts.drain_s
                await self._context.terminated.set()
                for listener in listeners:
                    self._accept_last(listener, connections)
                stack.close()
                await self._end_connections()

    def reload_certificate(self) -> None:
        """Load the TLS files again; new connections use the new certificate.

        If the files cannot be used, that is logged and the present certificate stays.
        """
        if self._tls is None:
            return
        try:
            self._tls = load_tls(self._web)
        except ListenError as error:
            self._log.error("certificate_not_reloaded", reason=str(error))
        else:
            self._log.info("certificate_reloaded")

    async def _end_connections(self) -> None:
        """Wait for requests that are on their way, then let every connection end.

        A proxy may have sent one on a connection that it keeps, before it sees the end of that.
        """
        with trio.move_on_after(self._timeouts.last_request_s):
            await self._limit.wait_unused()
        for connection in list(self._open):
            connection.end()

    async def _close_unused(self) -> None:
        """Close, until cancelled, the connections that are idle for longer than keep_alive_s."""
        unused_s = self._timeouts.keep_alive_s
        while True:
            await trio.sleep(min(unused_s / 8, _IDLE_CHECK_S))
            since_s = trio.current_time() - unused_s
            for connection in list(self._open):
                connection.close_if_idle(since_s)

    def _close_spare(self) -> None:
        """Close connections that are idle, but not those that have just been accepted."""
        since_s = trio.current_time() - _SPARE_S
        for connection in list(self._open):
            connection.close_if_idle(since_s)

    async def _accept(self, listener: Listener, connections: trio.Nursery) -> None:
        serve = self._serving(listener)
        await accept_forever(listener.socket, serve, connections, self._log, self._limit)

    def _accept_last(self, listener: Listener, connections: trio.Nursery) -> None:
        """Accept what the kernel has accepted already: closing the listener would reset it."""
        serve = self._serving(listener)
        with suppress(OSError):
            accept_waiting(listener.socket, serve, connections, self._limit, BACKLOG)

    def _serving(self, listener: Listener) -> Callable[[AcceptedStream], Awaitable[None]]:
        return partial(self._serve, tls=listener.tls)

    async def _serve(self, client: AcceptedStream, *, tls: bool) -> None:
        """Serve one connection to its end; raises nothing but Cancelled."""
        stream: ServedStream = client
        if tls and self._tls is not None:
            stream = trio.SSLStream(client, self._tls, server_side=True, https_compatible=True)
        connection = self._connection(
            self._app, self._config, self._context, stream, self._timeouts, self._log
        )
        self._open.add(connection)
        try:
            await connection.run()
        except OSError as error:  # the client has closed the connection
            self._log.debug("connection_lost", reason=str(error))
        except Exception as error:
            self._log.error("connection_failed", exc_info=error)
        finally:
            self._open.discard(connection)
            client.close()


class ListenerConfig(Config):
    """Hypercorn's configuration, which renders the Date header once a second: saves 0.6 µs."""

    def __init__(self, refuse_large_head: HeadRefusal | None) -> None:
        self.refuse_large_head = refuse_large_head
        self._second = -1
        self._headers: list[tuple[bytes, bytes]] = []

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Return the headers that every response has."""
        second = int(time.time())
        if second != self._second:
            self._second, self._headers = second, super().response_headers(protocol)
        return self._headers


def _build_config(timeouts: ListenerTimeouts, refuse_large_head: HeadRefusal | None) -> Config:
    config = ListenerConfig(refuse_large_head)
    # These are for hypercorn_connection; `connection` has deadlines and limits of its own.
    config.keep_alive_timeout = timeouts.keep_alive_s
    config.ssl_handshake_timeout = timeouts.handshake_s
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    config.errorlog = logging.getLogger("hypercorn.error")  # no handler of its own
    config.include_server_header = False
    return config
