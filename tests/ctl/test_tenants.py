"""`ctl tenants` and `ctl tenant-settings`, as commands and as rake tasks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from appliance.ctl.commands import build_parser
from appliance.ctl.tenants import FIELDS
from tests.doubles.control import ControlDouble, Done, open_control
from tests.doubles.features import open_features

LRS = "https://lrs.example.org/xapi"
DELETED = Done(0, "Tenant was successfully deleted.\n", "")


@pytest.fixture
async def control(redis_url: str, redis_namespace: str) -> AsyncIterator[ControlDouble]:
    """Open the control socket of an appliance with multitenancy and without tenants."""
    async with (
        open_features(redis_url, redis_namespace, MULTITENANCY_ENABLED="true") as res,
        open_control(res) as opened,
    ):
        yield opened


async def add(control: ControlDouble, name: str, secrets: str = "s1") -> str:
    """Add a tenant without starting a program, and return its id."""
    answer = await control.post("addTenant", {"tenant": {"name": name, "secrets": secrets}})
    return str(answer["id"])


async def test_tenant_is_added_and_listed_as_by_rake(control: ControlDouble) -> None:
    assert await control.ctl("tenants") == Done(0, "Total number of tenants: 0\n", "")
    assert (await control.ctl("tenants", "list", "--json")).json == []

    added = await control.ctl("tenants", "add", "school", "s1,s2")

    match = re.fullmatch(r"OK\nNew Tenant id: ([0-9a-f-]{36})\n", added.out)
    assert match
    assert (added.code, added.err) == (0, "")
    block = f"id: {match[1]}\n\tname: school\n\tsecrets: s1:s2\nTotal number of tenants: 1\n"
    for words in (("tenants",), ("tenants", "list"), ("tenants[]",)):
        assert await control.ctl(*words) == Done(0, block, ""), words
    brief = f"TenantID, Name, Secrets\n{match[1]}, school, s1:s2\nTotal number of tenants: 1\n"
    assert await control.ctl("tenants:showall") == Done(0, brief, "")
    assert (await control.ctl("tenants", "--json")).json == [
        {"id": match[1], "name": "school", "secrets": "s1:s2"}
    ]


async def test_tenant_is_changed_and_removed(control: ControlDouble) -> None:
    tenant_id = await add(control, "school")
    updated = Done(0, f"OK\nUpdated Tenant id: {tenant_id}\n", "")

    for words in (
        ("tenants", "update", tenant_id, "--name", "academy", "--secrets", "s3,s4"),
        (f"tenants:update_lrs_basic[{tenant_id},{LRS},user,pass]",),
        ("tenants", "update", tenant_id, "--lrs-username", "", "--kc-client-id", "client"),
    ):
        assert await control.ctl(*words) == updated, words

    assert (await control.ctl("tenants")).out == (
        f"id: {tenant_id}\n\tname: academy\n\tsecrets: s3:s4\n\tlrs_endpoint: {LRS}\n"
        "\tlrs_password: pass\n\tkc_client_id: client\nTotal number of tenants: 1\n"
    )
    assert await control.ctl("tenants", "remove", tenant_id) == DELETED
    assert (await control.ctl("tenants")).out == "Total number of tenants: 0\n"


async def test_unusable_tenant_of_a_scalelite_is_reported(
    control: ControlDouble, redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        client = res.redis.foreground.client
        await client.command("SADD", f"{redis_namespace}:tenants", "old")
        fields = ("name", "my school", "secrets", "s")
        await client.command("HSET", f"{redis_namespace}:tenant:old", *fields)

    done = await control.ctl("tenants")

    assert (done.code, done.out.splitlines()[-1]) == (0, "Total number of tenants: 1")
    assert done.err == ("warning: tenant old: no request has a host that begins with 'my school'\n")
    assert (await control.ctl("tenants", "--json")).err == ""
    assert (await control.ctl("tenants:showall")).err == ""


def test_every_field_of_a_tenant_has_an_option() -> None:
    options = [f"--{name.replace('_', '-')}={name}" for name in FIELDS]

    args = build_parser().parse_args(["tenants", "update", "i", *options])

    assert {name: getattr(args, name) for name in FIELDS} == {name: name for name in FIELDS}


async def test_refusal_is_one_line_and_exit_code_1(control: ControlDouble) -> None:
    tenant_id = await add(control, "school")
    for words, reason in (
        (("tenants", "add", "School", "s"), f"the name School is taken by tenant {tenant_id}; "),
        (("tenants", "add", "my_school", "s"), "the name must be one label of a host name: "),
        (("tenants", "add", "uni", ""), "both the name and the secrets must not be empty"),
        (("tenants", "add", "uni", "s,,t"), "the secrets must not be empty; "),
        (("tenants", "update", tenant_id, "--secrets", ""), "the secrets must not be empty"),
        (("tenants", "update", "x", "--secrets", "s"), "Couldn't find Tenant with id=x"),
        (("tenants", "remove", "x"), "Couldn't find Tenant with id=x"),
        (("tenants:remove[x]",), "ERROR: Couldn't find Tenant with id=x"),
        (("tenant-settings", "list", "x"), "Couldn't find Tenant with id=x"),
        (("tenant-settings", "remove", "x"), "Couldn't find TenantSetting with id=x"),
    ):
        done = await control.ctl(*words)
        assert (done.code, done.out) == (1, ""), words
        assert done.err.startswith(reason), done.err
        assert len(done.err.splitlines()) == 1
    nothing = await control.ctl("tenants", "update", tenant_id)
    assert (nothing.code, nothing.out) == (2, "")
    assert nothing.err.startswith("nothing to change")


async def test_settings_are_added_listed_and_removed(control: ControlDouble) -> None:
    school, uni = await add(control, "school"), await add(control, "uni")

    added = await control.ctl(rf"tenantSettings:add[{school},welcome,Hello\, you,true]")
    match = re.fullmatch(r"OK\nNew TenantSetting id: ([0-9a-f-]{36})\n", added.out)
    assert match
    assert (added.code, added.err) == (0, "")
    own = await control.ctl(
        *("tenant-settings", "add", uni, "guest", "true", "false", "--call", "join", "--json")
    )
    assert own.json == {
        **{"id": own.json["id"], "tenant_id": uni, "param": "guest", "value": "true"},
        **{"override": "false", "call": "join", "mode": "default", "version": ""},
    }

    blocks = {
        "school": f"Tenant: school\n  id: {match[1]}\n\tparam: welcome\n\tvalue: Hello, you\n"
        "\toverride: true\n",
        "uni": f"Tenant: uni\n  id: {own.json['id']}\n\tparam: guest\n\tvalue: true\n"
        "\toverride: false\n\tcall: join\n",
    }
    for words in (("tenant-settings",), ("tenant-settings", "list"), ("tenantSettings",)):
        assert await control.ctl(*words) == Done(0, "".join(blocks.values()), ""), words
    assert (await control.ctl("tenant-settings", "list", uni)).out == blocks["uni"]

    again = await control.ctl("tenant-settings", "add", uni, "guest", "x", "false", "--call=join")
    assert again.err.startswith("the tenant has a setting of guest already (")
    removed = Done(0, "TenantSetting was successfully deleted.\n", "")
    assert await control.ctl(f"tenantSettings:remove[{match[1]}]") == removed
    assert await control.ctl("tenant-settings", "list", school) == Done(
        0, "Tenant: school\n", "  No custom settings are configured\n"
    )


async def test_disabled_multitenancy_is_reported_for_commands_and_rake_tasks(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res, open_control(res) as control:
        for words, reason in (
            (("tenants",), "Multitenancy is disabled: set MULTITENANCY_ENABLED=true and "),
            (("tenants:showall",), "Multitenancy is disabled, task can not be completed\n"),
            (("tenantSettings",), "Multitenancy is disabled, task can not be completed\n"),
        ):
            done = await control.ctl(*words)
            assert (done.code, done.out) == (1, ""), words
            assert done.err.startswith(reason)
