"""The admin calls about tenants, as Scalelite answers them, and about their settings."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.admin_calls.actors import Actor
from appliance.admin_calls.refusal import ErrorAnswer
from appliance.ctl.client import Refusal
from appliance.features import Features
from appliance.tenants.admin_calls import TENANT_CALLS
from appliance.tenants.admin_setting_calls import SETTING_CALLS
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import EventBook, open_features

SCHOOL = {"name": "school", "secrets": "s3cr3t:0ther"}


@pytest.fixture
async def res(redis_url: str, redis_namespace: str) -> AsyncIterator[Features]:
    """Give resources with multitenancy on an empty namespace."""
    async with open_features(redis_url, redis_namespace, MULTITENANCY_ENABLED="true") as opened:
        yield opened


@pytest.fixture
async def control(res: Features) -> AsyncIterator[ControlDouble]:
    """Give its control socket."""
    async with open_control(res) as opened:
        yield opened


async def refused(control: ControlDouble, call: str, body: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(Refusal) as refusal:
        await control.post(call, body)
    return refusal.value.status, str(refusal.value)


async def test_calls_of_scalelite_have_its_fields(control: ControlDouble) -> None:
    assert await control.get("getTenants") == {"message": "No tenants exist"}

    added = await control.post("addTenant", {"tenant": SCHOOL})

    tenant_id = added["id"]
    record = {"id": tenant_id, **SCHOOL, "new_record": False, "destroyed": False}
    assert added == {"id": tenant_id, "tenant": record}
    assert await control.get("getTenants") == [{"id": tenant_id, **SCHOOL}]
    assert await control.get("getTenantInfo", id=tenant_id) == record
    change = {"id": tenant_id, "tenant": {"secrets": "n3w", "name": ""}}
    changed = {**record, "secrets": "n3w"}
    assert await control.post("updateTenant", change) == {**changed, "tenant": changed}
    assert await control.post("updateTenant", {"id": tenant_id}) == {**changed, "tenant": changed}
    assert await control.post("deleteTenant", {"id": tenant_id}) == {
        "id": tenant_id,
        "success": f"Tenant id={tenant_id} was destroyed",
    }


async def test_fields_may_stand_at_the_top_and_lrs_is_ours(control: ControlDouble) -> None:
    lrs = {"lrs_endpoint": "https://lrs.example.org/xapi", "lrs_username": "u"}
    added = await control.post("addTenant", {**SCHOOL, **lrs})
    assert added["tenant"].items() >= (SCHOOL | lrs).items()

    flat = {"id": added["id"], "name": "academy", "lrs_username": "", "kc_client_id": "c"}
    changed = await control.post("updateTenant", flat)

    assert (changed["name"], changed["kc_client_id"]) == ("academy", "c")
    assert "lrs_username" not in changed


@pytest.mark.parametrize(
    ("call", "body", "answer"),
    [
        ("addTenant", {}, (400, "Error: both name and secrets are required to create a Tenant")),
        ("addTenant", {"tenant": {"name": "a"}}, (400, "Error: both name and secrets are req")),
        ("addTenant", {"tenant": {"name": "a b", "secrets": "s"}}, (400, "the name must be one")),
        ("addTenant", {"tenant": {"name": 1, "secrets": "s"}}, (400, "name must be a text")),
        ("addTenant", {"tenant": "x"}, (400, "tenant must be a JSON object")),
        ("updateTenant", {}, (404, "Couldn't find Tenant with id= (id is missing)")),
        ("updateTenant", {"id": "x", "name": 1}, (404, "Couldn't find Tenant with id=x")),
        ("deleteTenant", {}, (404, "Couldn't find Tenant with id= (id is missing)")),
        ("updateTenant", {"id": "x"}, (404, "Couldn't find Tenant with id=x")),
        ("updateTenant", {"id": "x", "secrets": "s"}, (404, "Couldn't find Tenant with id=x")),
        ("deleteTenant", {"id": "x"}, (404, "Couldn't find Tenant with id=x")),
        (
            "addTenantSetting",
            {"tenant_id": "x", "param": "p", "mode": "cap"},
            (400, "cap takes a value"),
        ),
        ("addTenantSetting", {}, (400, "tenant_id, param, value and override are required")),
        (
            "addTenantSetting",
            {"tenant_id": "x", "param": "p", "value": "v", "override": "maybe"},
            (400, "override must be true or false"),
        ),
        (
            "addTenantSetting",
            {"tenant_id": "x", "param": "p", "value": "v", "override": True, "call": "end"},
            (400, "call must be create or join"),
        ),
        (
            "addTenantSetting",
            {"tenant_id": "x", "param": "p", "value": "v", "override": True},
            (404, "Couldn't find Tenant with id=x"),
        ),
        ("setTenantLimits", {"limits": []}, (400, "limits must be an object")),
        ("setTenantLimits", {"limits": False}, (400, "limits must be an object")),
        ("setTenantLimits", {"limits": {"max_users": True}}, (400, "limits must be an object")),
        ("deleteTenantSetting", {}, (404, "Couldn't find TenantSetting with id= (id is")),
        ("deleteTenantSetting", {"id": "x"}, (404, "Couldn't find TenantSetting with id=x")),
    ],
)
async def test_bad_request_gets_its_code_and_reason(
    control: ControlDouble, call: str, body: dict[str, Any], answer: tuple[int, str]
) -> None:
    status, reason = await refused(control, call, body)

    assert status == answer[0]
    assert reason.startswith(answer[1])


async def test_settings_are_added_listed_and_removed(control: ControlDouble) -> None:
    school = (await control.post("addTenant", {"tenant": SCHOOL}))["id"]
    uni = (await control.post("addTenant", {"name": "uni", "secrets": "s"}))["id"]
    fields = {"tenant_id": school, "param": "welcome", "value": "", "override": "true"}

    added = await control.post("addTenantSetting", {"tenant_setting": fields})
    flat = {**fields, "tenant_id": uni, "override": False, "call": "join"}
    other = (await control.post("addTenantSetting", flat))["tenant_setting"]

    first = {"id": added["id"], **fields, "call": "", "mode": "override", "version": ""}
    assert added["tenant_setting"] == first
    assert (other["override"], other["call"]) == ("false", "join")
    for given in (uni, "Uni"):
        assert await control.get("getTenantSettings", tenant_id=given) == [other]
    everything = await control.get("getTenantSettings")
    assert sorted(everything, key=str) == sorted([first, other], key=str)
    assert await control.post("deleteTenantSetting", {"id": added["id"]}) == {
        "id": added["id"],
        "success": f"TenantSetting id={added['id']} was destroyed",
    }
    assert await control.get("getTenantSettings") == [other]


async def test_tenant_with_meetings_is_deleted_by_force(
    control: ControlDouble, res: Features
) -> None:
    tenant_id = (await control.post("addTenant", {"tenant": SCHOOL}))["id"]
    client, space = res.redis.foreground.client, res.redis.foreground.namespace
    await client.command("HSET", f"{space}:meeting:m", "server_id", "x", "tenant_id", tenant_id)
    await client.command("SADD", f"{space}:meetings", "m")

    status, reason = await refused(control, "deleteTenant", {"id": tenant_id})

    assert status == 400
    assert reason.startswith(f"tenant {tenant_id} has 1 meeting;")
    await control.post("deleteTenant", {"id": tenant_id, "force": True})


async def test_change_is_logged_with_who_made_it(control: ControlDouble, res: Features) -> None:
    await control.post("addTenant", {"tenant": SCHOOL})

    assert isinstance(res.log, EventBook)
    (event,) = res.log.named("tenant_added")
    assert event["by"].startswith(f"uid={os.getuid()}")
    assert "s3cr3t" not in str(res.log.events)


def test_status_codes_are_scalelites() -> None:
    codes = {call.name: call.status for call in (*TENANT_CALLS, *SETTING_CALLS)}

    created = {name for name, code in codes.items() if code == 201}
    assert created == {"addTenant", "addTenantSetting"}
    assert set(codes.values()) == {200, 201}


async def test_every_call_is_refused_without_multitenancy(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        for call in (*TENANT_CALLS, *SETTING_CALLS):
            with pytest.raises(ErrorAnswer) as refusal:
                await call.bind(res.tenants).run(Actor("me"), {})

            assert refusal.value.status == 412
            assert refusal.value.document.message == "Multitenancy is disabled"  # Scalelite's
            assert refusal.value.document.error.startswith("Multitenancy is disabled: set MULTI")
