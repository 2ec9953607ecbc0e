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
from typing import Any

import trio

from appliance.bbb.client import BbbClient
from appliance.callbacks.ended_store import RedisEndedMeetings
from appliance.callbacks.hook_cache import HookBook
from appliance.callbacks.hook_store import RedisHooks
from appliance.callbacks.queue import Callbacks
from appliance.callbacks.redis_queue import CallbackBuffer
from appliance.callbacks.url_store import CallbackUrls
from appliance.fault_log import FaultLog
from appliance.faults import StoreDown
from appliance.http.client_dial import open_ssl_context
from appliance.http.client_pool import PoolTransport
from appliance.model import PlacementRules
from appliance.redis.client import RedisAddress
from appliance.redis_store import open_redis_store
from appliance.resources import Resources
from appliance.settings import Settings
from appliance.tenants.admin_store import RedisTenants
from appliance.tenants.cache import TenantCache
from appliance.wiring.probes import make_probes
from appliance.wiring.recordings import make_takeover_sources
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


@asynccontextmanager
async def open_resources(
    redis_url: str, namespace: str, *, log: EventBook | None = None, **variables: str
) -> AsyncIterator[Resources]:
    """Give Resources on a Redis; `variables` are those of the environment (POLL_INTERVAL="1").

    `log` keeps what is logged, a new EventBook by default (`res.log`).
    """
    settings = settings_of(**variables)
    book = log or EventBook()
    async with (
        open_redis_store(
            RedisAddress(redis_url), namespace=namespace, rules=rules_of(settings), log=book
        ) as store,
        aclosing(PoolTransport(open_ssl_context(None))) as pool,
        trio.open_nursery() as nursery,
    ):
        with trio.fail_after(CONNECT_S):
            await store.client.wait_connected()
            await store.bulk.wait_connected()
        bbb = BbbClient(
            pool,
            connect_timeout_s=settings.servers.connect_timeout_s,
            response_timeout_s=settings.servers.response_timeout_s,
            response_max_bytes=settings.servers.response_max_bytes,
            send_algorithm=settings.servers.send_algorithm,
        )

        async def run_later(function: Callable[..., Awaitable[Any]], *args: Any) -> None:
            try:
                await function(*args)
            except StoreDown as error:
                book.warning("later_without_store", reason=str(error))

        def later(function: Callable[..., Awaitable[Any]], *args: Any) -> None:
            nursery.start_soon(run_later, function, *args)

        hooks = RedisHooks(store)
        probes = make_probes(store, None, pool, bbb, now_ms)
        buffer = CallbackBuffer(store.bulk, namespace, store.scripts, now_ms)
        yield Resources(
            settings=settings,
            store=store,
            bbb=bbb,
            tenants=TenantCache(store, now_ms),
            tenant_store=RedisTenants(store.bulk, store.namespace, store.scripts),
            faults=FaultLog(book, now_ms),
            log=book,
            now_ms=now_ms,
            tie=random.random,
            new_password=lambda: secrets.token_hex(4),
            later=later,
            poll_soon=lambda _server_id: None,
            instance=secrets.token_hex(8),
            callbacks=Callbacks((buffer,), lambda: None, book),
            callback_urls=CallbackUrls(None, store.bulk, namespace, book),
            ended=RedisEndedMeetings(store),
            hooks=hooks,
            hook_book=HookBook(hooks, multitenancy=settings.api.multitenancy),
            probes=probes,
            takeover=make_takeover_sources(settings, store, None, probes),
            secret_key_base="k" * 64,
        )
        nursery.cancel_scope.cancel()


def rules_of(settings: Settings) -> PlacementRules:
    """Return the placement rules that settings ask for."""
    return PlacementRules(
        min_user_count=settings.load.min_user_count,
        join_buffer_ms=settings.load.join_buffer_ms,
        forecast=settings.load.forecast,
        ttl_s=settings.meetings.ttl_s,
        creating_ms=settings.meetings.creating_limit_ms,
    )


def now_ms() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
