"""Everything that Redis knows of servers and meetings in one object, for tests of the scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from appliance.dialin.dialplan import WrongPins
from appliance.dialin.store import FoundMeeting, VoiceBridges
from appliance.features import Features
from appliance.meetings.store import MeetingStore
from appliance.model import PlacementRules, Tenant
from appliance.pool.records import PoolRecords
from appliance.redis.client import RedisAddress, RedisClient
from appliance.redis.scripts import load_scripts
from appliance.redis.store import RedisStores, open_redis_stores
from appliance.servers.store import ServerStore
from appliance.settings.model import RegistrySettings
from appliance.tenants.cache import TenantCache
from appliance.tenants.store import TenantLookup
from tests.doubles.features import rewire


class PoolStore(PoolRecords, ServerStore, MeetingStore):
    """The stores of pool, servers and meetings."""

    def __init__(self, redis: RedisStores, rules: PlacementRules) -> None:
        object.__setattr__(self, "redis", redis)
        object.__setattr__(self, "_parsed", {})
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "registry", RegistrySettings())

    @property
    def client(self) -> RedisClient:
        """Return the connection for API calls."""
        return self.redis.foreground.client

    @property
    def bulk(self) -> RedisClient:
        """Return the connection for background work."""
        return self.redis.background.client

    @property
    def namespace(self) -> str:
        """Return the prefix of all keys."""
        return self.redis.foreground.namespace

    async def find_tenant(self, label: str) -> Tenant | None:
        """Return the tenant of a host label."""
        return await TenantLookup(self.redis.foreground).find_tenant(label)

    async def find_voice_bridge(
        self, pin: str, parent: str | None, **fields: Any
    ) -> FoundMeeting | WrongPins:
        """Return the meeting of a PIN, or count a wrong one."""
        return await VoiceBridges(self.redis.foreground).find_voice_bridge(pin, parent, **fields)

    async def ping(self) -> None:
        """Ask for a sign of life."""
        await self.redis.ping()


@asynccontextmanager
async def open_pool_store(
    address: RedisAddress, *, namespace: str, rules: PlacementRules, log: Any, **more: Any
) -> AsyncIterator[PoolStore]:
    """Open the two connections; see redis/store.py."""
    async with open_redis_stores(
        address, namespace=namespace, scripts=load_scripts(), log=log, **more
    ) as redis:
        yield PoolStore(redis, rules)


def pool_store(features: Features) -> PoolStore:
    """Return the stores of these features in one object."""
    return PoolStore(features.redis, features.meetings.store.rules)


def with_store(features: Features, store: Any) -> Features:
    """Put a stand-in in the place of every store in Redis that requests use."""
    return replace(
        rewire(
            features,
            pool__records=store,
            servers__store=store,
            meetings__store=store,
            dialin__voice_bridges=store,
            tenants__cache=TenantCache(store, features.now_ms),
        ),
        redis=store,
    )
