"""Opens everything that reaches out of the process: the stores, the HTTP client, the callbacks.

Composition only: no rule, no service.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.bbb.client import BbbClient
from appliance.callbacks.stores import CallbackAdapters, open_callback_adapters
from appliance.http.client_dial import open_ssl_context
from appliance.http.client_pool import PoolTransport
from appliance.instruments import Metrics
from appliance.log import EventLogger, current_request_id
from appliance.model import PlacementRules
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import PostgresStore, open_postgres_store
from appliance.redis.client import RedisAddress
from appliance.redis_store import RedisStore, open_redis_store
from appliance.settings import Settings, StoreSettings
from appliance.system.embedded import open_embedded_stores


@dataclass(frozen=True, slots=True)
class Outside:
    """The adapters: everything that reaches out of the process."""

    store: RedisStore
    recordings: PostgresStore | None
    """None: DB_DISABLED or RECORDING_DISABLED."""
    bbb: BbbClient
    metrics: Metrics
    callbacks: CallbackAdapters
    http: PoolTransport


@asynccontextmanager
async def open_outside(settings: Settings, log: EventLogger) -> AsyncIterator[Outside]:
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
            # A little longer than from one poll of a server to the next.
            remember_lists_s=1.5 * settings.polling.interval_s,
            request_id=current_request_id,
        )
        async with open_callback_adapters(settings, store, recordings, now_ms, log) as callbacks:
            yield Outside(store, recordings, bbb, metrics, callbacks, pool)


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


def now_ms() -> int:
    return time.time_ns() // 1_000_000
