"""Opens every connection of the process: stores, HTTP clients, callbacks."""

from __future__ import annotations

import platform
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.bbb.client import BbbClient
from appliance.callbacks.connections import CallbackConnections, open_callback_connections
from appliance.events.journal import EventJournal, open_journal
from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import MAX_TOTAL, PoolTransport
from appliance.instruments import Metrics
from appliance.log import EventLogger, current_request_id
from appliance.model import PlacementRules
from appliance.postgres.database import Database
from appliance.redis.store import RedisStores
from appliance.settings import Settings
from appliance.stores import open_stores
from appliance.system.host_facts import authorities_problem, certificate_problem


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections to stores, BBB servers and callback receivers, and the journal of events."""

    redis: RedisStores
    database: Database | None
    """None: DB_DISABLED or RECORDING_DISABLED."""
    bbb: BbbClient
    metrics: Metrics
    callbacks: CallbackConnections
    http: PoolTransport
    events: EventJournal


class TlsFilesError(Exception):
    """A file of certificate authorities, or a certificate for a store, cannot be used."""


@asynccontextmanager
async def open_connections(
    settings: Settings, log: EventLogger, *, max_outgoing: int = MAX_TOTAL
) -> AsyncIterator[Connections]:
    """Open the stores (outermost, so that they stop last) and every connection.

    Raises TlsFilesError.
    """
    _check_tls_files(settings)
    servers, metrics = settings.servers, Metrics()
    async with (
        open_stores(settings, log, metrics) as stores,
        open_journal(stores.redis.background, now_ms, platform.node(), log) as events,
        aclosing(
            PoolTransport(
                open_ssl_context(_path(servers.ca_file)), max_total=min(max_outgoing, MAX_TOTAL)
            )
        ) as pool,
    ):
        bbb = BbbClient(
            pool,
            connect_timeout_s=servers.connect_timeout_s,
            response_timeout_s=servers.response_timeout_s,
            response_max_bytes=servers.response_max_bytes,
            max_meetings=servers.max_meetings,
            send_algorithm=servers.send_algorithm,
            # A little longer than the interval between two polls of a server.
            remember_lists_s=1.5 * settings.polling.interval_s,
            request_id=current_request_id,
        )
        redis, database = stores.redis, stores.database
        async with open_callback_connections(settings, redis, database, now_ms, log) as callbacks:
            yield Connections(redis, database, bbb, metrics, callbacks, pool, events)


def _check_tls_files(settings: Settings) -> None:
    for name, path in settings.authorities():
        if problem := authorities_problem(path):
            raise TlsFilesError(f"{name} cannot be used: {problem}")
    of_redis = settings.redis_certificate()
    if of_redis and (problem := certificate_problem(*of_redis)):
        raise TlsFilesError(f"REDIS_URL (ssl_certfile, ssl_keyfile) cannot be used: {problem}")


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def placement_rules(settings: Settings) -> PlacementRules:
    """Return the settings that placements and meeting records depend on."""
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
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
