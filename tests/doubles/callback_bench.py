"""A sender of callbacks on real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import trio

from appliance.callbacks.attempt import CallbackTools
from appliance.callbacks.client import OutboundClient, open_callback_pool
from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.queue import CallbackQueue
from appliance.callbacks.queue_store import CallbackStore
from appliance.callbacks.redis_queue import RedisQueue
from appliance.callbacks.rules import CallbackState, QueuedCallback
from appliance.callbacks.sender import CallbackSender
from appliance.callbacks.url_store import CallbackUrls
from appliance.fault_log import FaultLog
from appliance.http.client.pool import PoolTransport
from appliance.model import TenantId
from appliance.postgres.database import Database
from appliance.redis.client import RedisAddress, RedisClient, open_redis_client
from appliance.redis.store import RedisStore
from tests.doubles.bbb_process import until
from tests.doubles.features import EventBook, all_scripts, now_ms
from tests.doubles.recordings import open_recordings
from tests.doubles.redis_layout import layout_faults

SECRETS = ("first-secret-" + "x" * 32, "second-secret-" + "y" * 32)
WITHIN_S = 40.0


@dataclass(slots=True)
class CallbackBench:
    """Both stores of the queue, and the parts of a sender."""

    database: Database
    redis: RedisClient
    namespace: str
    rows: PostgresQueue
    buffer: RedisQueue
    urls: CallbackUrls
    tools: CallbackTools
    log: EventBook
    secrets: dict[str | None, Sequence[str]]
    pool: PoolTransport

    def wait_no_longer_than(self, limit_s: float) -> None:
        """Limit connecting and waiting for answers; the default limits are a minute."""
        client = OutboundClient(self.pool, connect_timeout_s=limit_s, response_timeout_s=limit_s)
        self.tools = replace(self.tools, client=client)

    def sender(self, who: str = "appliance-1", *stores: CallbackStore) -> CallbackSender:
        """Return a sender that looks for due callbacks at a short interval."""
        used = stores or (self.rows, self.buffer)
        return CallbackSender(used, self.urls, who, self.log, check_interval_s=0.05, lease_s=60.0)

    def queue(self, sender: CallbackSender) -> CallbackQueue:
        """Return the queue that wakes this sender."""
        return CallbackQueue(sender.stores, sender.wake, self.log)

    @asynccontextmanager
    async def sending(self, sender: CallbackSender) -> AsyncIterator[CallbackQueue]:
        """Send for the block."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run, self.tools)
            yield self.queue(sender)
            nursery.cancel_scope.cancel()

    async def wait_for(
        self, state: CallbackState, count: int, store: CallbackStore | None = None
    ) -> list[QueuedCallback]:
        """Wait until `count` callbacks are in a state, and return them."""
        with trio.fail_after(WITHIN_S):
            while len(found := await (store or self.rows).show(state, 1000)) < count:
                await trio.sleep(0.01)
        return found


@asynccontextmanager
async def open_callback_bench(
    redis_url: str, namespace: str, database_url: str
) -> AsyncIterator[CallbackBench]:
    """Open the stores."""
    log = EventBook()
    secrets: dict[str | None, Sequence[str]] = {None: SECRETS}

    async def secrets_of(tenant_id: TenantId | None) -> Sequence[str] | None:
        return secrets.get(tenant_id)

    async with (
        open_redis_client(RedisAddress(redis_url)) as client,
        open_recordings(database_url) as (database, _),
        aclosing(open_callback_pool(block_private=False)) as pool,
    ):
        await client.wait_connected()
        yield CallbackBench(
            database,
            client,
            namespace,
            PostgresQueue(database),
            RedisQueue(RedisStore(client, namespace, all_scripts()), now_ms),
            CallbackUrls(database, RedisStore(client, namespace, {}), log),
            CallbackTools(
                OutboundClient(pool, connect_timeout_s=60.0, response_timeout_s=60.0),
                secrets_of,
                CallbackUrls(database, RedisStore(client, namespace, {}), log).find,
                "HS256",
                now_ms,
                FaultLog(log, now_ms),
            ),
            log,
            secrets,
            pool,
        )
        assert await layout_faults(client, namespace) == []


__all__ = ["SECRETS", "CallbackBench", "open_callback_bench", "until"]
