"""/metrics for Prometheus: on a listener of its own (METRICS_BIND), or with a token.

Never fails because a store does: what this process has counted is shown all the same.
"""

from __future__ import annotations

import gzip
import hmac
from contextlib import suppress
from functools import partial

import trio
from quart import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from appliance.faults import DatabaseDown, StoreDown
from appliance.fleet.autoscale import read_capacity
from appliance.http.authorization import digest_secret, parse_bearer
from appliance.http.messages import AsgiApp
from appliance.http.quart_app import make_quart_app, refuse_method, text_response
from appliance.http.quart_exchange import serve_quart
from appliance.instruments import Metrics
from appliance.metrics.deps import MetricsDeps
from appliance.metrics.exposition import MAX_TENANTS, SpoolStatus, StoreSnapshot, render_metrics
from appliance.metrics.host import HostReader, HostStatus
from appliance.metrics.tenants import TenantReader
from appliance.model import TenantId
from appliance.servers.maintenance.rules import Phase
from appliance.servers.maintenance.windows import WindowStore
from appliance.servers.versions.shares import VersionShares
from appliance.tenants.limits import DEFAULT_TENANT, TenantLimits
from appliance.usage.debts import with_debts

METRICS_PATH = "/metrics"
_READ_S = 5.0
_UNZIPPED_BYTES = 16 * 1024
"""Up to this size compressing is not worth the time."""


def make_metrics_blueprint(deps: MetricsDeps, token: str | None) -> Blueprint:
    """Return the metrics, for requests with the token; None: for every request."""
    blueprint = Blueprint("metrics", __name__)
    host, tenants = HostReader(deps.settings), TenantReader()
    expected = None if token is None else digest_secret(token.encode())

    @blueprint.route(METRICS_PATH, methods=("GET", "HEAD"))
    async def metrics() -> Response:
        if expected is not None and not _is_authorized(expected):
            return text_response(401, "Wrong token.", {"www-authenticate": "Bearer"})
        seen = await _read(deps, host, tenants)
        if seen.servers is not None:
            known = frozenset(server.id for server in seen.servers)
            deps.metrics.polls.forget("server", known)
            deps.metrics.server_creates.forget("server", known)
        accept, codings = (request.headers.get(name, "") for name in ("accept", "accept-encoding"))
        render = partial(_render, deps.metrics, seen, accept, zipped=_accepts_gzip(codings))
        content_type, body, headers = await trio.to_thread.run_sync(render)
        return Response(body, content_type=content_type, headers=headers)

    return blueprint


def make_metrics_app(deps: MetricsDeps) -> AsgiApp:
    """Return the application of METRICS_BIND: the metrics only, without a token."""
    app = make_quart_app(__name__)
    app.register_blueprint(make_metrics_blueprint(deps, None))

    @app.errorhandler(Exception)
    async def refuse(error: Exception) -> Response:
        if isinstance(error, MethodNotAllowed):
            return refuse_method(error)
        if isinstance(error, NotFound):
            return text_response(404, "There is nothing here.")
        deps.log.error("request_failed", path=request.path, exc_info=error)
        return text_response(500, "The metrics could not be read; the log says why.")

    return serve_quart(app)


def _is_authorized(expected: bytes) -> bool:
    given = parse_bearer(request.headers.get("authorization"))
    return given is not None and hmac.compare_digest(
        digest_secret(given.encode("latin-1")), expected
    )


def _render(
    metrics: Metrics, seen: StoreSnapshot, accept: str, *, zipped: bool
) -> tuple[str, bytes, dict[str, str]]:
    """Return content type, body and headers."""
    content_type, body = render_metrics(metrics, seen, accept)
    headers = {"vary": "accept, accept-encoding"}
    if zipped and len(body) > _UNZIPPED_BYTES:
        body = gzip.compress(body, compresslevel=1, mtime=0)
        headers["content-encoding"] = "gzip"
    return content_type, body, headers


def _accepts_gzip(codings: str) -> bool:
    """Return whether an Accept-Encoding header has gzip, and does not refuse it by q=0."""
    for coding in codings.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return weight.partition("=")[2].strip(" .0") != "" or not weight.strip()
    return False


async def _read(deps: MetricsDeps, host: HostReader, tenant_reader: TenantReader) -> StoreSnapshot:
    servers, spool, callbacks, database, imports = None, None, None, None, None
    host_status, tenants, capacity = HostStatus(), None, None
    maintained: frozenset[str] = frozenset()
    shares: dict[str, float] = {}
    limits: dict[str, TenantLimits] = {}
    with trio.move_on_after(_READ_S):
        try:
            found = await deps.pool.records.list_servers(in_background=True)
            servers = await with_debts(deps.usage, found)
        except StoreDown as error:
            deps.faults.note("metrics_without_store", "redis", reason=str(error))
        else:
            limits = await _read_limits(deps)
            with suppress(StoreDown):
                capacity, _ = await read_capacity(deps.fleet, servers)
                windows = await WindowStore(deps.pool.records.redis.background).read_all()
                maintained = frozenset(
                    one.server_id for one in windows if one.phase is not Phase.PLANNED
                )
                found_shares = await VersionShares(deps.pool.records.redis.background).read()
                shares = {one.version: one.percent / 100 for one in found_shares.values()}
        tenants = await tenant_reader.read(deps, servers)
        spool = await _read_spool(deps)
        with suppress(StoreDown, DatabaseDown):
            if deps.recordings.store is not None:
                database = False
                await deps.recordings.store.ping()
                database = True
            if deps.recordings.admin is not None:
                imports = await deps.recordings.admin.importer.journal.count_waiting()
            callbacks = await deps.callbacks.queue.count()
        host_status = await trio.to_thread.run_sync(host.read, abandon_on_cancel=True)
    return StoreSnapshot(
        *(servers, spool, callbacks, database, host_status, limits, tenants, imports, capacity),
        maintained=maintained,
        shares=shares,
    )


async def _read_limits(deps: MetricsDeps) -> dict[str, TenantLimits]:
    """Return the limits of those who have any, by name; of many tenants only some."""
    tenants = deps.callbacks.tenants
    if not deps.settings.metrics.tenants:
        return {}
    try:
        found = await tenants.limits.read_all(now_ms=deps.now_ms())
        names: dict[TenantId | None, str] = {None: DEFAULT_TENANT}
        if any(found):
            names |= {one.id: one.name for one in await tenants.store.list_tenants()}
    except StoreDown:
        return {}
    return {names[one]: limits for one, limits in list(found.items())[:MAX_TENANTS] if one in names}


async def _read_spool(deps: MetricsDeps) -> SpoolStatus | None:
    if deps.recordings.spool is None:
        return None
    try:
        waiting = await trio.to_thread.run_sync(deps.recordings.spool.scan, abandon_on_cancel=True)
    except OSError:
        return None  # the importer logs it
    oldest_ms = waiting[0].mtime_ns // 1_000_000 if waiting else deps.now_ms()
    return SpoolStatus(len(waiting), max(0.0, (deps.now_ms() - oldest_ms) / 1000))
