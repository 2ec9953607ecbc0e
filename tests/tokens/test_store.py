"""The access tokens in Redis."""

from __future__ import annotations

from dataclasses import replace

from appliance.admin_calls.actors import Role
from appliance.model import TenantId
from appliance.tenants.values import TenantChange
from appliance.tokens.rules import USE_RECORDED_MS, Token, digest_of
from tests.doubles.features import open_features

DIGEST = digest_of("sla_one")
TOKEN = Token("one", Role.VIEWER, None, 1000, 9000)


async def test_token_is_found_until_it_expires_or_is_removed(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        store = res.tokens.store
        assert await store.add(TOKEN, DIGEST)

        assert await store.find(DIGEST, 8999) == replace(TOKEN, last_used_ms=8999)
        assert await store.find(DIGEST, 9000) is None
        assert [one.name for one in await store.list_tokens()] == ["one"]
        assert await store.remove("one")
        assert await store.find(DIGEST, 2000) is None
        assert not await store.remove("one")
        assert await store.list_tokens() == []


async def test_name_is_unique(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        store = res.tokens.store
        await store.add(TOKEN, DIGEST)

        assert not await store.add(replace(TOKEN, role=Role.ADMIN), digest_of("sla_two"))

        assert await store.find(digest_of("sla_two"), 2000) is None
        assert await store.list_tokens() == [TOKEN]


async def test_use_is_recorded_once_a_minute(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        store = res.tokens.store
        await store.add(replace(TOKEN, expires_ms=None), DIGEST)
        first_ms = 5000

        async def use(at_ms: int) -> int | None:
            await store.find(DIGEST, at_ms)
            (listed,) = await store.list_tokens()
            return listed.last_used_ms

        assert await use(first_ms) == first_ms
        assert await use(first_ms + USE_RECORDED_MS - 1) == first_ms
        assert await use(first_ms + USE_RECORDED_MS) == first_ms + USE_RECORDED_MS


async def test_token_of_a_tenant_ends_with_it(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace, MULTITENANCY_ENABLED="true") as res:
        tenant = TenantId("t-1")
        await res.tenants.store.add_tenant(tenant, TenantChange(name="school", secrets="s"))
        await res.tokens.store.add(replace(TOKEN, tenant_id=tenant), DIGEST)
        found = await res.tokens.store.find(DIGEST, 2000)
        assert found is not None
        assert found.tenant_id == tenant

        await res.tenants.store.remove_tenant(tenant, force=True)

        assert await res.tokens.store.find(DIGEST, 2000) is None
