"""Opens all that callbacks reach out by: the two stores of the queue, the URLs, the calls.

Composition only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from appliance.callbacks.client import CallbackClient, open_callback_pool
from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.redis_queue import RedisQueue
from appliance.callbacks.url_store import CallbackUrls
from appliance.log import Log
from appliance.postgres.database import Database
from appliance.redis.store import RedisStores
from appliance.settings import Settings


@dataclass(frozen=True, slots=True)
class CallbackAdapters:
    """What callbacks reach out by."""

    stores: tuple[PostgresQueue | RedisQueue, ...]
    """Where they are kept, the first choice first."""
    urls: CallbackUrls
    client: CallbackClient


@asynccontextmanager
async def open_callback_adapters(
    settings: Settings,
    redis: RedisStores,
    database: Database | None,
    now_ms: Callable[[], int],
    log: Log,
) -> AsyncIterator[CallbackAdapters]:
    """Give them; the end closes the connections to receivers."""
    buffer = RedisQueue(redis.background, now_ms)
    urls = CallbackUrls(database, redis.foreground, log)
    stores = (buffer,) if database is None else (PostgresQueue(database), buffer)
    async with aclosing(open_callback_pool(block_private=settings.callback_block_private)) as pool:
        client = CallbackClient(
            pool,
            connect_timeout_s=settings.servers.connect_timeout_s,
            response_timeout_s=settings.servers.response_timeout_s,
        )
        yield CallbackAdapters(stores, urls, client)
