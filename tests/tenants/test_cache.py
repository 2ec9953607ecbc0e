"""The tenant cache: found by the label in any case, kept for a second at most, never piling up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from appliance.faults import StoreDown
from appliance.model import Tenant
from appliance.tenants.cache import TenantCache
from appliance.tenants.store import TenantLookup
from tests.doubles.pool_store import PoolStore
from tests.doubles.redis_processes import redis_process
from tests.doubles.store_pool import StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is moved."""

    now_ms: int = 1_700_000_000_000

    def read(self) -> int:
        """Return the time."""
        return self.now_ms


@dataclass(slots=True)
class Tenants:
    """A cache over a real store with one tenant."""

    pool: StorePool
    clock: Clock = field(default_factory=Clock)
    cache: TenantCache = field(init=False)

    def __post_init__(self) -> None:
        self.cache = TenantCache(TenantLookup(self.pool.store.redis.foreground), self.clock.read)

    async def save(self, name: str, secrets: str) -> None:
        """Store a tenant as Scalelite does."""
        await self.pool.redis("SADD", "tenants", f"id-{name}")
        await self.pool.redis("HSET", f"tenant:id-{name}", "name", name, "secrets", secrets)
        await self.pool.redis("HSET", f"tenant_name:{name}", "id", f"id-{name}")

    @property
    def round_trips(self) -> int:
        """How often the store was asked."""
        store: PoolStore = self.pool.store
        return store.client.round_trips


@pytest.fixture
async def tenants(pool: StorePool) -> Tenants:
    """Give the tenant "school"."""
    made = Tenants(pool)
    await made.save("school", "s1:s2")
    return made


async def secrets(tenants: Tenants, label: str = "school") -> tuple[str, ...] | None:
    found: Tenant | None = await tenants.cache.find(label)
    return found.secrets if found else None


@pytest.mark.parametrize("label", ["school", "School", "SCHOOL"])
async def test_tenant_is_found_by_its_label_in_any_case(tenants: Tenants, label: str) -> None:
    assert await secrets(tenants, label) == ("s1", "s2")


async def test_tenant_that_nobody_knows_is_none(tenants: Tenants) -> None:
    assert await secrets(tenants, "other") is None


async def test_tenant_is_kept_for_a_second_and_read_anew_then(tenants: Tenants) -> None:
    assert await secrets(tenants) == ("s1", "s2")
    before = tenants.round_trips
    await tenants.save("school", "s3")

    tenants.clock.now_ms += 499
    assert await secrets(tenants) == ("s1", "s2")
    assert tenants.round_trips == before
    tenants.clock.now_ms += 1
    assert await secrets(tenants) == ("s3",)


async def mark(tenants: Tenants) -> None:
    """Read the mark, as the poller does."""
    marks = await tenants.pool.store.watch_pool("me", lease_ms=5000)
    tenants.cache.note_mark(marks.tenants, asked_ms=tenants.clock.now_ms)


async def test_tenant_is_kept_for_seconds_while_the_mark_is_fresh(tenants: Tenants) -> None:
    await mark(tenants)
    assert await secrets(tenants) == ("s1", "s2")
    await tenants.save("school", "s3")
    for _ in range(5):
        tenants.clock.now_ms += 500
        await mark(tenants)
        assert await secrets(tenants) == ("s1", "s2")

    tenants.clock.now_ms += 500
    await mark(tenants)
    assert await secrets(tenants) == ("s3",)

    await tenants.save("school", "s4")
    tenants.clock.now_ms += 999
    assert await secrets(tenants) == ("s3",)
    tenants.clock.now_ms += 1
    assert await secrets(tenants) == ("s4",)  # the mark is too old


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("save_tenant", ['{"id":"id-school","new":false,"fields":{"secrets":"n"},"removed":[]}']),
        ("save_tenant_setting", ["x", "id-school", "muteOnStart", "true", "false", ""]),
        (
            "save_param_rule",
            ["r", "id-school", '{"param":"a","mode":"rename","value":"b","version":"","call":""}'],
        ),
        ("remove_tenant", ["id-school", "1"]),
    ],
)
async def test_change_by_another_appliance_is_seen_with_the_next_mark(
    tenants: Tenants, script: str, arguments: list[str]
) -> None:
    tenants.pool.loose_ends = True
    await mark(tenants)
    before = await tenants.cache.find("school")
    await tenants.pool.store.redis.background.run(script, *arguments)
    assert await tenants.cache.find("school") == before

    await mark(tenants)

    assert await tenants.cache.find("school") != before


async def test_tenant_that_a_scalelite_adds_is_found_with_the_next_mark(tenants: Tenants) -> None:
    await mark(tenants)
    assert await secrets(tenants, "new") is None
    await tenants.save("new", "s")
    await mark(tenants)
    assert await secrets(tenants, "new") == ("s",)


async def test_tenant_that_was_missing_is_found_within_a_second(tenants: Tenants) -> None:
    assert await secrets(tenants, "new") is None
    await tenants.save("new", "s")

    tenants.clock.now_ms += 500

    assert await secrets(tenants, "new") == ("s",)


async def test_tenant_is_read_anew_when_the_clock_was_set_back(tenants: Tenants) -> None:
    await secrets(tenants)
    await tenants.save("school", "s3")

    tenants.clock.now_ms -= 3_600_000

    assert await secrets(tenants) == ("s3",)


async def test_labels_from_outside_do_not_pile_up(tenants: Tenants) -> None:
    kept: Any = tenants.cache._kept
    kept.update({f"host-{number}": (tenants.clock.now_ms, None) for number in range(10_000)})

    await secrets(tenants, "one-more")

    assert len(kept) == 1


async def test_store_that_is_down_is_said_as_such(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with open_store_pool(redis.unix_url, redis_namespace) as pool:
            tenants = Tenants(pool)
            await tenants.save("school", "s1")
            assert await secrets(tenants) == ("s1",)
            redis.kill()

            assert await secrets(tenants) == ("s1",)
            tenants.clock.now_ms += 500
            with pytest.raises(StoreDown):
                await secrets(tenants)


async def test_change_is_seen_at_once_when_the_cache_is_told(tenants: Tenants) -> None:
    assert await secrets(tenants) == ("s1", "s2")
    await tenants.save("school", "s3")

    tenants.cache.forget_all()

    assert await secrets(tenants) == ("s3",)


async def test_what_was_read_before_a_change_is_not_kept(tenants: Tenants) -> None:
    """A request that began to read before the change must not keep what it read for others."""
    reading, changed = trio.Event(), trio.Event()

    class SlowStore:
        async def find_tenant(self, label: str) -> Tenant | None:
            found = await tenants.pool.store.find_tenant(label)
            if not changed.is_set():
                reading.set()
                await changed.wait()
            return found

    cache = TenantCache(SlowStore(), tenants.clock.read)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cache.find, "school")
        await reading.wait()
        await tenants.save("school", "s3")
        cache.forget_all()
        changed.set()

    found = await cache.find("school")
    assert found is not None
    assert found.secrets == ("s3",)
