"""Limits of tenants in the file of `servers sync`."""

from __future__ import annotations

import pytest

from appliance.features import Features
from appliance.model import TenantId
from appliance.servers.sync.apply import export_servers, sync_servers
from appliance.servers.sync.yaml_limits import parse_tenant_limits
from appliance.servers.sync.yaml_list import BadServerList, read_document
from appliance.tenants.administration import add_tenant
from appliance.tenants.values import TenantChange
from tests.doubles.features import open_features

SERVERS = "servers:\n  a:\n    secret: s\n    url: http://127.0.0.1:9/a/api\n    enabled: false\n"
SCHOOL = """\
tenants:
  school:
    limits:
      max_meetings: 20
      max_recordings_gb: '1.5'
"""


def test_limits_are_read_by_tenant_and_empty_ones_are_removed() -> None:
    text = f"{SERVERS}{SCHOOL}      max_users:\n  other:\n  third: {{limits: {{}}}}\n"
    assert parse_tenant_limits(read_document(text)) == (
        {"school": {"max_meetings": "20", "max_recordings_gb": "1.5", "max_users": ""}},
        [],
    )
    assert parse_tenant_limits(read_document(SERVERS)) == ({}, [])
    # As in Scalelite, there may be more in a file.
    assert parse_tenant_limits(read_document(f"defaults: {{a: 1}}\n{SERVERS}")) == ({}, [])


@pytest.mark.parametrize(
    ("tenants", "problem"),
    [
        ("school: {limits: {max_rooms: 1}}", "line 7: tenant school: max_rooms is not a limit"),
        ("school: {limits: {max_users: many}}", "line 7: tenant school: max_users must be"),
        ("school: {limits: {max_users: [1]}}", "tenant school: max_users must be a number"),
        ("school: {limits: 5}", "tenant school: `limits` must map names to values"),
        ("other: {limits: {max_users: 1}}", "tenant other: there is no such tenant"),
        ("school: {limts: {max_users: 5}}", "line 7: tenant school: unknown field `limts` (known:"),
        ("school: {limits: {}, settings: {}}", "tenant school: unknown field `settings`"),
        ("school: 5", "tenant school: it must map names to values"),
        ("school: {limits: {max_users: 1, max_users: 2}}", "school: max_users is given twice"),
        ("{school: {limits: {}}, school: {limits: {}}}", "tenant school: it is there twice"),
        ("{s: {limits: {max_users: 1}}}\ntenant: {}", "line 8: unknown field `tenant` (known: ser"),
        ("[]", "`tenants` must map names to values"),
    ],
)
async def test_file_with_wrong_limits_changes_nothing(
    redis_url: str, redis_namespace: str, tenants: str, problem: str
) -> None:
    async with with_school(redis_url, redis_namespace) as res:
        with pytest.raises(BadServerList) as refused:
            await sync_servers(res.servers, "test", f"{SERVERS}tenants:\n  {tenants}\n")
        assert problem in str(refused.value)
        assert await res.pool.records.list_servers() == []


def with_school(redis_url: str, namespace: str):  # type: ignore[no-untyped-def]
    return open_features(redis_url, namespace, MULTITENANCY_ENABLED="true")


async def limits_of(res: Features, tenant: str | None) -> dict[str, float]:
    tenant_id = TenantId(tenant) if tenant else None
    return dict((await res.tenants.limits.read(tenant_id, now_ms=res.now_ms())).limits)


async def test_sync_sets_limits_and_export_writes_them(
    redis_url: str, redis_namespace: str
) -> None:
    async with with_school(redis_url, redis_namespace) as res:
        change = TenantChange(name="school", secrets="s")
        school = await add_tenant(res.tenants, "test", change, new_id=lambda: "t1")

        dry = await sync_servers(res.servers, "test", SERVERS + SCHOOL, dry_run=True)
        assert dry.notes == ("limits of school: max_meetings=20 max_recordings_gb=1.5",)
        assert await limits_of(res, school.id) == {}
        await sync_servers(res.servers, "test", SERVERS + SCHOOL)
        assert await limits_of(res, school.id) == {"max_meetings": 20, "max_recordings_gb": 1.5}

        exported = await export_servers(res.servers, verbose=False)
        assert parse_tenant_limits(read_document(exported)) == parse_tenant_limits(
            read_document(SERVERS + SCHOOL)
        )
        emptied = SERVERS + "tenants:\n  school:\n    limits:\n      max_meetings: ''\n"
        await sync_servers(res.servers, "test", emptied)
        assert await limits_of(res, school.id) == {"max_recordings_gb": 1.5}


async def test_pool_without_tenants_is_named_default(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        await sync_servers(res.servers, "test", SERVERS + SCHOOL.replace("school", "default"))
        assert await limits_of(res, None) == {"max_meetings": 20, "max_recordings_gb": 1.5}
        with pytest.raises(BadServerList, match="no such tenant"):
            await sync_servers(res.servers, "test", SERVERS + SCHOOL)


async def test_tenant_is_found_in_any_case_and_only_changes_are_noted(
    redis_url: str, redis_namespace: str
) -> None:
    async with with_school(redis_url, redis_namespace) as res:
        change = TenantChange(name="school", secrets="s")
        school = await add_tenant(res.tenants, "test", change, new_id=lambda: "t1")
        await sync_servers(res.servers, "test", SERVERS + SCHOOL)
        text = SERVERS + SCHOOL.replace("school", "SCHOOL").replace("20", "21")

        changed = await sync_servers(res.servers, "test", text + "      max_users:\n")
        again = await sync_servers(res.servers, "test", text)

        assert changed.notes == ("limits of SCHOOL: max_meetings=21",)
        assert again.notes == ()
        assert await limits_of(res, school.id) == {"max_meetings": 21, "max_recordings_gb": 1.5}
        twice = text + SCHOOL.partition("\n")[2]
        with pytest.raises(BadServerList, match="tenant school: it is there as SCHOOL, too"):
            await sync_servers(res.servers, "test", twice)
