"""Runs the appliance: opens stores and connections, starts every service, stops them in order.

Composition only. The services are the children of the inner nursery; the embedded stores and
connections that they use are opened around it and closed after it.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import trio

from appliance.admin.control_socket import ControlSocketError, serve_control
from appliance.admin.routes import make_control_app
from appliance.callbacks.analytics import prune_reports_forever
from appliance.callbacks.attempt import make_callback_tools
from appliance.callbacks.ended import notify_ended_forever
from appliance.callbacks.sender import CallbackSender
from appliance.console.app import make_console_app
from appliance.console.core import Console
from appliance.console.routes import make_console
from appliance.dialin.routes import DialplanApp
from appliance.features import Features
from appliance.fleet.autoscale import autoscale_forever, make_hooks
from appliance.http.server.server import HttpServer
from appliance.http.server.sockets import ListenError
from appliance.log import EventLogger, get_logger, reopen_logs
from appliance.metrics.routes import make_metrics_app
from appliance.postgres.database import Database
from appliance.public.app import PublicApp
from appliance.public.errors import refuse_large_head
from appliance.recordings.deps import RecordingAdmin
from appliance.recordings.jobs import RecordingJobs
from appliance.recordings.objects.bucket_client import Boto3Missing
from appliance.recordings.objects.work import ObjectWork
from appliance.recordings.recovery import finish_changes_forever
from appliance.recordings.retention_task import run_retention_forever
from appliance.recordings.sizes import measure_recordings_forever
from appliance.redis.startup import GRACE_S, report_missing_redis, wait_for_redis
from appliance.servers.maintenance.task import Maintenance
from appliance.servers.poller import Poller
from appliance.servers.sweeper import sweep_forever
from appliance.servers.versions.watch import watch_versions_forever
from appliance.settings import Settings
from appliance.system.embedded.state import EmbeddedStoresError
from appliance.system.process import (
    raise_file_limit,
    share_connections,
    trim_memory_forever,
    tune_allocator,
    tune_garbage_collector,
    tune_threads,
    watch_loop,
)
from appliance.system.signals import watch_signals
from appliance.system.state_secrets import StateSecretError
from appliance.system.systemd import SystemdNotifier, feed_watchdog, report_status
from appliance.system.tasks import Background, supervise
from appliance.usage.writer import write_usage_forever
from appliance.wiring.connections import Connections, TlsFilesError, open_connections
from appliance.wiring.features import Tasks, make_features
from appliance.wiring.recordings import make_spool_watcher
from appliance.wiring.status import describe_status

START_ERRORS = (
    *(ListenError, ControlSocketError, EmbeddedStoresError, StateSecretError, Boto3Missing),
    TlsFilesError,
)
"""Errors that an operator must resolve before the appliance can run; their texts say how."""


MIGRATION_LIMIT_S = 30.0
"""The log has the reason if it takes longer; new indexes of a large database may take hours."""
_FEW_CLIENTS = 64
"""Of a private listener: FreeSWITCH gateways or Prometheus."""


async def run(settings: Settings) -> None:
    """Run the appliance until SIGTERM or SIGINT.

    Raises START_ERRORS, in exception groups.
    """
    log = get_logger("appliance")
    systemd = SystemdNotifier(os.environ)
    stop = trio.Event()
    limits = share_connections(raise_file_limit(), settings.web.max_connections)
    if limits.clients < (settings.web.max_connections or 0):
        log.warning("client_connections_limited", maximum=limits.clients)
    tune_allocator(settings.tuning_off)
    tune_threads(settings.tuning_off)
    reload = _Reload(systemd, log)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_signals, stop, nursery.cancel_scope.cancel, reload.run, log)
        async with open_connections(settings, log, max_outgoing=limits.outgoing) as connections:
            redis = connections.redis
            clients = (redis.foreground.client, redis.background.client)
            nursery.start_soon(report_missing_redis, clients, systemd.send, log)
            # The embedded one comes up in any case; its start has limits of its own.
            limit_s = math.inf if settings.stores.redis_embedded else GRACE_S
            await wait_for_redis(clients, stop, limit_s)
            if settings.stores.database_embedded and connections.database is not None:
                await _wait_for_database(connections.database, stop)
            if stop.is_set():
                systemd.send("STOPPING=1")
            else:
                web = replace(settings.web, max_connections=limits.clients)
                settings = replace(settings, web=web)
                await _serve(settings, connections, stop, reload, systemd, log)
        nursery.cancel_scope.cancel()
    log.info("stopped")


async def _wait_for_database(database: Database, stop: trio.Event) -> None:
    """Return when the embedded database is migrated, `stop` is set, or after a limit.

    Without it the recording calls fail while the health check succeeds. An external database may be
    away for long; then the other calls are answered.
    """
    with trio.move_on_after(MIGRATION_LIMIT_S):
        async with trio.open_nursery() as nursery:

            async def watch(event: Callable[[], Awaitable[object]]) -> None:
                await event()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch, database.wait_ready)
            nursery.start_soon(watch, stop.wait)


class _Reload:
    """Handler of SIGHUP."""

    def __init__(self, systemd: SystemdNotifier, log: EventLogger) -> None:
        self._systemd = systemd
        self._log = log
        self._listeners: tuple[HttpServer, ...] = ()

    def begin(self, listeners: tuple[HttpServer, ...]) -> None:
        """Notify systemd that the appliance is ready; from now on SIGHUP reloads `listeners`."""
        self._listeners = listeners
        self._systemd.send("READY=1")

    def run(self) -> None:
        """Reopen the log and reread the TLS files; notify systemd, which waits for the end."""
        try:
            reopen_logs()
        except OSError as error:
            self._log.warning("log_not_reopened", reason=error.strerror)
        if not self._listeners:
            return  # not ready yet, so READY must not be sent
        self._systemd.send_reloading()
        for listener in self._listeners:
            listener.reload_certificate()
        self._systemd.send("READY=1")


async def _serve(
    settings: Settings,
    connections: Connections,
    stop: trio.Event,
    reload: _Reload,
    systemd: SystemdNotifier,
    log: EventLogger,
) -> None:
    """Start every service, report readiness, and stop the services in order when `stop` is set."""
    background, poller, recording_jobs = Background(log), Poller(), RecordingJobs(log)
    callbacks = connections.callbacks
    sender = CallbackSender(callbacks.stores, callbacks.urls, secrets.token_hex(8), log)
    tasks = Tasks(background, poller, sender, recording_jobs)
    features = make_features(settings, connections, tasks, log)
    console = make_console(features) if settings.console.enabled else None
    listeners = _listeners(features, console, log)
    drained = {name: trio.Event() for name in listeners}

    async with trio.open_nursery() as services:
        await services.start(background.run)
        urls = {
            name: await services.start(_listen, name, listener, stop, drained[name], log)
            for name, listener in listeners.items()
        }
        await services.start(serve_control, make_control_app(features), settings.control, log)
        tools = make_callback_tools(features.callbacks, callbacks.client)
        call_front_ends = partial(sender.run, tools)
        for name, service in _services(features, poller, call_front_ends, systemd):
            services.start_soon(supervise, name, service, log)
        if features.recordings.admin is not None:
            await services.start(recording_jobs.run)
            for name, service in _recording_services(features, features.recordings.admin, log):
                services.start_soon(supervise, name, service, log)
        if console is not None:
            services.start_soon(supervise, "console", console.live.run, log)
        if systemd.watchdog_s is not None:
            own_url = _own_url(urls["listening"])
            feed = partial(feed_watchdog, own_url, systemd.watchdog_s, systemd.send)
            services.start_soon(supervise, "watchdog", feed, log)
        tune_garbage_collector(settings.tuning_off)
        reload.begin(tuple(listeners.values()))
        opened = {name: found for name, found in urls.items() if found}
        log.info("ready", **opened, control=str(settings.control.socket_path))
        await stop.wait()
        systemd.send("STOPPING=1", "STATUS=stopping")
        if console is not None:
            console.live.stopping.set()
        for listener_drained in drained.values():
            await listener_drained.wait()
        services.cancel_scope.cancel()


async def _listen(
    name: str,
    listener: HttpServer,
    stop: trio.Event,
    drained: trio.Event,
    log: EventLogger,
    *,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """Run a listener until `stop` is set, and set `drained` when its last request is answered."""
    try:
        await listener.run(stop, task_status=task_status)
    except* ListenError as group:
        if name != "metrics":  # monitoring must not take the API down
            raise
        for error in group.exceptions:
            log.error("metrics_listener_failed", reason=str(error))
        task_status.started([])
    finally:
        drained.set()


def _services(
    features: Features,
    poller: Poller,
    call_front_ends: Callable[[], Awaitable[None]],
    systemd: SystemdNotifier,
) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
    """Return the services that do not depend on recordings."""
    hooks = make_hooks(features.fleet)
    usage, reports = features.usage, features.analytics_files
    prune_reports = partial(prune_reports_forever, features.callbacks, reports)
    return (
        ("poller", partial(poller.run, features.servers)),
        ("sweeper", partial(sweep_forever, features.servers)),
        ("maintenance", Maintenance(features.servers).run),
        ("versions", partial(watch_versions_forever, features.servers)),
        ("audit", features.audit.run),
        ("memory", trim_memory_forever),
        ("loop_lag", partial(watch_loop, features.metrics.loop_lag, features.metrics.loop_pause)),
        ("ended_meetings", partial(notify_ended_forever, features.callbacks)),
        ("callbacks", call_front_ends),
        ("status", partial(report_status, partial(describe_status, features), systemd.send)),
        ("analytics_retention", prune_reports),
        *([("usage", partial(write_usage_forever, usage))] if usage is not None else []),
        *([("autoscaler", partial(autoscale_forever, features.fleet, hooks))] if hooks else []),
    )


def _recording_services(
    features: Features, admin: RecordingAdmin, log: EventLogger
) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
    watcher = make_spool_watcher(features.settings.recordings, admin.importer, log)
    return (
        ("spool_watcher", watcher.run),
        ("retention", partial(run_retention_forever, features.recordings)),
        ("unfinished_changes", partial(finish_changes_forever, features.recordings)),
        ("recording_sizes", partial(measure_recordings_forever, features.recordings)),
        *_object_services(features.recordings.work),
    )


def _object_services(
    work: ObjectWork | None,
) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
    if work is None:
        return ()
    return (("object_work", work.work_forever), ("object_sweeper", work.sweep_forever))


def _listeners(
    features: Features, console: Console | None, log: EventLogger
) -> dict[str, HttpServer]:
    """Return the listeners by their field in the `ready` log line; all but the first optional."""
    web, tuned = features.settings.web, "connections" not in features.settings.tuning_off
    clients = web.max_connections or math.inf
    metrics = make_metrics_app(features.exposition)
    own = features.settings.console.binds
    shared = None if own else console
    asked = (
        ("listening", PublicApp(features, console=shared), web.binds, clients),
        *((("console", make_console_app(console), own, _FEW_CLIENTS * 16),) if console else ()),
        ("dialplan", DialplanApp(features.dialin), features.settings.fsapi.binds, _FEW_CLIENTS),
        ("metrics", metrics, features.settings.metrics.binds, _FEW_CLIENTS),
    )
    return {
        name: HttpServer(
            app,
            replace(web, binds=binds),
            log,
            max_connections=maximum,
            tuned=tuned,
            refuse_large_head=refuse_large_head,
        )
        for name, app, binds, maximum in asked
        if binds
    }


def _own_url(urls: list[str]) -> str | None:
    """Return the URL of a listener of this process that accepts TCP, None if there is none."""
    for url in urls:
        if not url.startswith("http+unix") and "unix:" not in url:
            return url.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    return None
