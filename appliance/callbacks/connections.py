"""Opens the stores of the callback queue, the store of URLs and the client for callbacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from appliance.callbacks.client import OutboundClient, open_callback_pool
from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.redis_queue import RedisQueue
from appliance.callbacks.url_store import CallbackUrls
from appliance.log import Log
from appliance.postgres.database import Database
from appliance.redis.store import RedisStores
from appliance.settings import Settings


@dataclass(frozen=True, slots=True)
class CallbackConnections:
    """The stores and the client that callbacks use."""

    stores: tuple[PostgresQueue | RedisQueue, ...]
    """The stores of the queue, the preferred one first."""
    urls: CallbackUrls
    client: OutboundClient


@asynccontextmanager
async def open_callback_connections(
    settings: Settings,
    redis: RedisStores,
    database: Database | None,
    now_ms: Callable[[], int],
    log: Log,
) -> AsyncIterator[CallbackConnections]:
    """Open the client; at the end its connections are closed."""
    buffer = RedisQueue(redis.background, now_ms)
    urls = CallbackUrls(database, redis.foreground, log)
    stores = (buffer,) if database is None else (PostgresQueue(database), buffer)
    async with aclosing(open_callback_pool(block_private=settings.callback_block_private)) as pool:
        client = OutboundClient(
            pool,
            connect_timeout_s=settings.servers.connect_timeout_s,
            response_timeout_s=settings.servers.response_timeout_s,
        )
        yield CallbackConnections(stores, urls, client)
