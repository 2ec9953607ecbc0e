"""Puts together what each feature is given, of settings and open connections. Composition only."""

from __future__ import annotations

import random
import secrets
import string
from dataclasses import dataclass

from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.ended_store import EndedStore
from appliance.callbacks.hook_cache import HookCache
from appliance.callbacks.hook_store import HookStore
from appliance.callbacks.queue import CallbackQueue
from appliance.callbacks.sender import CallbackSender
from appliance.dialin.deps import DialInDeps
from appliance.dialin.store import VoiceBridges
from appliance.doctor.deps import DoctorDeps
from appliance.fault_log import FaultLog
from appliance.features import Features
from appliance.log import EventLogger
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.store import MeetingStore
from appliance.metrics.deps import MetricsDeps
from appliance.pool.deps import PoolDeps
from appliance.pool.records import PoolRecords
from appliance.recordings.manual_imports import ManualImports
from appliance.servers.deps import ServerDeps
from appliance.servers.poller import Poller
from appliance.servers.store import ServerStore
from appliance.settings import Settings
from appliance.system.state_secrets import load_secret_key_base
from appliance.system.tasks import Background
from appliance.takeover.deps import TakeoverDeps
from appliance.tenants.admin_store import TenantStore
from appliance.tenants.cache import TenantCache
from appliance.tenants.deps import TenantDeps
from appliance.tenants.lrs import LrsPayloads
from appliance.tenants.store import TenantLookup
from appliance.tenants.token_client import TokenClient
from appliance.wiring.connections import Connections, now_ms, placement_rules
from appliance.wiring.probes import make_probes
from appliance.wiring.recordings import make_recording_deps, make_takeover_sources


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks that use cases hand work to."""

    background: Background
    poller: Poller
    sender: CallbackSender
    manual_imports: ManualImports


def make_features(
    settings: Settings, connections: Connections, tasks: Tasks, log: EventLogger
) -> Features:
    """Return every feature with what it is given."""
    redis, metrics = connections.redis, connections.metrics
    faults, later = FaultLog(log, now_ms), tasks.background.later
    key_base = settings.secret_key_base or load_secret_key_base(settings.stores.state_dir)
    rules = placement_rules(settings)
    pool = PoolDeps(PoolRecords(redis), connections.bbb, log, now_ms)
    tenants = _make_tenants(settings, connections, faults, log)
    hooks = HookStore(redis.background)
    callbacks = CallbackDeps(
        settings=settings,
        log=log,
        faults=faults,
        now_ms=now_ms,
        later=later,
        pool=pool,
        tenants=tenants,
        queue=CallbackQueue(connections.callbacks.stores, tasks.sender.wake, log),
        urls=connections.callbacks.urls,
        ended=EndedStore(redis),
        hooks=hooks,
        hook_cache=HookCache(hooks, multitenancy=settings.api.multitenancy),
        analytics_files=(
            AnalyticsFiles(settings.stores.state_dir) if settings.analytics_store else None
        ),
        secret_key_base=key_base,
    )
    recordings = make_recording_deps(
        callbacks, connections.database, redis.foreground, tasks.manual_imports, metrics
    )
    servers = ServerDeps(
        settings=settings,
        log=log,
        faults=faults,
        now_ms=now_ms,
        later=later,
        pool=pool,
        store=ServerStore(redis, rules),
        callbacks=callbacks,
        metrics=metrics,
        poll_soon=tasks.poller.poll_soon,
        instance=secrets.token_hex(8),
    )
    meetings = MeetingDeps(
        settings=settings,
        log=log,
        faults=faults,
        now_ms=now_ms,
        later=later,
        pool=pool,
        store=MeetingStore(redis, rules),
        servers=servers,
        tenants=tenants,
        callbacks=callbacks,
        metrics=metrics,
        random=random.random,
        new_password=_new_password,
        secret_key_base=key_base,
    )
    probes = make_probes(redis, connections.database, connections.http, connections.bbb, now_ms)
    return Features(
        settings=settings,
        log=log,
        faults=faults,
        now_ms=now_ms,
        metrics=metrics,
        redis=redis,
        pool=pool,
        tenants=tenants,
        callbacks=callbacks,
        recordings=recordings,
        servers=servers,
        meetings=meetings,
        dialin=DialInDeps(settings, log, faults, now_ms, VoiceBridges(redis.foreground), metrics),
        doctor=DoctorDeps(settings, log, now_ms, servers, callbacks, tenants, recordings, probes),
        takeover=TakeoverDeps(
            settings=settings,
            log=log,
            now_ms=now_ms,
            later=later,
            servers=servers,
            recordings=recordings,
            sources=make_takeover_sources(settings, redis, connections.database, probes),
        ),
        exposition=MetricsDeps(settings, log, faults, now_ms, metrics, pool, callbacks, recordings),
    )


def _make_tenants(
    settings: Settings, connections: Connections, faults: FaultLog, log: EventLogger
) -> TenantDeps:
    redis, connect_s = connections.redis, settings.servers.connect_timeout_s
    return TenantDeps(
        settings=settings,
        log=log,
        store=TenantStore(redis.background),
        cache=TenantCache(TenantLookup(redis.foreground), now_ms),
        lrs=LrsPayloads(
            TokenClient(connections.http, connect_s),
            faults,
            deadline_s=connect_s,
            random_bytes=secrets.token_bytes,
        ),
    )


def _new_password() -> str:
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(8))
