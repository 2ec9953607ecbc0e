"""Web hooks that are bound to a meeting end with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from appliance.callbacks.ended_rules import EndReport, MeetingRun
from appliance.callbacks.ended_store import EndedStore
from appliance.callbacks.hook_rules import MAX_HOOKS, Hook
from appliance.callbacks.hook_store import HookStore
from appliance.model import MeetingId, ServerId, TenantId
from tests.doubles.store_pool import StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

URL = "https://lms.example.org/hook"
T1, T2 = TenantId("t-1"), TenantId("t-2")
A = ServerId("a")
RUN_MS = 1_000


def hooks_of(pool: StorePool) -> HookStore:
    return HookStore(pool.store.redis.background)


async def bind(pool: StorePool, meeting_id: str, tenant_id: TenantId | None = None) -> str:
    """Register a hook of a meeting; return its id."""
    known = len(await hooks_of(pool).all())
    added = await hooks_of(pool).add(
        Hook("", f"{URL}?{known}", meeting_id=meeting_id, tenant_id=tenant_id)
    )
    assert added is not None
    return added[0]


async def living(pool: StorePool) -> set[str]:
    return {hook.id for hook in await hooks_of(pool).all()}


async def ended_by_a_call(pool: StorePool) -> None:
    meeting = await pool.find("m")
    assert meeting is not None
    await pool.forget(meeting)


async def reported_by_the_server(pool: StorePool) -> None:
    call = EndReport(MeetingId("m"), A, RUN_MS)
    assert await EndedStore(pool.store.redis).end_meeting(call, now_ms=pool.now_ms)


async def cleared_with_its_server(pool: StorePool) -> None:
    await pool.store.clear_server(A, now_ms=pool.now_ms, to_be_ended=True)


async def removed_with_its_server(pool: StorePool) -> None:
    await pool.store.remove_server(A, force=True, now_ms=0)


async def gone_when_its_server_is_back(pool: StorePool) -> None:
    await pool.lose(A)
    assert len(await living(pool)) == 3
    pool.now_ms += 120_000
    await pool.poll(A, {})


async def reported_by_a_server_that_is_offline(pool: StorePool) -> None:
    await pool.lose(A)
    await reported_by_the_server(pool)


async def lost_and_cleared(pool: StorePool) -> None:
    await pool.lose(A)
    await cleared_with_its_server(pool)


async def lost_and_removed(pool: StorePool) -> None:
    await pool.lose(A)
    await removed_with_its_server(pool)


@pytest.mark.parametrize(
    "end",
    [
        ended_by_a_call,
        reported_by_the_server,
        cleared_with_its_server,
        removed_with_its_server,
        gone_when_its_server_is_back,
        reported_by_a_server_that_is_offline,
        lost_and_cleared,
        lost_and_removed,
    ],
)
async def test_hook_of_a_meeting_ends_with_it(
    pool: StorePool, end: Callable[[StorePool], Awaitable[None]]
) -> None:
    await pool.add("a")
    await bind(pool, "m")
    meeting = await pool.create("m", confirm=False)
    await pool.store.confirm_meeting(meeting, now_ms=pool.now_ms, run=MeetingRun(RUN_MS))
    others = {await bind(pool, "other")}
    added = await hooks_of(pool).add(Hook("", URL))  # of all meetings
    assert added is not None
    before = await hooks_of(pool).version()

    await end(pool)

    assert await living(pool) == {*others, added[0]}
    assert await hooks_of(pool).version() != before


async def test_hook_of_a_meeting_lives_until_then(pool: StorePool) -> None:
    await pool.add("a")
    hook = await bind(pool, "m")  # before the meeting begins
    meeting = await pool.create("m", confirm=False)
    await pool.store.abandon_meeting(meeting, now_ms=pool.now_ms, may_exist=False)
    assert await living(pool) == {hook}  # its create failed; it may be repeated

    await pool.create("m")
    await pool.lose(A)
    await pool.poll(A, {"m": 1})

    assert await living(pool) == {hook}


async def test_hook_of_a_tenants_meeting_ends_with_that_tenants(pool: StorePool) -> None:
    await pool.add("a")
    first, second = await bind(pool, "m", T1), await bind(pool, "m", T2)
    plain = await pool.create("m", tenant_id=T1)
    scoped = await pool.create("m", tenant_id=T2)
    assert (plain.id, scoped.id) == ("m", "m~t-2")

    await pool.forget(scoped)
    assert await living(pool) == {first}

    second = await bind(pool, "m", T2)
    await pool.forget(plain)
    assert await living(pool) == {second}


async def test_hooks_of_meetings_that_ended_do_not_count(pool: StorePool) -> None:
    await pool.add("a")
    for _ in range(MAX_HOOKS):
        await bind(pool, "m")
    assert await hooks_of(pool).add(Hook("", URL)) is None

    await pool.forget(await pool.create("m"))

    assert await hooks_of(pool).add(Hook("", URL)) is not None


async def test_hooks_leave_nothing_behind(pool: StorePool) -> None:
    await pool.add("a")
    await bind(pool, "m")
    destroyed = await bind(pool, "m")
    await bind(pool, "m", T1)  # of a tenant that is not in the store

    await hooks_of(pool).remove(destroyed, None)
    await pool.forget(await pool.create("m"))
    await pool.store.sweep(now_ms=pool.now_ms, grace_ms=1)

    for key in ("hooks", "hooks_of:m", "hooks_of:m~t-1"):
        assert await pool.redis("EXISTS", f"appliance:{key}") == 0
