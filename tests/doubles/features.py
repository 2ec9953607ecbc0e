"""Resources for tests: the real store on a real Redis, the real client, settings as one likes.

The clock and the dice are real too; what would be the supervisor's background nursery is one that
is cancelled at the end.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import fields, replace
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import trio

from appliance.audit.store import WaitingEntries
from appliance.audit.trail import AuditTrail
from appliance.bbb.checksum_errors import ChecksumErrors
from appliance.bbb.client import BbbClient
from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.callbacks.client import OutboundClient
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.ended_store import EndedStore
from appliance.callbacks.handback import Handback
from appliance.callbacks.hook_cache import HookCache
from appliance.callbacks.hook_store import HookStore
from appliance.callbacks.queue import CallbackQueue
from appliance.callbacks.redis_queue import RedisQueue
from appliance.callbacks.url_store import CallbackUrls
from appliance.dialin.deps import DialInDeps
from appliance.dialin.store import VoiceBridges
from appliance.doctor.deps import DoctorDeps
from appliance.events.journal import EventJournal
from appliance.fault_log import FaultLog
from appliance.faults import StoreDown
from appliance.features import Features
from appliance.fleet.deps import FleetDeps
from appliance.fleet.forecast import PastWeeks
from appliance.fleet.store import FleetStore
from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from appliance.http.page_texts import load_page_texts
from appliance.instruments import Metrics
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.join_pages import JoinPages
from appliance.meetings.store import MeetingStore
from appliance.metrics.deps import MetricsDeps
from appliance.model import PlacementRules
from appliance.pool.deps import PoolDeps
from appliance.pool.records import PoolRecords
from appliance.pool.retired import RetiredServers
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.player.source import PlayerSource
from appliance.recordings.uploads.refused import RefusedUploads
from appliance.redis.client import RedisAddress
from appliance.redis.scripts import load_scripts
from appliance.redis.store import RedisStores, open_redis_stores
from appliance.servers.deps import ServerDeps
from appliance.servers.remembered import RememberedServers
from appliance.servers.store import ServerStore
from appliance.servers.versions.shares import VersionShares
from appliance.settings import Settings
from appliance.takeover.deps import TakeoverDeps
from appliance.tenants.admin_store import TenantStore
from appliance.tenants.cache import TenantCache
from appliance.tenants.deps import TenantDeps
from appliance.tenants.limits import LimitStore
from appliance.tenants.store import TenantLookup
from appliance.tokens.deps import TokenDeps
from appliance.tokens.store import TokenStore
from appliance.wiring.probes import make_probes
from appliance.wiring.takeover import make_takeover_sources
from tests.doubles.settings import settings_of

CONNECT_S = 40.0


class EventBook:
    """A logger that keeps the events with their fields."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        """(level, event, fields), in order."""

    def debug(self, event: str, **fields: Any) -> None:
        """Keep a DEBUG event."""
        self.events.append(("debug", event, fields))

    def info(self, event: str, **fields: Any) -> None:
        """Keep an INFO event."""
        self.events.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Keep a WARNING event."""
        self.events.append(("warning", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        """Keep an ERROR event."""
        self.events.append(("error", event, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        """Return the fields of every event of this name, in order."""
        return [fields for _, name, fields in self.events if name == event]

    @property
    def errors(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what was logged at ERROR."""
        return [(name, fields) for level, name, fields in self.events if level == "error"]


# Once a process: together they take longer than most tests.
all_scripts = cache(load_scripts)
_ssl_context = cache(open_ssl_context)


@cache
def _page_texts() -> dict[str, dict[str, dict[str, str]]]:
    return load_page_texts(EventBook())


@asynccontextmanager
async def open_features(
    redis_url: str, namespace: str, *, log: EventBook | None = None, **variables: str
) -> AsyncIterator[Features]:
    """Give the features on a Redis; `variables` are those of the environment (POLL_INTERVAL="1").

    `log` keeps what is logged, a new EventBook by default (`features.log`).
    """
    book = log or EventBook()
    with TemporaryDirectory() as state_dir:
        settings = settings_of(**{"STATE_DIR": state_dir, **variables})
        async with _open_features(redis_url, namespace, settings, book) as features:
            yield features


@asynccontextmanager
async def _open_features(
    redis_url: str, namespace: str, settings: Settings, book: EventBook
) -> AsyncIterator[Features]:
    async with (
        open_redis_stores(
            RedisAddress(redis_url), namespace=namespace, scripts=all_scripts(), log=book
        ) as redis,
        aclosing(PoolTransport(_ssl_context())) as http,
        trio.open_nursery() as nursery,
    ):
        with trio.fail_after(CONNECT_S):
            await redis.foreground.client.wait_connected()
            await redis.background.client.wait_connected()
        servers = settings.servers
        bbb = BbbClient(
            http,
            connect_timeout_s=servers.connect_timeout_s,
            response_timeout_s=servers.response_timeout_s,
            response_max_bytes=servers.response_max_bytes,
            max_meetings=servers.max_meetings,
            send_algorithm=servers.send_algorithm,
        )

        async def run_later(function: Callable[..., Awaitable[Any]], *args: Any) -> None:
            try:
                await function(*args)
            except StoreDown as error:
                book.warning("later_without_store", reason=str(error))

        def later(function: Callable[..., Awaitable[Any]], *args: Any) -> None:
            nursery.start_soon(run_later, function, *args)

        yield make_test_features(settings, redis, bbb, http, book, later)
        nursery.cancel_scope.cancel()


def make_test_features(
    settings: Settings,
    redis: RedisStores,
    bbb: BbbClient,
    http: PoolTransport,
    book: EventBook,
    later: Callable[..., None],
) -> Features:
    """Put the features together as wiring/features.py does, without recordings."""
    rules, faults, metrics = rules_of(settings), FaultLog(book, now_ms), Metrics()
    retired = RetiredServers(redis.background, settings.registry.retired_ms)
    pool = PoolDeps(PoolRecords(redis), retired, bbb, book, now_ms)
    tenants = TenantDeps(
        settings,
        book,
        TenantStore(redis.background),
        TenantCache(TenantLookup(redis.foreground), now_ms),
        LimitStore(redis.background),
        now_ms,
    )
    hooks = HookStore(redis.background)
    callbacks = CallbackDeps(
        settings=settings,
        log=book,
        faults=faults,
        now_ms=now_ms,
        later=later,
        pool=pool,
        tenants=tenants,
        queue=CallbackQueue((RedisQueue(redis.background, now_ms),), lambda: None, book),
        urls=CallbackUrls(None, redis.background, book),
        ended=EndedStore(redis),
        handback=Handback(redis.background),
        hooks=hooks,
        hook_cache=HookCache(hooks, multitenancy=settings.api.multitenancy),
        secret_key_base="k" * 64,
    )
    recordings = RecordingDeps(
        settings=settings,
        log=book,
        faults=faults,
        now_ms=now_ms,
        later=later,
        pool=pool,
        tenants=tenants,
        callbacks=callbacks,
        refused=RefusedUploads(redis.foreground),
        player=PlayerSource(http, now_ms),
        secret_key_base="k" * 64,
    )
    audit = AuditTrail(
        WaitingEntries(redis.background),
        None,
        *(book, faults, now_ms),
        retention_days=settings.admin.audit_retention_days,
    )
    servers = ServerDeps(
        settings=settings,
        log=book,
        faults=faults,
        now_ms=now_ms,
        later=later,
        pool=pool,
        store=ServerStore(redis, rules, settings.registry),
        remembered=RememberedServers(settings.stores.state_dir, book, faults),
        callbacks=callbacks,
        metrics=metrics,
        poll_soon=lambda _server_id: None,
        random=random.random,
        instance=secrets.token_hex(8),
        shares=VersionShares(redis.background),
        audit=audit,
    )
    meetings = MeetingDeps(
        settings=settings,
        log=book,
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
        new_password=lambda: secrets.token_hex(4),
        join_pages=JoinPages(_page_texts(), settings.locale),
        secret_key_base="k" * 64,
    )
    fleet = FleetDeps(
        settings=settings,
        log=book,
        faults=faults,
        now_ms=now_ms,
        pool=pool,
        store=FleetStore(redis.background),
        past=PastWeeks(None, settings.fleet.time_zone, faults),
        client=OutboundClient(http, connect_timeout_s=5, response_timeout_s=10),
        instance=secrets.token_hex(8),
    )
    probes = make_probes(redis, None, http, bbb, now_ms)
    checksum_errors = ChecksumErrors(metrics.checksum_errors, book, now_ms)
    return Features(
        settings=settings,
        log=book,
        faults=faults,
        now_ms=now_ms,
        metrics=metrics,
        redis=redis,
        audit=audit,
        pool=pool,
        tenants=tenants,
        tokens=TokenDeps(
            settings, book, now_ms, tenants, TokenStore(redis.foreground), secrets.token_bytes
        ),
        callbacks=callbacks,
        recordings=recordings,
        servers=servers,
        fleet=fleet,
        meetings=meetings,
        dialin=DialInDeps(settings, book, faults, now_ms, VoiceBridges(redis.foreground), metrics),
        doctor=DoctorDeps(
            settings,
            book,
            now_ms,
            servers,
            callbacks,
            tenants,
            recordings,
            checksum_errors,
            fleet,
            probes,
        ),
        takeover=TakeoverDeps(
            settings=settings,
            log=book,
            now_ms=now_ms,
            later=later,
            servers=servers,
            recordings=recordings,
            sources=make_takeover_sources(settings, redis, None, probes),
        ),
        checksum_errors=checksum_errors,
        events=EventJournal(redis.background, now_ms, "test"),
        analytics_files=AnalyticsFiles(settings.stores.state_dir),
        exposition=MetricsDeps(
            settings, book, faults, now_ms, metrics, pool, callbacks, recordings, fleet
        ),
    )


def rewire(features: Features, **changes: Any) -> Features:
    """Return features with other parts: `recordings__files=x` is the files of recordings.

    A name without a feature (`settings`, `later`) is changed wherever it is.
    """
    common = {name: value for name, value in changes.items() if "__" not in name}
    made: dict[str, Any] = {}
    for name in (
        "pool",
        "tenants",
        "tokens",
        "callbacks",
        "recordings",
        "servers",
        "fleet",
        "meetings",
        "dialin",
        "doctor",
        "takeover",
        "exposition",
    ):  # a feature after those that it is given
        own = {
            key.split("__", 1)[1]: value
            for key, value in changes.items()
            if key.startswith(f"{name}__")
        }
        part: Any = getattr(features, name)
        known = {field.name for field in fields(part)}
        given = {key: value for key, value in {**common, **made}.items() if key in known}
        made[name] = replace(part, **{**given, **own})
    known = {field.name for field in fields(features)}
    return replace(features, **made, **{k: v for k, v in common.items() if k in known})


def rules_of(settings: Settings) -> PlacementRules:
    """Return the placement rules that settings ask for."""
    return PlacementRules(
        weights=settings.load.weights,
        count_moderators_twice=settings.load.count_moderators_twice,
        min_user_count=settings.load.min_user_count,
        join_buffer_ms=settings.load.join_buffer_ms,
        forecast=settings.load.forecast,
        ttl_s=settings.meetings.ttl_s,
        creating_ms=settings.meetings.creating_limit_ms,
    )


def now_ms() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
