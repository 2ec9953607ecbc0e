"""The pages of tenants."""

from __future__ import annotations

from appliance.bbb.signed_request import Caller
from appliance.meetings.create import create_meeting
from appliance.model import Tenant, TenantId
from appliance.tenants.values import TenantChange
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.console import open_console

pytest_plugins = ["tests.doubles.live_pool_fixtures"]


async def test_page_of_a_tenant_by_its_name_is_that_by_its_id(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    variables = {"MULTITENANCY_ENABLED": "true", "BASE_URL": "127.0.0.1"}
    async with open_console(redis_url, redis_namespace, **variables) as opened:
        await opened.add_server("real", url=bbbs[0].url, secret=bbbs[0].secret)
        for tenant, name in (("t1", "school"), ("t2", "other")):
            change = TenantChange(name=name, secrets="s" * 40)
            await opened.features.tenants.store.add_tenant(TenantId(tenant), change)
        school = Caller(Tenant(TenantId("t1"), "school", ("s",)))
        params = (("meetingID", "room"),)
        assert b"SUCCESS" in await create_meeting(opened.features.meetings, school, params)
        bbbs[0].set_users("room", participants=12)  # which a poll may read meanwhile
        redis = opened.features.redis.foreground
        await redis.command("HSET", redis.own_key("meeting:room"), "users", 12)
        pool, own = await opened.log_in("admin"), await opened.log_in("viewer", tenant="t1")

        for client in (pool, own):
            page = await client.get("/scalelite/tenants/School")
            assert page == await client.get("/scalelite/tenants/t1")
            assert "<b>12</b>" in page
        assert "/scalelite/tenants/t1/limits" in await pool.get("/scalelite/tenants/school")
        refused = await pool.post("/scalelite/tenants/t1/limits", max_users="many")
        assert (refused.status, b'value="many"' in refused.body) == (400, True)
        for client, given in ((own, "t2"), (own, "other"), (own, "none"), (pool, "none")):
            failed = await client.ask("GET", f"/scalelite/tenants/{given}")
            assert (failed.status, b"There is no such tenant" in failed.body) == (404, True)
