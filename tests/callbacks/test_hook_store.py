"""Web hooks in a real Redis."""

from __future__ import annotations

import trio

from appliance.callbacks.hook_rules import MAX_HOOKS, Hook, Registration, ServerHooks
from appliance.callbacks.hook_store import HookStore
from appliance.model import MeetingId, TenantId
from tests.doubles.store_pool import StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

T1 = TenantId("t-1")
URL = "https://lms.example.org/höök?x=1"


async def test_hook_is_kept_as_it_was_given(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    given = [
        Hook("", URL),
        Hook("", URL, "m ü", "user-joined", raw=True, tenant_id=T1),
    ]
    for number, hook in enumerate(given, start=1):
        assert await hooks.add(hook) == (str(number), True)
    kept = {hook.id: hook for hook in await hooks.all()}
    assert kept["1"] == Hook("1", URL)
    assert kept["2"] == Hook("2", URL, "m ü", "user-joined", True, T1)


async def test_url_is_registered_once_by_each_tenant(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    assert await hooks.add(Hook("", URL)) == ("1", True)
    assert await hooks.add(Hook("", URL, meeting_id="m")) == ("1", False)
    assert await hooks.add(Hook("", URL, tenant_id=T1)) == ("2", True)


async def test_url_is_registered_once_by_many_at_once(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    answers: list[tuple[str, bool] | None] = []

    async def add() -> None:
        answers.append(await hooks.add(Hook("", URL)))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(add)
    assert [answers.count(("1", new)) for new in (True, False)] == [1, 19]


async def test_tenant_cannot_have_too_many(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    for number in range(MAX_HOOKS):
        assert await hooks.add(Hook("", f"{URL}&n={number}")) is not None
    assert await hooks.add(Hook("", URL)) is None
    assert await hooks.add(Hook("", URL, tenant_id=T1)) is not None


async def test_hook_is_removed_by_whom_it_belongs_to(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    await hooks.add(Hook("", URL, tenant_id=T1))
    for who in (None, TenantId("t-2")):
        assert not await hooks.remove("1", who)
    assert not await hooks.remove("2", T1)
    assert await hooks.remove("1", T1)
    assert not await hooks.remove("1", T1)
    assert await hooks.all() == ()
    assert await hooks.add(Hook("", URL)) == ("3", True)  # ids are not given again


async def test_state_of_a_server_holds_its_meetings_only_where_they_matter(pool: StorePool) -> None:
    hooks, one = HookStore(pool.store.redis.background), await pool.add("a")
    await pool.create("m")
    await pool.create("n", tenant_id=T1)
    assert await hooks.read(one) == ServerHooks((), (), ())
    await hooks.add(Hook("", URL))
    assert (await hooks.read(one)).meetings == ()
    await hooks.add(Hook("", f"{URL}&y", tenant_id=T1))
    assert set((await hooks.read(one)).meetings) == {("m", None), ("n", "t-1")}
    await pool.add("b")
    await pool.redis("HSET", "meeting:m", "server_id", "b")  # a Scalelite may do so
    assert (await hooks.read(one)).meetings == (("n", "t-1"),)
    await pool.redis("HSET", "meeting:m", "server_id", "a")


async def test_registrations_are_remembered_until_forgotten(pool: StorePool) -> None:
    hooks, one = HookStore(pool.store.redis.background), await pool.add("a")
    first = Registration(URL, "1", None, "uuid-1")
    second = Registration(f"{URL}&y", "2", MeetingId("m"), "uuid-2")
    for registration in (first, second):
        await hooks.record(one, registration)
    assert set((await hooks.read(one)).registered) == {first, second}
    await hooks.forget(one, first)
    assert (await hooks.read(one)).registered == (second,)


async def test_removed_server_leaves_no_registrations(pool: StorePool) -> None:
    hooks, one = HookStore(pool.store.redis.background), await pool.add("a")
    await hooks.record(one, Registration(URL, "1", None, "x"))
    await pool.store.remove_server(one, force=True, now_ms=0)
    assert (await hooks.read(one)).registered == ()
    await hooks.record(one, Registration(URL, "1", None, "x"))
    assert await pool.redis("EXISTS", "appliance:hooks_on:a") == 0


async def test_server_that_a_scalelite_removed_leaves_no_registrations(pool: StorePool) -> None:
    hooks, one = HookStore(pool.store.redis.background), await pool.add("a")
    await hooks.record(one, Registration(URL, "1", None, "x"))
    for key in ("server:a", "server_load"):
        await pool.redis("DEL", key)
    await pool.redis("SREM", "servers", "a")
    await pool.redis("SREM", "server_enabled", "a")
    await pool.store.sweep(now_ms=pool.now_ms, grace_ms=1)
    assert (await hooks.read(one)).registered == ()


async def test_hooks_of_a_tenant_that_is_gone_are_swept(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    await pool.redis("SADD", "tenants", "t-1")
    await pool.redis("HSET", "tenant:t-1", "name", "school", "secrets", "s")
    await hooks.add(Hook("", URL))
    await hooks.add(Hook("", URL, tenant_id=T1))
    await hooks.add(Hook("", URL, tenant_id=TenantId("gone")))
    before = await hooks.version()
    assert await pool.store.sweep(now_ms=pool.now_ms, grace_ms=1) == 1
    assert {hook.tenant_id for hook in await hooks.all()} == {None, "t-1"}
    assert await hooks.version() != before
