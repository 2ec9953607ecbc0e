"""Builds the dependencies of each feature from settings and open connections."""

from __future__ import annotations

import random
import secrets
import string
from dataclasses import dataclass, field

from appliance.audit.store import AuditTable, WaitingEntries
from appliance.audit.trail import AuditTrail
from appliance.bbb.checksum_errors import ChecksumErrors
from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.callbacks.client import OutboundClient
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.ended_store import EndedStore
from appliance.callbacks.handback import Handback
from appliance.callbacks.hook_cache import HookCache
from appliance.callbacks.hook_store import HookStore
from appliance.callbacks.queue import CallbackQueue
from appliance.callbacks.sender import CallbackSender
from appliance.dialin.deps import DialInDeps
from appliance.dialin.store import VoiceBridges
from appliance.doctor.deps import DoctorDeps, Probes
from appliance.fault_log import FaultLog
from appliance.features import Features
from appliance.fleet.deps import FleetDeps
from appliance.fleet.forecast import PastWeeks
from appliance.fleet.store import FleetStore
from appliance.http.page_texts import load_page_texts
from appliance.log import EventLogger
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.join_pages import JoinPages
from appliance.meetings.store import MeetingStore
from appliance.metrics.deps import MetricsDeps
from appliance.model import PlacementRules
from appliance.pool.deps import PoolDeps
from appliance.pool.records import PoolRecords
from appliance.pool.retired import RetiredServers
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.jobs import RecordingJobs
from appliance.servers.deps import ServerDeps
from appliance.servers.poller import Poller
from appliance.servers.remembered import RememberedServers
from appliance.servers.store import ServerStore
from appliance.servers.versions.shares import VersionShares
from appliance.settings import Settings
from appliance.system.state_secrets import load_secret_key_base
from appliance.system.tasks import Background
from appliance.takeover.deps import TakeoverDeps
from appliance.tenants.admin_store import TenantStore
from appliance.tenants.cache import TenantCache
from appliance.tenants.deps import TenantDeps
from appliance.tenants.limits import LimitStore
from appliance.tenants.lrs import LrsPayloads
from appliance.tenants.store import TenantLookup
from appliance.tenants.token_client import TokenClient
from appliance.tokens.deps import TokenDeps
from appliance.tokens.store import TokenStore
from appliance.usage.deps import UsageDeps
from appliance.usage.store import UsageStore
from appliance.usage.table import UsageTable
from appliance.wiring.connections import Connections, now_ms, placement_rules
from appliance.wiring.probes import make_probes
from appliance.wiring.recordings import make_recording_deps
from appliance.wiring.takeover import make_takeover_sources


@dataclass(frozen=True, slots=True)
class Tasks:
    """The long-running tasks that use cases pass work to."""

    background: Background
    poller: Poller
    sender: CallbackSender
    recording_jobs: RecordingJobs


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts that the dependencies of all features are built from."""

    settings: Settings
    log: EventLogger
    faults: FaultLog
    connections: Connections
    tasks: Tasks
    secret_key_base: str = field(repr=False)

    @property
    def rules(self) -> PlacementRules:
        return placement_rules(self.settings)


END_REACH_MARGIN_MS = 40_000
"""How much later than any call may take an `end` may still take effect at a server that hung."""


def make_features(
    settings: Settings, connections: Connections, tasks: Tasks, log: EventLogger
) -> Features:
    """Return the dependencies of every feature."""
    redis, database, metrics = connections.redis, connections.database, connections.metrics
    key_base = settings.secret_key_base or load_secret_key_base(settings.stores.state_dir)
    faults = FaultLog(log, now_ms)
    parts = _Parts(settings, log, faults, connections, tasks, key_base)
    end_reach_ms = settings.meetings.creating_limit_ms + END_REACH_MARGIN_MS
    retired = RetiredServers(redis.background, settings.registry.retired_ms)
    pool = PoolDeps(PoolRecords(redis), retired, connections.bbb, log, now_ms, end_reach_ms)
    tenants = _make_tenants(parts)
    reports = AnalyticsFiles(settings.stores.state_dir)
    callbacks = _make_callbacks(parts, pool, tenants, reports)
    recordings = make_recording_deps(
        *(callbacks, database, redis.foreground, tasks.recording_jobs, metrics, connections.http)
    )
    audit = _make_audit(parts)
    servers = _make_servers(parts, callbacks, _make_usage(parts, pool, tenants), audit)
    fleet = _make_fleet(parts, servers)
    probes = make_probes(redis, database, connections.http, connections.bbb, now_ms)
    checksum_errors = ChecksumErrors(metrics.checksum_errors, log, now_ms)
    return Features(
        settings=settings,
        log=log,
        faults=faults,
        now_ms=now_ms,
        metrics=metrics,
        redis=redis,
        audit=audit,
        pool=pool,
        tenants=tenants,
        tokens=_make_tokens(parts, tenants),
        callbacks=callbacks,
        recordings=recordings,
        servers=servers,
        usage=servers.usage,
        fleet=fleet,
        meetings=_make_meetings(parts, servers, tenants),
        dialin=DialInDeps(settings, log, faults, now_ms, VoiceBridges(redis.foreground), metrics),
        doctor=DoctorDeps(
            *(settings, log, now_ms, servers, callbacks, tenants, recordings, checksum_errors),
            *(fleet, probes),
        ),
        takeover=_make_takeover(parts, servers, recordings, probes),
        exposition=_make_exposition(parts, servers, recordings, fleet),
        checksum_errors=checksum_errors,
        events=connections.events,
        analytics_files=reports,
    )


def _make_tenants(parts: _Parts) -> TenantDeps:
    redis, connect_s = parts.connections.redis, parts.settings.servers.connect_timeout_s
    return TenantDeps(
        settings=parts.settings,
        log=parts.log,
        store=TenantStore(redis.background),
        cache=TenantCache(TenantLookup(redis.foreground), now_ms),
        limits=LimitStore(redis.background),
        now_ms=now_ms,
        lrs=LrsPayloads(
            TokenClient(parts.connections.http, connect_s),
            parts.faults,
            deadline_s=connect_s,
            random_bytes=secrets.token_bytes,
        ),
    )


def _make_tokens(parts: _Parts, tenants: TenantDeps) -> TokenDeps:
    store = TokenStore(parts.connections.redis.foreground)
    return TokenDeps(parts.settings, parts.log, now_ms, tenants, store, secrets.token_bytes)


def _make_audit(parts: _Parts) -> AuditTrail:
    database = parts.connections.database
    return AuditTrail(
        WaitingEntries(parts.connections.redis.background),
        None if database is None else AuditTable(database),
        *(parts.log, parts.faults, now_ms),
        retention_days=parts.settings.admin.audit_retention_days,
    )


def _make_callbacks(
    parts: _Parts, pool: PoolDeps, tenants: TenantDeps, reports: AnalyticsFiles
) -> CallbackDeps:
    settings, redis = parts.settings, parts.connections.redis
    opened = parts.connections.callbacks
    hooks = HookStore(redis.background)
    return CallbackDeps(
        settings=settings,
        log=parts.log,
        faults=parts.faults,
        now_ms=now_ms,
        later=parts.tasks.background.later,
        pool=pool,
        tenants=tenants,
        queue=CallbackQueue(opened.stores, parts.tasks.sender.wake, parts.log),
        urls=opened.urls,
        ended=EndedStore(redis),
        handback=Handback(redis.background),
        hooks=hooks,
        hook_cache=HookCache(hooks, multitenancy=settings.api.multitenancy),
        analytics_files=reports if settings.analytics_store else None,
        secret_key_base=parts.secret_key_base,
    )


def _make_usage(parts: _Parts, pool: PoolDeps, tenants: TenantDeps) -> UsageDeps | None:
    database = parts.connections.database
    if database is None:
        return None
    return UsageDeps(
        settings=parts.settings,
        log=parts.log,
        faults=parts.faults,
        now_ms=now_ms,
        pool=pool,
        tenants=tenants,
        store=UsageStore(parts.connections.redis.background),
        table=UsageTable(database),
        instance=secrets.token_hex(8),
    )


def _make_servers(
    parts: _Parts, callbacks: CallbackDeps, usage: UsageDeps | None, audit: AuditTrail
) -> ServerDeps:
    return ServerDeps(
        settings=parts.settings,
        log=parts.log,
        faults=parts.faults,
        now_ms=now_ms,
        later=parts.tasks.background.later,
        pool=callbacks.pool,
        store=ServerStore(parts.connections.redis, parts.rules, parts.settings.registry),
        remembered=RememberedServers(parts.settings.stores.state_dir, parts.log, parts.faults),
        callbacks=callbacks,
        metrics=parts.connections.metrics,
        poll_soon=parts.tasks.poller.poll_soon,
        random=random.random,
        instance=secrets.token_hex(8),
        shares=VersionShares(parts.connections.redis.background),
        audit=audit,
        usage=usage,
    )


def _make_meetings(parts: _Parts, servers: ServerDeps, tenants: TenantDeps) -> MeetingDeps:
    return MeetingDeps(
        settings=parts.settings,
        log=parts.log,
        faults=parts.faults,
        now_ms=now_ms,
        later=parts.tasks.background.later,
        pool=servers.pool,
        store=MeetingStore(parts.connections.redis, parts.rules),
        servers=servers,
        tenants=tenants,
        callbacks=servers.callbacks,
        metrics=parts.connections.metrics,
        random=random.random,
        new_password=_new_password,
        join_pages=JoinPages(load_page_texts(parts.log), parts.settings.locale),
        secret_key_base=parts.secret_key_base,
    )


def _make_fleet(parts: _Parts, servers: ServerDeps) -> FleetDeps:
    settings, connections = parts.settings, parts.connections
    timeouts = settings.servers
    return FleetDeps(
        settings=settings,
        log=parts.log,
        faults=parts.faults,
        now_ms=now_ms,
        pool=servers.pool,
        store=FleetStore(connections.redis.background),
        past=PastWeeks(connections.database, settings.fleet.time_zone, parts.faults),
        client=OutboundClient(
            connections.http,
            connect_timeout_s=timeouts.connect_timeout_s,
            response_timeout_s=timeouts.response_timeout_s,
        ),
        instance=secrets.token_hex(8),
        usage=servers.usage,
    )


def _make_exposition(
    parts: _Parts, servers: ServerDeps, recordings: RecordingDeps, fleet: FleetDeps
) -> MetricsDeps:
    return MetricsDeps(
        parts.settings,
        parts.log,
        parts.faults,
        now_ms,
        parts.connections.metrics,
        servers.pool,
        servers.callbacks,
        recordings,
        fleet,
        servers.usage,
    )


def _make_takeover(
    parts: _Parts, servers: ServerDeps, recordings: RecordingDeps, probes: Probes
) -> TakeoverDeps:
    redis, database = parts.connections.redis, parts.connections.database
    return TakeoverDeps(
        settings=parts.settings,
        log=parts.log,
        now_ms=now_ms,
        later=parts.tasks.background.later,
        servers=servers,
        recordings=recordings,
        sources=make_takeover_sources(parts.settings, redis, database, probes),
    )


def _new_password() -> str:
    """Return 8 letters and digits, each as likely as any other, for a single system call."""
    found = b""
    while len(found) < 8:
        found += secrets.token_bytes(12).translate(_LETTERS, delete=_SURPLUS)
    return found[:8].decode("ascii")


_ALPHABET = (string.ascii_letters + string.digits).encode()
_LETTERS = bytes(_ALPHABET[byte % 62] for byte in range(256))
_SURPLUS = bytes(range(248, 256))
"""Bytes beyond the last multiple of 62."""
