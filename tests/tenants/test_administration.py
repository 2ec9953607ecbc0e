"""Managing tenants: what is refused and why, what is logged, and that it is effective at once."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.features import Features
from appliance.model import TenantId
from appliance.tenants.administration import (
    add_setting,
    add_tenant,
    find_tenant,
    list_settings,
    list_tenants,
    remove_setting,
    remove_tenant,
    update_tenant,
)
from appliance.tenants.values import TenantChange, TenantSetting
from tests.doubles.features import EventBook, open_features

SCHOOL = TenantChange(name="school", secrets="s3cr3t:0ther")


@pytest.fixture
async def res(redis_url: str, redis_namespace: str) -> AsyncIterator[Features]:
    """Give resources on an empty namespace."""
    async with open_features(redis_url, redis_namespace) as opened:
        yield opened


def logged(res: Features, event: str) -> list[dict[str, object]]:
    assert isinstance(res.log, EventBook)
    assert not any(secret in str(res.log.events) for secret in ("s3cr3t", "n3w", "hidd3n"))
    return res.log.named(event)


def setting(tenant_id: str, **fields: str) -> TenantSetting:
    bare = TenantSetting("", TenantId(tenant_id), "welcome", "hidd3n", override=True)
    return replace(bare, **fields)  # type: ignore[arg-type]


async def secrets_of(res: Features, label: str) -> tuple[str, ...] | None:
    found = await res.tenants.cache.find(label)
    return found.secrets if found else None


async def test_tenant_is_added_under_a_uuid_and_known_at_once(res: Features) -> None:
    assert await secrets_of(res, "school") is None  # and this is kept for a second

    added = await add_tenant(res.tenants, "me", SCHOOL)

    assert uuid.UUID(added.id).version == 4
    assert added == await find_tenant(res.tenants, added.id)
    assert await secrets_of(res, "SCHOOL") == ("s3cr3t", "0ther")
    assert logged(res, "tenant_added") == [{"tenant": added.id, "name": "school", "by": "me"}]


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (TenantChange(), "the name"),
        (TenantChange(name="school"), "the secrets must not be empty"),
        (TenantChange(secrets="s"), "the name"),
        (TenantChange(name="my school", secrets="s"), "the name must be one label"),
        (TenantChange(name="school", secrets="s:"), "the secrets must not be empty"),
        (TenantChange(name="school", secrets="s", lrs_endpoint="x"), "lrs_endpoint"),
    ],
)
async def test_tenant_is_refused_with_the_reason(
    res: Features, new: TenantChange, reason: str
) -> None:
    with pytest.raises(Refused, match=reason) as refused:
        await add_tenant(res.tenants, "me", new)

    assert refused.value.kind is RefusalKind.INVALID
    assert await list_tenants(res.tenants) == ()


async def test_second_tenant_of_a_name_is_refused(res: Features) -> None:
    first = await add_tenant(res.tenants, "me", SCHOOL)
    other = await add_tenant(res.tenants, "me", TenantChange(name="uni", secrets="s"))

    for call in (
        add_tenant(res.tenants, "me", replace(SCHOOL, name="School")),
        update_tenant(res.tenants, "me", other.id, TenantChange(name="SCHOOL")),
    ):
        with pytest.raises(Refused, match=rf"is taken by tenant {first.id}; ") as refused:
            await call
        assert refused.value.kind is RefusalKind.INVALID
    assert [tenant.name for tenant in await list_tenants(res.tenants)] == ["school", "uni"]


async def test_tenants_are_listed_as_people_sort_them(res: Features) -> None:
    for name in ("class10", "Class2", "abc"):
        await add_tenant(res.tenants, "me", TenantChange(name=name, secrets="s"))

    assert [tenant.name for tenant in await list_tenants(res.tenants)] == [
        "abc",
        "Class2",
        "class10",
    ]


async def test_change_of_secrets_is_effective_at_once(res: Features) -> None:
    added = await add_tenant(res.tenants, "me", SCHOOL)
    assert await secrets_of(res, "school") == ("s3cr3t", "0ther")

    changed = await update_tenant(
        res.tenants, "me", added.id, TenantChange(secrets="n3w", lrs_password="hidd3n")
    )

    assert await secrets_of(res, "school") == ("n3w",)
    assert (changed.name, changed.secrets, changed.lrs_password) == ("school", "n3w", "hidd3n")
    assert logged(res, "tenant_changed") == [
        {"tenant": added.id, "changed": ["secrets", "lrs_password"], "by": "me"}
    ]


async def test_renamed_tenant_is_known_by_its_new_name_only(res: Features) -> None:
    added = await add_tenant(res.tenants, "me", SCHOOL)
    assert await secrets_of(res, "school") == ("s3cr3t", "0ther")

    await update_tenant(res.tenants, "me", added.id, TenantChange(name="academy"))

    assert await secrets_of(res, "school") is None
    assert await secrets_of(res, "academy") == ("s3cr3t", "0ther")
    assert logged(res, "tenant_changed") == [
        {"tenant": added.id, "changed": ["name"], "name": "academy", "by": "me"}
    ]


async def test_removed_tenant_is_known_no_more_and_leaves_nothing(res: Features) -> None:
    added = await add_tenant(res.tenants, "me", SCHOOL)
    await add_setting(res.tenants, "me", setting(added.id))
    assert await secrets_of(res, "school")

    assert (await remove_tenant(res.tenants, "me", added.id, force=False)).name == "school"

    assert await secrets_of(res, "school") is None
    assert (await list_tenants(res.tenants), await list_settings(res.tenants)) == ((), ())
    assert logged(res, "tenant_removed") == [
        {"tenant": added.id, "name": "school", "forced": False, "by": "me"}
    ]


async def test_tenant_with_meetings_is_removed_only_by_force(res: Features) -> None:
    added = await add_tenant(res.tenants, "me", SCHOOL)
    client, space = res.redis.foreground.client, res.redis.foreground.namespace
    for name in ("m1", "m2"):
        key = f"{space}:meeting:{name}"
        await client.command("HSET", key, "server_id", "x", "tenant_id", added.id)
        await client.command("SADD", f"{space}:meetings", name)

    with pytest.raises(Refused, match="has 2 meetings; let them end first, or use force"):
        await remove_tenant(res.tenants, "me", added.id, force=False)
    assert await secrets_of(res, "school")

    await remove_tenant(res.tenants, "me", added.id, force=True)
    assert await secrets_of(res, "school") is None


async def test_unknown_tenant_is_refused_by_every_call(res: Features) -> None:
    for call in (
        find_tenant(res.tenants, "x"),
        update_tenant(res.tenants, "me", "x", TenantChange(secrets="s")),
        remove_tenant(res.tenants, "me", "x", force=True),
        list_settings(res.tenants, "x"),
        add_setting(res.tenants, "me", setting("x")),
    ):
        with pytest.raises(Refused, match="Couldn't find Tenant with id=x") as refused:
            await call
        assert refused.value.kind is RefusalKind.NOT_FOUND
    with pytest.raises(Refused, match="Couldn't find TenantSetting with id=y") as refused:
        await remove_setting(res.tenants, "me", "y")
    assert refused.value.kind is RefusalKind.NOT_FOUND


async def test_setting_is_effective_at_once_and_until_it_is_removed(res: Features) -> None:
    added = await add_tenant(res.tenants, "me", SCHOOL)
    assert await secrets_of(res, "school")

    made = await add_setting(res.tenants, "me", setting(added.id, call="join"))

    assert await list_settings(res.tenants, added.id) == (made,)
    found = await res.tenants.cache.find("school")
    assert found is not None
    assert (found.override_join, found.override_create) == ((("welcome", "hidd3n"),), ())
    assert await remove_setting(res.tenants, "me", made.id) == made
    found = await res.tenants.cache.find("school")
    assert found is not None
    assert found.override_join == ()
    fields = {"tenant": added.id, "setting": made.id, "param": "welcome", "override": True}
    for event in ("tenant_setting_added", "tenant_setting_removed"):
        assert logged(res, event) == [{**fields, "call": "join", "by": "me"}]


async def test_second_or_odd_setting_is_refused(res: Features) -> None:
    added = await add_tenant(res.tenants, "me", SCHOOL)
    made = await add_setting(res.tenants, "me", setting(added.id))

    with pytest.raises(Refused, match=rf"a setting of welcome already \({made.id}\)"):
        await add_setting(res.tenants, "me", setting(added.id, value="other"))
    with pytest.raises(Refused, match="the param must"):
        await add_setting(res.tenants, "me", setting(added.id, param="a b"))
    assert await list_settings(res.tenants) == (made,)
