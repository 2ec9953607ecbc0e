"""The public listener: the ASGI application under Hypercorn, started and stopped in order.

On stop the listeners close at once and requests in flight get DRAIN_S. Truth of the settings:
what was measured of Hypercorn (docs/architecture.md).
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio import serve

from appliance.log import Log
from appliance.settings import Bind, WebSettings

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

DRAIN_S = 25.0
_KEEP_ALIVE_S = 75.0
"""Longer than the 60 s that nginx keeps its upstream connections, so that it closes first."""
_BACKLOG = 1024
_USER_TIMEOUT_MS = 30_000
"""A client that takes nothing for so long is cut off: a blocked send cannot be cancelled, and
would hold up a stop for ever."""


class ListenError(Exception):
    """A listener could not be bound."""


class _Config(Config):
    """Hypercorn's configuration, with what it has no setting for."""

    def __init__(self) -> None:
        super().__init__()
        self.tls_context: ssl.SSLContext | None = None

    def create_sockets(self) -> Sockets:
        """Bind, and set TCP_USER_TIMEOUT on what is accepted."""
        sockets = super().create_sockets()
        for listener in (*sockets.secure_sockets, *sockets.insecure_sockets):
            if listener.family != socket.AF_UNIX:
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        return sockets

    def create_ssl_context(self) -> ssl.SSLContext | None:
        """Make the context, and keep it: its certificate can be replaced while it serves."""
        self.tls_context = super().create_ssl_context()
        return self.tls_context


class PublicServer:
    """The public listener of one appliance."""

    def __init__(self, app: AsgiApp, web: WebSettings, log: Log, *, max_target_bytes: int) -> None:
        """Serve an ASGI application that answers request lines up to `max_target_bytes`."""
        self._app = app
        self._web = web
        self._log = log
        self._config = _build_config(web, max_target_bytes)

    async def run(self, stop: trio.Event, *, task_status: trio.TaskStatus[list[str]]) -> None:
        """Serve until `stop`, then drain; started with the bound URLs. Raises ListenError."""
        try:
            await serve(
                self._app,
                self._config,
                shutdown_trigger=stop.wait,
                task_status=task_status,
            )
        except* OSError as group:
            raise ListenError(_describe(group, self._web.binds)) from group

    def reload_certificate(self) -> None:
        """Read the TLS files again; new connections get the new certificate."""
        context, web = self._config.tls_context, self._web
        if context is None or web.tls_cert_file is None or web.tls_key_file is None:
            return
        try:
            context.load_cert_chain(web.tls_cert_file, web.tls_key_file)
        except (OSError, ssl.SSLError) as error:
            self._log.error("certificate_not_reloaded", reason=str(error))
        else:
            self._log.info("certificate_reloaded")


def _build_config(web: WebSettings, max_target_bytes: int) -> _Config:
    config = _Config()
    secure = [bind for bind in web.binds if bind.scheme == "ssl"]
    plain = [bind for bind in web.binds if bind.scheme != "ssl"]
    if web.tls_cert_file is not None and not secure:
        # Only PORT, or only tcp:// addresses: with a certificate they serve HTTPS.
        secure = [bind for bind in plain if bind.scheme == "tcp"]
        plain = [bind for bind in plain if bind.scheme == "unix"]
    if secure:
        config.certfile = str(web.tls_cert_file)
        config.keyfile = str(web.tls_key_file)
        config.bind = [_hypercorn_bind(bind) for bind in secure]
        config.insecure_bind = [_hypercorn_bind(bind) for bind in plain]
    else:
        config.bind = [_hypercorn_bind(bind) for bind in plain]
    _tune(config, max_target_bytes)
    return config


def _tune(config: Config, max_target_bytes: int) -> None:
    config.backlog = _BACKLOG
    config.graceful_timeout = DRAIN_S
    config.keep_alive_timeout = _KEEP_ALIVE_S
    config.keep_alive_max_requests = 10**9
    # Room for the longest request line we answer, and as much again for headers and beyond, so
    # that a line that is too long still gets an answer of the API.
    config.h11_max_incomplete_size = 4 * max_target_bytes
    config.alpn_protocols = ["http/1.1"]
    config.errorlog = logging.getLogger("hypercorn.error")  # no handler of its own
    config.include_server_header = False
    config.umask = 0o111


def _hypercorn_bind(bind: Bind) -> str:
    if bind.scheme == "unix":
        return f"unix:{bind.path}"
    host = f"[{bind.host}]" if ":" in bind.host else bind.host
    return f"{host}:{bind.port}"


def _describe(group: BaseExceptionGroup[Any], binds: Sequence[Bind]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    addresses = ", ".join(str(bind) for bind in binds)
    return f"cannot listen on {addresses}: {error}"
