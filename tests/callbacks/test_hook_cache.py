"""What a create knows of the hooks without asking."""

from __future__ import annotations

from appliance.callbacks.hook_cache import HookCache
from appliance.callbacks.hook_rules import Hook
from appliance.callbacks.hook_store import HookStore
from appliance.model import MeetingId, TenantId
from tests.doubles.store_pool import StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

URL = "https://lms.example.org/hook"
ROOM, T1 = MeetingId("room"), TenantId("t-1")


async def test_book_knows_what_it_has_read(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    book = HookCache(hooks, multitenancy=False)
    await hooks.add(Hook("", URL, meeting_id="room"))
    assert not book.concerns(ROOM, None)
    await book.refresh()
    assert book.concerns(ROOM, None)
    assert not book.concerns(MeetingId("other"), None)
    await hooks.remove("1", None)
    await book.refresh()
    assert not book.concerns(ROOM, None)


async def test_hooks_of_all_meetings_concern_no_single_one(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    book = HookCache(hooks, multitenancy=False)
    await hooks.add(Hook("", URL))
    await book.refresh()
    assert not book.concerns(ROOM, None)


async def test_with_tenants_any_hook_concerns_every_meeting(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    book = HookCache(hooks, multitenancy=True)
    await hooks.add(Hook("", URL, meeting_id="other", tenant_id=T1))
    await book.refresh()
    # Its id may have been another tenant's, whose hooks are still there.
    assert book.concerns(ROOM, TenantId("t-2"))


def test_hooks_of_nobody_do_not_count_with_tenants_nor_those_of_tenants_without() -> None:
    mine, nobodys = Hook("1", URL, tenant_id=T1), Hook("2", URL)
    for multitenancy, expected in ((True, mine), (False, nobodys)):
        book = HookCache(None, multitenancy=multitenancy)  # type: ignore[arg-type]
        assert book.active([mine, nobodys]) == [expected]


async def test_hooks_are_read_again_only_when_they_have_changed(pool: StorePool) -> None:
    hooks = HookStore(pool.store.redis.background)
    book = HookCache(hooks, multitenancy=False)
    await hooks.add(Hook("", URL, meeting_id="room"))
    await book.refresh()
    before = pool.store.bulk.round_trips
    await book.refresh()
    assert pool.store.bulk.round_trips - before == 1
    await hooks.remove("1", None)
    await book.refresh()
    assert not book.concerns(ROOM, None)
