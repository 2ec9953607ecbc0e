"""Hooks on real servers: placed, kept, moved with their meetings, and never another tenant's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from appliance.bbb.signed_request import Caller
from appliance.callbacks.hook_rules import Hook
from appliance.callbacks.hook_sync import sync_all_hooks, sync_server_hooks
from appliance.model import ServerState, Tenant, TenantId
from appliance.servers.administration import remove_server
from tests.doubles.bbb_process import BbbProcess, until
from tests.doubles.features import open_features, rewire
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.redis_processes import redis_process

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

URL = "http://127.0.0.1:9/hook"
A = Tenant(TenantId("t-a"), "a", ("s",))
B = Tenant(TenantId("t-b"), "b", ("s",))


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool without tenants."""
    async with open_live(redis_url, redis_namespace, bbbs) as opened:
        yield opened


@pytest.fixture
async def tenants(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool of one server with tenants."""
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], MULTITENANCY_ENABLED="true"
    ) as opened:
        yield opened


async def add(pool: LivePool, url: str = URL, **fields: Any) -> str:
    """Register a hook with us, and nowhere else."""
    added = await pool.res.callbacks.hooks.add(Hook("", url, **fields))
    assert added is not None
    await pool.res.callbacks.hook_cache.refresh()
    return added[0]


def bound(bbb: BbbProcess) -> list[str | None]:
    """Return which meetings the hooks of a server are for."""
    return [hook["meeting_id"] for hook in bbb.hooks()]


def events(bbb: BbbProcess) -> list[tuple[str, str]]:
    """Return the meeting and the method of each call that a server has made to a hook."""
    calls = bbb.callbacks()
    return [(call["meetingID"], call["method"]) for call in calls if call["url"].startswith(URL)]


async def test_poll_puts_a_hook_on_the_server(pool: LivePool) -> None:
    await add(pool, event_ids="user-joined,user-left", raw=True)
    await pool.poll("bbb-1")
    (hook,) = pool.servers[0].hooks()
    assert (hook["url"], hook["meeting_id"], hook["raw"]) == (URL, None, True)
    assert hook["event_ids"] == ["user-joined", "user-left"]


async def test_poll_without_hooks_asks_for_none(pool: LivePool) -> None:
    await pool.poll("bbb-1", read_version=True)
    assert [one["call"] for one in pool.servers[0].requests()] == ["getMeetings", "index"]


async def test_poll_leaves_what_is_in_order_alone(pool: LivePool) -> None:
    await add(pool)
    await pool.poll("bbb-1")
    pool.servers[0].clear_requests()
    await pool.poll("bbb-1")
    assert [one["call"] for one in pool.servers[0].requests()] == ["getMeetings"]
    await pool.poll("bbb-1", read_version=True)
    assert pool.servers[0].requests()[-1]["call"] == "hooks/list"
    assert len(pool.servers[0].hooks()) == 1


async def test_lost_hooks_are_registered_again_when_the_server_is_back(pool: LivePool) -> None:
    await add(pool)
    await pool.poll("bbb-1")
    await pool.lose("bbb-1")
    pool.servers[0].forget_hooks()
    await pool.poll("bbb-1")
    assert bound(pool.servers[0]) == [None]


async def test_lost_hooks_are_registered_again_when_the_version_is_read(pool: LivePool) -> None:
    await add(pool)
    await pool.poll("bbb-1")
    pool.servers[0].forget_hooks()
    await pool.poll("bbb-1", read_version=True)
    assert bound(pool.servers[0]) == [None]


async def test_hook_that_the_server_had_already_is_taken_for_ours(pool: LivePool) -> None:
    bbb = pool.servers[0]
    await add(pool)
    await pool.poll("bbb-1")
    server = await pool.server("bbb-1")
    (kept,) = (await pool.res.callbacks.hooks.read(server.id)).registered
    await pool.res.callbacks.hooks.forget(server.id, kept)
    await pool.poll("bbb-1")
    assert len(bbb.hooks()) == 1
    assert (await pool.res.callbacks.hooks.read(server.id)).registered == (kept,)


async def test_destroyed_hook_goes_when_its_server_is_back(pool: LivePool) -> None:
    bbb = pool.servers[0]
    hook_id = await add(pool)
    await pool.poll("bbb-1")
    with bbb.fault("status", "hooks/destroy", status=500):
        await pool.res.callbacks.hooks.remove(hook_id, None)
        await pool.poll("bbb-1")
        assert len(bbb.hooks()) == 1
    await pool.poll("bbb-1")
    assert bbb.hooks() == []
    assert (await pool.res.callbacks.hooks.read((await pool.server("bbb-1")).id)).registered == ()


async def test_hook_of_a_meeting_is_on_its_server_before_the_meeting(pool: LivePool) -> None:
    await add(pool, meeting_id="room")
    await pool.create(caller=Caller())
    assert [bound(bbb) for bbb in pool.servers[:2]] == [["room"], []]
    calls = [one["call"] for one in pool.servers[0].requests()]
    assert calls == ["hooks/create", "create"]
    await until(lambda: events(pool.servers[0]) == [("room", "POST")], 40, "meeting-created")


async def test_hook_of_a_meeting_goes_when_the_meeting_is_over(pool: LivePool) -> None:
    await add(pool, meeting_id="room")
    await pool.create()
    pool.servers[0].end_meeting("room", callback=False)
    await pool.poll("bbb-1")
    await pool.poll("bbb-1")
    assert pool.servers[0].hooks() == []


async def test_create_does_not_wait_for_a_server_without_hooks(pool: LivePool) -> None:
    await add(pool, meeting_id="room")
    with pool.servers[0].fault("status", "hooks/create", status=404):
        assert (await pool.create())["returncode"] == "SUCCESS"
    assert pool.log.named("hooks_not_kept")
    await pool.settled()
    assert not (await pool.server("bbb-1")).unstable


async def test_tenants_hook_hears_of_its_own_meetings_only(tenants: LivePool) -> None:
    bbb = tenants.servers[0]
    await add(tenants, tenant_id=A.id)
    for tenant, meeting_id in ((A, "one"), (B, "two"), (A, "three")):
        await tenants.create(meeting_id, caller=Caller(tenant))
    await tenants.poll("bbb-1", read_version=True)

    assert sorted(filter(None, bound(bbb))) == ["one", "three"]
    assert None not in bound(bbb)
    for meeting_id in ("one", "two", "three"):
        bbb.end_meeting(meeting_id)
    heard = [("one", "POST")] * 2 + [("three", "POST")] * 2
    await until(lambda: sorted(events(bbb)) == heard, 40, "events")


async def test_equal_ids_of_two_tenants_are_heard_apart(tenants: LivePool) -> None:
    bbb = tenants.servers[0]
    await add(tenants, f"{URL}/a", meeting_id="room", tenant_id=A.id)
    await add(tenants, f"{URL}/b", meeting_id="room", tenant_id=B.id)
    await tenants.create("room", caller=Caller(B))
    await tenants.create("room", caller=Caller(A))
    hooks = {hook["url"].partition("?")[0]: hook["meeting_id"] for hook in bbb.hooks()}
    assert hooks == {f"{URL}/b": "room", f"{URL}/a": "room~t-a"}


async def test_id_that_another_tenant_uses_next_is_not_listened_to(tenants: LivePool) -> None:
    bbb = tenants.servers[0]
    await add(tenants, meeting_id="room", tenant_id=A.id)
    await tenants.create("room", caller=Caller(A))
    meeting = await tenants.meeting()
    assert meeting is not None
    bbb.end_meeting("room")
    assert await tenants.res.pool.records.forget_meeting(meeting, now_ms=tenants.res.now_ms())
    await until(lambda: len(events(bbb)) == 2, 40, "events of A's")

    await tenants.create("room", caller=Caller(B))

    assert bbb.hooks() == []
    assert bbb.requests()[-1]["call"] == "create"


async def test_hooks_of_nobody_are_on_no_server_of_tenants(tenants: LivePool) -> None:
    await add(tenants)
    await tenants.poll("bbb-1", read_version=True)
    assert tenants.servers[0].hooks() == []


async def test_disabled_server_loses_hooks_and_gets_none(pool: LivePool) -> None:
    bbb = pool.servers[0]
    hook_id = await add(pool)
    await pool.poll("bbb-1")
    await pool.set_state("bbb-1", ServerState.DISABLED)
    await add(pool, f"{URL}/2")
    await pool.res.callbacks.hooks.remove(hook_id, None)
    await sync_all_hooks(pool.res.callbacks, disabled_too=True)
    assert bbb.hooks() == []
    assert len(pool.servers[1].hooks()) == 1
    await sync_server_hooks(pool.res.callbacks, await pool.server("bbb-1"), verify=False)
    assert bbb.hooks() == []


async def test_server_that_leaves_the_pool_leaves_its_hooks(pool: LivePool) -> None:
    await add(pool)
    await pool.poll("bbb-1")
    assert len(pool.servers[0].hooks()) == 1
    await remove_server(pool.res.servers, "test", "bbb-1", force=False)
    await pool.settled()
    assert pool.servers[0].hooks() == []


async def test_server_that_does_not_list_its_hooks_is_believed_to_have_them(pool: LivePool) -> None:
    bbb = pool.servers[0]
    await add(pool)
    with bbb.fault("failed", "hooks/list"):
        await pool.poll("bbb-1", read_version=True)
        assert len(bbb.hooks()) == 1
        await pool.poll("bbb-1", read_version=True)
        assert len(bbb.requests("hooks/create")) == 1


async def test_poll_succeeds_when_the_store_goes_away_before_the_hooks_are_kept(
    pool: LivePool, redis_namespace: str
) -> None:
    with redis_process() as redis:
        async with open_features(redis.unix_url, redis_namespace) as other:
            await add(pool)
            redis.kill()
            without = replace(pool, res=rewire(pool.res, callbacks__hooks=other.callbacks.hooks))

            assert (await without.poll("bbb-1")).succeeded

    assert pool.log.named("hooks_not_kept")
    assert (await pool.poll("bbb-1", read_version=True)).succeeded
    assert bound(pool.servers[0]) == [None]
