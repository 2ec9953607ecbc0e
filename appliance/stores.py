"""Opens the stores, Redis and PostgreSQL: embedded ones are started, external ones connected to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from appliance.instruments import Metrics
from appliance.log import EventLogger
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import Database, open_postgres_store
from appliance.redis.scripts import load_scripts
from appliance.redis.store import RedisStores, open_redis_stores, redis_address
from appliance.settings import Settings, StoreSettings
from appliance.system.embedded.stores import open_embedded_stores


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of the process; they may be down."""

    redis: RedisStores
    database: Database | None
    """None: DB_DISABLED or RECORDING_DISABLED."""


@asynccontextmanager
async def open_stores(
    settings: Settings, log: EventLogger, metrics: Metrics
) -> AsyncIterator[Stores]:
    """Open the embedded stores (outermost, so that they stop last) and the clients of both."""
    stores = settings.stores
    async with (
        open_embedded_stores(
            stores.state_dir,
            redis=stores.redis_embedded,
            postgres=stores.database_embedded,
            log=log,
        ) as embedded,
        open_asyncio_loop(tuned="asyncio-loop" not in settings.tuning_off, log=log),
        open_redis_stores(
            redis_address(stores, embedded.redis_url),
            namespace=stores.redis_namespace,
            scripts=load_scripts(),
            log=log,
            latency=metrics.stores,
            min_replicas=stores.redis_min_replicas,
            slow=metrics.slow_redis,
        ) as redis,
        _open_database(stores, embedded.database_url, metrics, log) as database,
    ):
        yield Stores(redis, database)


@asynccontextmanager
async def _open_database(
    stores: StoreSettings, embedded_url: str | None, metrics: Metrics, log: EventLogger
) -> AsyncIterator[Database | None]:
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
    ) as database:
        yield database
