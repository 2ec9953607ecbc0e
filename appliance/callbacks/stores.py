"""Opens all that callbacks reach out by: the two stores of the queue, the URLs, the calls.

Composition only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from appliance.callbacks.client import CallbackClient, open_callback_pool
from appliance.callbacks.postgres_queue import CallbackRows
from appliance.callbacks.redis_queue import CallbackBuffer
from appliance.callbacks.url_store import CallbackUrls
from appliance.log import Log
from appliance.postgres.database import PostgresStore
from appliance.redis_store import RedisStore
from appliance.settings import Settings


@dataclass(frozen=True, slots=True)
class CallbackAdapters:
    """What callbacks reach out by."""

    stores: tuple[CallbackRows | CallbackBuffer, ...]
    """Where they are kept, the first choice first."""
    urls: CallbackUrls
    client: CallbackClient


@asynccontextmanager
async def open_callback_adapters(
    settings: Settings,
    redis: RedisStore,
    database: PostgresStore | None,
    now_ms: Callable[[], int],
    log: Log,
) -> AsyncIterator[CallbackAdapters]:
    """Give them; the end closes the connections to receivers."""
    buffer = CallbackBuffer(redis.bulk, redis.namespace, redis.scripts, now_ms)
    urls = CallbackUrls(database, redis.client, redis.namespace, log)
    stores = (buffer,) if database is None else (CallbackRows(database), buffer)
    async with aclosing(open_callback_pool(block_private=settings.callback_block_private)) as pool:
        client = CallbackClient(
            pool,
            connect_timeout_s=settings.servers.connect_timeout_s,
            response_timeout_s=settings.servers.response_timeout_s,
        )
        yield CallbackAdapters(stores, urls, client)
