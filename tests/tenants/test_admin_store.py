"""The administration of tenants on a real Redis: Scalelite's keys and forms, whole changes."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from appliance.faults import StoreDown
from appliance.model import TenantId
from appliance.tenants.admin_store import TenantStore
from appliance.tenants.values import (
    Saved,
    SaveOutcome,
    TenantChange,
    TenantRecord,
    TenantSetting,
)
from tests.doubles.redis_processes import redis_process
from tests.doubles.scalelite_data import load_scalelite_data
from tests.doubles.store_pool import StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

SAVED, UNKNOWN = Saved(SaveOutcome.SAVED), Saved(SaveOutcome.UNKNOWN)
T1, T2 = TenantId("t1"), TenantId("t2")
SCHOOL = TenantId("588d7588-5557-41f9-9533-a75d5f42cb21")
UNI = TenantId("981810d6-1b91-4022-9f8d-71c128cd378e")


def tenants_of(pool: StorePool) -> TenantStore:
    return TenantStore(pool.store.redis.background)


@pytest.fixture
def tenants(pool: StorePool) -> TenantStore:
    """Give the store under test, empty."""
    return tenants_of(pool)


def change(name: str = "school", secrets: str = "s1:s2", **fields: str) -> TenantChange:
    return TenantChange(name=name, secrets=secrets, **fields)


def setting(id: str, **fields: Any) -> TenantSetting:
    defaults: dict[str, Any] = {
        "tenant_id": T1,
        "param": "welcome",
        "value": "hi",
        "override": False,
    }
    return TenantSetting(id, **(defaults | fields))


async def keys(pool: StorePool) -> set[str]:
    """Return the keys but for the counter of changes."""
    found = await pool.store.bulk.command("KEYS", f"{pool.namespace}:*")
    return {key.removeprefix(f"{pool.namespace}:") for key in found} - {"appliance:changes"}


async def hash_of(pool: StorePool, key: str) -> dict[str, str]:
    flat = await pool.redis("HGETALL", key)
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def test_tenant_is_written_as_scalelite_writes_it(
    pool: StorePool, tenants: TenantStore
) -> None:
    lrs = {"lrs_endpoint": "https://lrs", "lrs_username": "ü", "lrs_password": "p"}
    assert await tenants.add_tenant(T1, change(**lrs)) == SAVED

    assert await hash_of(pool, "tenant:t1") == {"name": "school", "secrets": "s1:s2", **lrs}
    assert await hash_of(pool, "tenant_name:school") == {"id": "t1"}
    assert await pool.redis("SMEMBERS", "tenants") == ["t1"]
    assert await keys(pool) == {"tenants", "tenant:t1", "tenant_name:school"}
    assert await tenants.find_tenant(T1) == TenantRecord(T1, "school", "s1:s2", **lrs)
    found = await pool.store.find_tenant("school")
    assert found is not None
    assert (found.id, found.secrets) == (T1, ("s1", "s2"))


async def test_tenants_of_a_scalelite_are_listed_and_changed(
    pool: StorePool, tenants: TenantStore
) -> None:
    await load_scalelite_data(pool.store.bulk, pool.namespace)

    assert await tenants.list_tenants() == [
        TenantRecord(SCHOOL, "school", "schoolsecret:schoolsecret2"),
        TenantRecord(UNI, "uni", "unisecret", "https://lrs.example.org/xapi", "lrsuser", "lrspass"),
    ]
    listed = await tenants.list_settings(SCHOOL)
    assert listed is not None
    assert [(one.param, one.value, one.override, one.call) for one in listed] == [
        ("welcome", "Willkommen", True, ""),
        ("record", "true", False, ""),
    ]
    assert await tenants.list_settings() == listed
    assert await tenants.remove_tenant(SCHOOL, force=False) == 2
    assert await tenants.remove_tenant(SCHOOL, force=True) is None
    assert not {key for key in await keys(pool) if SCHOOL in key or "tenant_setting" in key}


async def test_name_of_another_tenant_is_refused_in_any_case(
    pool: StorePool, tenants: TenantStore
) -> None:
    await tenants.add_tenant(T1, change("School"))

    for name in ("School", "school", "SCHOOL"):
        assert await tenants.add_tenant(T2, change(name)) == Saved(SaveOutcome.TAKEN, "t1")
    await tenants.add_tenant(T2, change("uni"))
    assert await tenants.update_tenant(T2, change("sChool")) == Saved(SaveOutcome.TAKEN, "t1")
    assert await hash_of(pool, "tenant:t2") == {"name": "uni", "secrets": "s1:s2"}
    assert await hash_of(pool, "tenant_name:uni") == {"id": "t2"}


async def test_id_is_given_once(tenants: TenantStore) -> None:
    await tenants.add_tenant(T1, change())

    assert await tenants.add_tenant(T1, change("other")) == Saved(SaveOutcome.TAKEN, "t1")


async def test_of_many_at_once_one_gets_the_name(pool: StorePool, redis_url: str) -> None:
    outcomes: list[SaveOutcome] = []

    async def add(tenants: TenantStore, number: int) -> None:
        saved = await tenants.add_tenant(TenantId(f"t{number}"), change())
        outcomes.append(saved.outcome)

    async with (
        open_store_pool(redis_url, pool.namespace) as other,
        trio.open_nursery() as nursery,
    ):
        for number in range(20):
            nursery.start_soon(add, tenants_of((pool, other)[number % 2]), number)

    assert sorted(outcomes) == [SaveOutcome.SAVED, *[SaveOutcome.TAKEN] * 19]


async def test_rename_moves_the_name(pool: StorePool, tenants: TenantStore) -> None:
    await tenants.add_tenant(T1, change())

    assert await tenants.update_tenant(T1, TenantChange(name="academy")) == SAVED

    assert await keys(pool) == {"tenants", "tenant:t1", "tenant_name:academy"}
    assert await pool.store.find_tenant("school") is None
    found = await pool.store.find_tenant("academy")
    assert found is not None
    assert found.secrets == ("s1", "s2")
    # The case of one's own name may change.
    assert await tenants.update_tenant(T1, TenantChange(name="Academy")) == SAVED
    assert await keys(pool) == {"tenants", "tenant:t1", "tenant_name:Academy"}


async def test_update_sets_and_removes_what_is_named(pool: StorePool, tenants: TenantStore) -> None:
    await tenants.add_tenant(T1, change(lrs_endpoint="https://lrs", lrs_username="u"))

    update = TenantChange(secrets="n", lrs_username="", kc_client_id="c")
    assert await tenants.update_tenant(T1, update) == SAVED

    assert await hash_of(pool, "tenant:t1") == {
        **{"name": "school", "secrets": "n", "lrs_endpoint": "https://lrs", "kc_client_id": "c"}
    }
    assert await tenants.update_tenant(T1, TenantChange()) == SAVED


async def test_unknown_tenant_and_setting_are_none(pool: StorePool, tenants: TenantStore) -> None:
    for unknown in ("x", ""):
        assert await tenants.find_tenant(TenantId(unknown)) is None
        assert await tenants.update_tenant(TenantId(unknown), change()) == UNKNOWN
        assert await tenants.remove_tenant(TenantId(unknown), force=True) == -1
        assert await tenants.list_settings(TenantId(unknown)) is None
        assert await tenants.add_setting(setting("s", tenant_id=TenantId(unknown))) == UNKNOWN
        assert await tenants.remove_setting(unknown) is None
    assert await tenants.list_tenants() == []
    assert await tenants.list_settings() == []
    assert await keys(pool) == set()


@pytest.mark.parametrize(("removed", "left"), [("t1", "t2"), ("t2", "t1")])
@pytest.mark.parametrize("by", ["removal", "renaming"])
async def test_one_of_two_tenants_of_one_name_leaves_it_to_the_other(
    pool: StorePool, tenants: TenantStore, removed: str, left: str, by: str
) -> None:
    """Scalelite lets two tenants have one name, and deleting one locks out the other."""
    for tenant_id in ("t1", "t2"):
        await pool.redis("SADD", "tenants", tenant_id)
        await pool.redis("HSET", f"tenant:{tenant_id}", "name", "school", "secrets", tenant_id)
        await pool.redis("HSET", "tenant_name:school", "id", tenant_id)
    assert await tenants.update_tenant(T1, TenantChange(kc_username="u")) == SAVED

    if by == "removal":
        assert await tenants.remove_tenant(TenantId(removed), force=False) is None
    else:
        assert await tenants.update_tenant(TenantId(removed), TenantChange(name="new")) == SAVED

    assert await hash_of(pool, "tenant_name:school") == {"id": left}
    found = await pool.store.find_tenant("school")
    assert found is not None
    assert found.secrets == (left,)


async def test_tenant_with_meetings_is_removed_only_by_force(
    pool: StorePool, tenants: TenantStore
) -> None:
    await tenants.add_tenant(T1, change())
    await tenants.add_tenant(T2, change("uni"))
    await pool.add("a")
    await pool.create("m1", tenant_id=T1)
    await pool.create("m2", tenant_id=T1)

    assert await tenants.remove_tenant(T1, force=False) == 2
    assert await tenants.remove_tenant(T2, force=False) is None
    assert await pool.store.find_tenant("school") is not None
    assert await tenants.remove_tenant(T1, force=True) is None
    assert await tenants.list_tenants() == []


async def test_setting_is_written_as_scalelite_writes_it_and_the_call_beside_it(
    pool: StorePool, tenants: TenantStore
) -> None:
    await tenants.add_tenant(T1, change())
    first = setting("s1", value="ü \"' %\\", override=True)
    second = setting("s2", param="guest", call="join")
    assert await tenants.add_setting(first) == SAVED
    assert await tenants.add_setting(second) == SAVED

    assert await hash_of(pool, "tenant_setting:s1") == {
        **{"param": "welcome", "value": "ü \"' %\\", "override": "true", "tenant_id": "t1"}
    }
    assert sorted(await pool.redis("SMEMBERS", "tenant_settings:t1")) == ["s1", "s2"]
    assert await hash_of(pool, "appliance:setting_calls") == {"s2": "join"}
    assert await tenants.list_settings(T1) == [first, second]
    found = await pool.store.find_tenant("school")
    assert found is not None
    assert (found.override_create, found.default_join) == (
        (("welcome", "ü \"' %\\"),),
        (("guest", "hi"),),
    )

    assert await tenants.remove_setting("s2") == second
    assert await tenants.remove_setting("s2") is None
    assert await tenants.list_settings() == [first]
    await tenants.remove_tenant(T1, force=False)
    assert await keys(pool) == {"appliance:usage_removed_tenants"}
    assert await hash_of(pool, "appliance:usage_removed_tenants") == {"t1": "school"}


async def test_second_setting_of_a_kind_is_refused(tenants: TenantStore) -> None:
    await tenants.add_tenant(T1, change())
    await tenants.add_tenant(T2, change("uni"))
    await tenants.add_setting(setting("s1"))

    again = setting("s2", value="other")
    assert await tenants.add_setting(again) == Saved(SaveOutcome.TAKEN, "s1")
    others: list[dict[str, Any]] = [
        *({"override": True}, {"call": "create"}, {"param": "record"}, {"tenant_id": T2})
    ]
    for number, other in enumerate(others):
        assert await tenants.add_setting(setting(f"o{number}", **other)) == SAVED


@pytest.mark.parametrize("mode", ["", "cap"])
async def test_second_setting_of_metadata_is_refused_in_any_case(
    tenants: TenantStore, mode: str
) -> None:
    await tenants.add_tenant(T1, change())
    await tenants.add_setting(setting("s1", param="meta_Course", mode=mode))

    again = setting("s2", param="meta_course", mode=mode)
    assert await tenants.add_setting(again) == Saved(SaveOutcome.TAKEN, "s1")
    for number, param in enumerate(("Course", "course", "META_Course")):
        other = setting(f"o{number}", param=param, mode=mode)
        assert await tenants.add_setting(other) == SAVED


async def test_members_without_their_hash_are_no_error(
    pool: StorePool, tenants: TenantStore
) -> None:
    await pool.redis("SADD", "tenants", "gone")
    await tenants.add_tenant(T1, change())
    await tenants.add_setting(setting("s1"))
    await pool.redis("SADD", "tenant_settings:t1", "gone")

    assert [one.id for one in await tenants.list_tenants()] == ["t1"]
    assert await pool.redis("SMEMBERS", "tenants") == ["t1"]
    assert [one.id for one in await tenants.list_settings(T1) or []] == ["s1"]


async def test_each_method_is_one_round_trip(pool: StorePool, tenants: TenantStore) -> None:
    before = tenants.redis.client.round_trips

    await tenants.add_tenant(T1, change())
    await tenants.add_setting(setting("s1"))
    await tenants.list_settings()
    await tenants.list_tenants()
    await tenants.remove_setting("s1")
    await tenants.remove_tenant(T1, force=False)

    assert tenants.redis.client.round_trips == before + 6


async def test_store_that_is_down_is_said_as_such(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with open_store_pool(redis.unix_url, redis_namespace) as pool:
            redis.kill()
            with pytest.raises(StoreDown):
                await tenants_of(pool).list_tenants()
