"""The whole system at a glance: opens the adapters, starts every service, stops them in order.

Composition only: no rule, no protocol. The children of the inner nursery are the services; what
they stand on (embedded stores, connections) is opened around them and closed after them.
"""

from __future__ import annotations

import os
import random
import secrets
import string
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from appliance.adapters.analytics_files import AnalyticsFiles
from appliance.adapters.asyncio_bridge import open_asyncio_loop
from appliance.adapters.bbb_client import BbbClient
from appliance.adapters.callback_adapters import CallbackAdapters, open_callback_adapters
from appliance.adapters.caption_files import CaptionFiles
from appliance.adapters.change_notes import ChangeNotes
from appliance.adapters.embedded import open_embedded_stores
from appliance.adapters.embedded_state import EmbeddedStoresError
from appliance.adapters.http_dial import open_ssl_context
from appliance.adapters.http_pool import PoolTransport
from appliance.adapters.import_journal import ImportJournal
from appliance.adapters.locale_files import load_error_texts
from appliance.adapters.postgres_store import PostgresStore, open_postgres_store
from appliance.adapters.recording_files import RecordingFiles
from appliance.adapters.recording_store import RecordingStore
from appliance.adapters.redis_client import RedisAddress
from appliance.adapters.redis_ended import RedisEndedMeetings
from appliance.adapters.redis_hooks import RedisHooks
from appliance.adapters.redis_store import RedisStore, open_redis_store
from appliance.adapters.redis_tenants import RedisTenants
from appliance.adapters.redis_tokens import RedisTokens
from appliance.adapters.served_files import ServedFiles
from appliance.adapters.spool import Spool
from appliance.adapters.state_secrets import StateSecretError, load_secret_key_base
from appliance.adapters.systemd import SystemdNotifier
from appliance.adapters.token_client import TokenClient
from appliance.core.model import PlacementRules
from appliance.doctor_wiring import make_probes
from appliance.log import EventLogger, get_logger
from appliance.operations.callbacks import Callbacks, make_callback_tools
from appliance.operations.fault_log import FaultLog
from appliance.operations.hook_book import HookBook
from appliance.operations.lrs import LrsPayloads
from appliance.operations.metrics import Metrics
from appliance.operations.recording_admin_ports import RecordingDesk
from appliance.operations.resources import Resources
from appliance.operations.tenants import TenantCache
from appliance.recording_wiring import (
    make_recording_desk,
    make_spool_watcher,
    make_takeover_sources,
)
from appliance.settings import Settings, StoreSettings
from appliance.tasks.background import Background
from appliance.tasks.callback_sender import CallbackSender
from appliance.tasks.control_server import ControlSocketError, serve_control
from appliance.tasks.ended_meetings import tell_ended_forever
from appliance.tasks.hand_imports import HandImports
from appliance.tasks.http_server import ListenError, PublicServer
from appliance.tasks.loop_lag import measure_loop_lag
from appliance.tasks.poller import Poller
from appliance.tasks.process import raise_file_limit, tune_allocator, tune_garbage_collector
from appliance.tasks.retention import keep_retention
from appliance.tasks.signals import watch_signals
from appliance.tasks.store_wait import wait_for_redis
from appliance.tasks.supervise import supervise
from appliance.tasks.sweeper import sweep_forever
from appliance.tasks.unfinished_changes import finish_changes_forever
from appliance.tasks.watchdog import feed_watchdog, report_status
from appliance.web.admin_routes import make_control_app
from appliance.web.app import MAX_TARGET_BYTES, PublicApp
from appliance.web.dialplan_routes import DialplanApp
from appliance.web.metrics_routes import MetricsApp

START_ERRORS = (ListenError, ControlSocketError, EmbeddedStoresError, StateSecretError)
"""What an operator must mend before the appliance can run; their texts say how."""


@dataclass(frozen=True, slots=True)
class _Outside:
    """The adapters: everything that reaches out of the process."""

    store: RedisStore
    recordings: PostgresStore | None
    """None: DB_DISABLED or RECORDING_DISABLED."""
    bbb: BbbClient
    metrics: Metrics
    callbacks: CallbackAdapters
    http: PoolTransport


async def run(settings: Settings) -> None:
    """Run the appliance until SIGTERM or SIGINT.

    Raises START_ERRORS, in exception groups.
    """
    log = get_logger("appliance")
    systemd = SystemdNotifier(os.environ)
    stop = trio.Event()
    raise_file_limit()
    tune_allocator(settings.tuning_off)
    reload = _Reload(systemd)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_signals, stop, nursery.cancel_scope.cancel, reload.run, log)
        async with _open_outside(settings, log) as outside:
            connections = (outside.store.client, outside.store.bulk)
            if await wait_for_redis(connections, stop, systemd.send, log):
                await _serve(settings, outside, stop, reload, systemd, log)
            else:
                systemd.send("STOPPING=1")
        nursery.cancel_scope.cancel()
    log.info("stopped")


class _Reload:
    """What SIGHUP does, once there is something to reload."""

    def __init__(self, systemd: SystemdNotifier) -> None:
        self._systemd = systemd
        self._listeners: tuple[PublicServer, ...] = ()

    def begin(self, listeners: tuple[PublicServer, ...]) -> None:
        """Tell systemd that the appliance is ready, for reloads too."""
        self._listeners = listeners
        self._systemd.send("READY=1")

    def run(self) -> None:
        """Reread the TLS files, and tell systemd, which waits, when that is done."""
        if not self._listeners:
            return  # not ready yet, and must not say that it is
        self._systemd.send_reloading()
        for listener in self._listeners:
            listener.reload_certificate()
        self._systemd.send("READY=1")


@asynccontextmanager
async def _open_outside(settings: Settings, log: EventLogger) -> AsyncIterator[_Outside]:
    """Open the embedded stores (outermost, so that they stop last) and every connection."""
    stores, servers, metrics = settings.stores, settings.servers, Metrics()
    async with (
        open_embedded_stores(
            stores.state_dir,
            redis=stores.redis_embedded,
            postgres=stores.database_embedded,
            log=log,
        ) as embedded,
        open_asyncio_loop(tuned="asyncio-loop" not in settings.tuning_off, log=log),
        open_redis_store(
            _redis_address(stores, embedded.redis_url),
            namespace=stores.redis_namespace,
            rules=_placement_rules(settings),
            log=log,
            latency=metrics.stores,
        ) as store,
        _open_recordings(stores, embedded.database_url, metrics, log) as recordings,
        aclosing(PoolTransport(open_ssl_context(_path(servers.ca_file)))) as pool,
    ):
        bbb = BbbClient(
            pool,
            connect_timeout_s=servers.connect_timeout_s,
            response_timeout_s=servers.response_timeout_s,
            response_max_bytes=servers.response_max_bytes,
            send_algorithm=servers.send_algorithm,
        )
        async with open_callback_adapters(settings, store, recordings, _now_ms, log) as callbacks:
            yield _Outside(store, recordings, bbb, metrics, callbacks, pool)


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _redis_address(stores: StoreSettings, embedded_url: str | None) -> RedisAddress:
    return RedisAddress(
        stores.redis_url or embedded_url or "redis://",
        stores.redis_sentinels,
        stores.redis_sentinel_master,
    )


def _placement_rules(settings: Settings) -> PlacementRules:
    return PlacementRules(
        min_user_count=settings.load.min_user_count,
        join_buffer_ms=settings.load.join_buffer_ms,
        forecast=settings.load.forecast,
        ttl_s=settings.meetings.ttl_s,
        creating_ms=settings.meetings.creating_limit_ms,
    )


@asynccontextmanager
async def _open_recordings(
    stores: StoreSettings, embedded_url: str | None, metrics: Metrics, log: EventLogger
) -> AsyncIterator[PostgresStore | None]:
    url = stores.database_url or embedded_url
    if stores.database_disabled or url is None:
        yield None
        return
    async with open_postgres_store(
        url,
        prepared_statements=stores.prepared_statements,
        retry_count=stores.database_retry_count,
        log=log,
        latency=metrics.stores,
    ) as recordings:
        yield recordings


async def _serve(
    settings: Settings,
    outside: _Outside,
    stop: trio.Event,
    reload: _Reload,
    systemd: SystemdNotifier,
    log: EventLogger,
) -> None:
    """Start every service, be ready, and stop them in order when `stop` is set."""
    background, poller, hand_imports = Background(log), Poller(), HandImports(log)
    sender = _callback_sender(outside.callbacks, log)
    res = _resources(settings, outside, background, poller, sender, log)
    res = replace(
        res,
        desk=_recording_desk(settings, outside, sender, hand_imports, log),
        takeover=make_takeover_sources(settings, outside.store, outside.recordings, res.probes),
    )
    listeners = _listeners(res, log)
    drained = {name: trio.Event() for name in listeners}

    async def listen(name: str, *, task_status: trio.TaskStatus[list[str]]) -> None:
        await listeners[name].run(stop, task_status=task_status)
        drained[name].set()

    async with trio.open_nursery() as services:
        await services.start(background.run)
        urls = {name: await services.start(listen, name) for name in listeners}
        await services.start(serve_control, make_control_app(res), settings.control, log)
        call_front_ends = partial(sender.run, make_callback_tools(res, outside.callbacks.client))
        for name, service in _services(res, poller, call_front_ends, systemd):
            services.start_soon(supervise, name, service, log)
        if res.desk is not None:
            await services.start(hand_imports.run)
            watcher = make_spool_watcher(settings.recordings, res.desk.importer, log)
            services.start_soon(supervise, "spool_watcher", watcher.run, log)
            for name, service in _recording_services(res):
                services.start_soon(supervise, name, service, log)
        if systemd.watchdog_s is not None:
            own_url = _own_url(urls["listening"])
            feed = partial(feed_watchdog, own_url, systemd.watchdog_s, systemd.send)
            services.start_soon(supervise, "watchdog", feed, log)
        tune_garbage_collector(settings.tuning_off)
        reload.begin(tuple(listeners.values()))
        log.info("ready", **urls, control=str(settings.control.socket_path))
        await stop.wait()
        systemd.send("STOPPING=1", "STATUS=stopping")
        for listener_drained in drained.values():
            await listener_drained.wait()
        services.cancel_scope.cancel()


def _services(
    res: Resources,
    poller: Poller,
    call_front_ends: Callable[[], Awaitable[None]],
    systemd: SystemdNotifier,
) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
    """Return the services that are always there."""
    return (
        ("poller", partial(poller.run, res)),
        ("sweeper", partial(sweep_forever, res)),
        ("loop_lag", partial(measure_loop_lag, res.metrics.loop_lag)),
        ("ended_meetings", partial(tell_ended_forever, res)),
        ("callbacks", call_front_ends),
        ("status", partial(report_status, res, systemd.send)),
    )


def _recording_services(res: Resources) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
    return (
        ("retention", partial(keep_retention, res)),
        ("unfinished_changes", partial(finish_changes_forever, res)),
    )


def _listeners(res: Resources, log: EventLogger) -> dict[str, PublicServer]:
    """Return the listeners by what `ready` calls them; all but the first only if they are set."""
    web, tuned = res.settings.web, "connections" not in res.settings.tuning_off
    asked = (
        ("listening", PublicApp(res), web.binds),
        ("dialplan", DialplanApp(res), res.settings.fsapi.binds),
        ("metrics", MetricsApp(res), res.settings.metrics.binds),
    )
    return {
        name: PublicServer(
            app, replace(web, binds=binds), log, max_target_bytes=MAX_TARGET_BYTES, tuned=tuned
        )
        for name, app, binds in asked
        if binds
    }


def _resources(
    settings: Settings,
    outside: _Outside,
    background: Background,
    poller: Poller,
    sender: CallbackSender,
    log: EventLogger,
) -> Resources:
    store, hooks = outside.store, RedisHooks(outside.store)
    state_dir = settings.stores.state_dir
    faults, connect_s = FaultLog(log, _now_ms), settings.servers.connect_timeout_s
    issuer = TokenClient(outside.http, connect_s)
    return Resources(
        settings=settings,
        store=store,
        bbb=outside.bbb,
        tenants=TenantCache(store, _now_ms),
        tenant_store=RedisTenants(store.bulk, store.namespace, store.scripts),
        faults=faults,
        lrs=LrsPayloads(issuer, faults, deadline_s=connect_s, random_bytes=secrets.token_bytes),
        log=log,
        now_ms=_now_ms,
        tie=random.random,
        new_password=_new_password,
        later=background.later,
        poll_soon=poller.poll_soon,
        instance=secrets.token_hex(8),
        callbacks=Callbacks(outside.callbacks.stores, sender.wake, log),
        callback_urls=outside.callbacks.urls,
        ended=RedisEndedMeetings(store),
        hooks=hooks,
        analytics_files=AnalyticsFiles(state_dir) if settings.analytics_store else None,
        hook_book=HookBook(hooks, multitenancy=settings.api.multitenancy),
        recordings=None if outside.recordings is None else RecordingStore(outside.recordings),
        files=RecordingFiles(settings.recordings),
        change_notes=ChangeNotes(settings.recordings),
        uploads=None if outside.recordings is None else Spool(settings.recordings),
        waiting=None if outside.recordings is None else Spool(settings.recordings),
        captions=CaptionFiles(),
        tokens=RedisTokens(
            store.client,
            settings.stores.redis_namespace,
            settings.protected.token_timeout_s,
        ),
        served=ServedFiles(settings.recordings),
        metrics=outside.metrics,
        probes=make_probes(store, outside.recordings, outside.http, outside.bbb, _now_ms),
        secret_key_base=settings.secret_key_base or load_secret_key_base(state_dir),
        error_texts=load_error_texts(settings.locale, log),
    )


def _callback_sender(callbacks: CallbackAdapters, log: EventLogger) -> CallbackSender:
    return CallbackSender(callbacks.stores, callbacks.urls, secrets.token_hex(8), log)


def _recording_desk(
    settings: Settings,
    outside: _Outside,
    sender: CallbackSender,
    hand_imports: HandImports,
    log: EventLogger,
) -> RecordingDesk | None:
    if outside.recordings is None:
        return None
    urls = outside.callbacks.urls
    journal = ImportJournal(outside.recordings, log, urls=urls, wake=sender.wake)
    return make_recording_desk(
        settings, outside.recordings, journal, hand_imports, outside.metrics, log
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _new_password() -> str:
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(8))


def _own_url(urls: list[str]) -> str | None:
    """Return a URL of our own listener that can be asked over TCP."""
    for url in urls:
        if not url.startswith("http+unix") and "unix:" not in url:
            return url.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    return None
