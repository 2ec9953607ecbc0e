"""The public listener: the ASGI application under Hypercorn, started and stopped in order.

Connections are accepted here and served one by one (http_connection), since whatever goes wrong in
one must not end the others: Hypercorn's own `serve` ends with the first exception.
On stop the listeners close at once, idle connections too, and requests under way get a while.
"""

from __future__ import annotations

import logging
import ssl
import time
from contextlib import ExitStack
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from appliance.http.server.accept import ClientStream, accept_forever
from appliance.http.server.hypercorn_connection import (
    AsgiApp,
    Limits,
    Served,
    Stream,
    choose_connection,
    hypercorn_version,
)
from appliance.http.server.sockets import Listener, ListenError, load_tls, open_listeners
from appliance.log import Log
from appliance.settings import WebSettings

__all__ = ["AsgiApp", "Limits", "ListenError", "PublicServer"]

_LIMITS = Limits()
_LOOK_EVERY_S = 5.0
"""For idle connections: a deadline of each would cost as much as all else that is done with it."""


class PublicServer:
    """The public listener of one appliance."""

    def __init__(
        self,
        app: AsgiApp,
        web: WebSettings,
        log: Log,
        *,
        max_target_bytes: int,
        limits: Limits = _LIMITS,
        tuned: bool = True,
    ) -> None:
        """Serve an ASGI application that answers request lines up to `max_target_bytes`.

        `tuned=False`: connections are served by Hypercorn itself (http_stock).
        """
        self._app = app
        self._web = web
        self._log = log
        self._limits = limits
        self._config = _build_config(max_target_bytes, limits)
        self._connection = choose_connection(tuned, hypercorn_version(), log)
        self._context = WorkerContext(None)
        self._open: set[Served] = set()
        self._tls: ssl.SSLContext | None = None

    async def run(
        self,
        stop: trio.Event,
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop`, then drain; started with the bound URLs. Raises ListenError."""
        self._tls = load_tls(self._web)
        with ExitStack() as stack:
            opening = open_listeners(self._web.binds, user_timeout_s=self._limits.unread_s)
            listeners = stack.enter_context(opening)
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, connections)
                    accepting.start_soon(self._close_unused)
                    task_status.started([listener.url for listener in listeners])
                    await stop.wait()
                    accepting.cancel_scope.cancel()
                stack.close()
                await self._close_idle()
                connections.cancel_scope.deadline = trio.current_time() + self._limits.drain_s

    def reload_certificate(self) -> None:
        """Read the TLS files again; new connections get the new certificate.

        Files that cannot be used are logged, and the certificate stays.
        """
        if self._tls is None:
            return
        try:
            self._tls = load_tls(self._web)
        except ListenError as error:
            self._log.error("certificate_not_reloaded", reason=str(error))
        else:
            self._log.info("certificate_reloaded")

    async def _close_idle(self) -> None:
        """Close connections without a request now, and the others after their answer."""
        await self._context.terminated.set()
        for connection in list(self._open):
            connection.close_if_idle()

    async def _close_unused(self) -> None:
        """Close, for ever, the connections that no request has come on for keep_alive_s."""
        unused_s = self._limits.keep_alive_s
        while True:
            await trio.sleep(min(unused_s / 8, _LOOK_EVERY_S))
            since_s = trio.current_time() - unused_s
            for connection in list(self._open):
                connection.close_if_idle(since_s)

    async def _accept(self, listener: Listener, connections: trio.Nursery) -> None:
        serve = partial(self._serve, tls=listener.tls)
        await accept_forever(listener.socket, serve, connections, self._log)

    async def _serve(self, client: ClientStream, *, tls: bool) -> None:
        """Serve one connection to its end, whatever happens in it."""
        stream: Stream = client
        if tls and self._tls is not None:
            stream = trio.SSLStream(client, self._tls, server_side=True, https_compatible=True)
        connection = self._connection(
            self._app, self._config, self._context, stream, self._limits, self._log
        )
        self._open.add(connection)
        try:
            await connection.run()
        except OSError as error:  # the client is gone again
            self._log.debug("connection_lost", reason=str(error))
        except Exception as error:
            self._log.error("connection_failed", exc_info=error)
        finally:
            self._open.discard(connection)
            client.close()


class _Config(Config):
    """Hypercorn's, but the Date of answers is written once a second, not for each of them."""

    def __init__(self) -> None:
        self._second = -1
        self._headers: list[tuple[bytes, bytes]] = []

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Return the headers that every answer has."""
        second = int(time.time())
        if second != self._second:
            self._second, self._headers = second, super().response_headers(protocol)
        return self._headers


def _build_config(max_target_bytes: int, limits: Limits) -> Config:
    config = _Config()
    # The first two are for http_stock; http_connection has deadlines of its own.
    config.keep_alive_timeout = limits.keep_alive_s
    config.ssl_handshake_timeout = limits.handshake_s
    # Room for the longest request line we answer, and as much again for headers and beyond, so
    # that a line that is too long still gets an answer of the API.
    config.h11_max_incomplete_size = 4 * max_target_bytes
    config.errorlog = logging.getLogger("hypercorn.error")  # no handler of its own
    config.include_server_header = False
    return config
