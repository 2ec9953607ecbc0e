"""/metrics for Prometheus: on a listener of its own (METRICS_BIND), or behind a token.

Never fails because a store does: what this process has counted is told all the same.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress

import trio

from appliance.faults import DatabaseDown, StoreDown
from appliance.http.messages import (
    ClientGone,
    ClientTimeouts,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    read_request,
    send_response,
)
from appliance.metrics.deps import MetricsDeps
from appliance.metrics.exposition import SpoolStatus, StoreSnapshot, render_metrics
from appliance.metrics.host import HostReader, HostStatus

METRICS_PATH = "/metrics"
_READ_S = 5.0
_TEXT = b"text/plain; charset=utf-8"
_TIMEOUTS = ClientTimeouts()
_NOT_FOUND = Response(404, _TEXT, b"There is nothing here.\n")
_WRONG_METHOD = Response(405, _TEXT, b"GET only.\n", ((b"allow", b"GET, HEAD"),))
_UNAUTHORIZED = Response(401, _TEXT, b"Wrong token.\n", ((b"www-authenticate", b"Bearer"),))
_FAILED = Response(500, _TEXT, b"The metrics could not be read; the log says why.\n")


class MetricsEndpoint:
    """Answers whoever collects the metrics."""

    def __init__(self, deps: MetricsDeps) -> None:
        self._deps = deps
        self._host = HostReader(deps.settings)
        token = deps.settings.metrics.token
        self._token = None if token is None else _digest(token.encode())

    async def handle_public(self, request: Request) -> Response:
        """Answer on the public listener: only for the token, and only if there is one."""
        if self._token is None:
            return _NOT_FOUND
        scheme, _, given = (request.header(b"authorization") or "").strip().partition(" ")
        # Hashes are compared, so that not even the length of the token shows.
        right = hmac.compare_digest(_digest(given.strip().encode("latin-1")), self._token)
        if not right or scheme.lower() != "bearer":
            return _UNAUTHORIZED
        return await self.handle(request)

    async def handle(self, request: Request) -> Response:
        """Answer whoever may read."""
        if request.method not in ("GET", "HEAD"):
            return _WRONG_METHOD
        seen = await self._look()
        if seen.servers is not None:
            ids = frozenset(server.id for server in seen.servers)
            self._deps.metrics.polls.forget("server", ids)
        content_type, body = render_metrics(
            self._deps.metrics, seen, request.header(b"accept") or ""
        )
        return Response(200, content_type.encode(), body)

    async def _look(self) -> StoreSnapshot:
        servers, spool, callbacks, database = None, None, None, None
        host = HostStatus()
        with trio.move_on_after(_READ_S):
            try:
                servers = await self._deps.pool.records.list_servers(in_background=True)
            except StoreDown as error:
                self._deps.faults.note("metrics_without_store", "redis", reason=str(error))
            spool = await self._look_into_spool()
            with suppress(StoreDown, DatabaseDown):
                if self._deps.recordings.store is not None:
                    database = False
                    await self._deps.recordings.store.ping()
                    database = True
                callbacks = await self._deps.callbacks.queue.count()
            host = await trio.to_thread.run_sync(self._host.read, abandon_on_cancel=True)
        return StoreSnapshot(servers, spool, callbacks, database, host)

    async def _look_into_spool(self) -> SpoolStatus | None:
        if self._deps.recordings.spool is None:
            return None
        try:
            waiting = await trio.to_thread.run_sync(
                self._deps.recordings.spool.scan, abandon_on_cancel=True
            )
        except OSError:
            return None  # the importer complains
        oldest_ms = waiting[0].mtime_ns // 1_000_000 if waiting else self._deps.now_ms()
        return SpoolStatus(len(waiting), max(0.0, (self._deps.now_ms() - oldest_ms) / 1000))


class MetricsApp:
    """The application of METRICS_BIND: nothing but the metrics, for whoever reaches it."""

    def __init__(self, deps: MetricsDeps, timeouts: ClientTimeouts = _TIMEOUTS) -> None:
        self._deps = deps
        self._timeouts = timeouts
        self._endpoint = MetricsEndpoint(deps)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other scopes are none of ours."""
        if scope["type"] != "http":
            return
        request = read_request(scope, receive, self._timeouts)
        try:
            response = await self._answer(request)
        except ClientGone:
            return
        await send_response(send, response, request, None)

    async def _answer(self, request: Request) -> Response:
        if request.path != METRICS_PATH:
            return _NOT_FOUND
        try:
            return await self._endpoint.handle(request)
        except Exception as error:
            self._deps.log.error("request_failed", path=request.path, exc_info=error)
            return _FAILED


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
