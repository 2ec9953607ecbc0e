"""The state of a real Scalelite is understood, and stays understandable; tenants."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.model import (
    Keycloak,
    Lrs,
    MeetingId,
    Server,
    ServerId,
    ServerState,
    Target,
    Tenant,
    TenantId,
)
from tests.doubles.scalelite_data import load_scalelite_data
from tests.doubles.store_pool import MINUTE_MS, StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

SCHOOL = TenantId("588d7588-5557-41f9-9533-a75d5f42cb21")
UNI = TenantId("981810d6-1b91-4022-9f8d-71c128cd378e")
BBB1, BBB2, BBB3 = (ServerId(f"bbb{number}.example.org") for number in (1, 2, 3))
OLD = ServerId("103673c2-dc39-45c5-9fd2-59d1cd2489fa")


@pytest.fixture
async def taken_over(pool: StorePool) -> StorePool:
    """Give a pool that a Scalelite left behind."""
    await load_scalelite_data(pool.store.bulk, pool.namespace)
    return pool


def expected(server: ServerId, port: int, state: ServerState, **fields: Any) -> Server:
    fields = {"url": f"http://127.0.0.1:{port}/bigbluebutton/api", **fields}
    secret = f"simsecret{port - 9400}"
    return Server(
        id=server, secret=secret, state=state, online=True, bbb_version="3.0.10", **fields
    )


async def test_servers_and_loads_are_understood(taken_over: StorePool) -> None:
    assert await taken_over.store.list_servers() == [
        expected(OLD, 9404, ServerState.DISABLED),
        expected(BBB1, 9401, ServerState.ENABLED, load=4.0),
        expected(
            BBB2,
            9402,
            ServerState.ENABLED,
            load=5.0,
            load_multiplier=2.5,
            url="http://127.0.0.1:9402/bigbluebutton/api/",
        ),
        expected(BBB3, 9403, ServerState.CORDONED, load=0.0, tag="big"),
    ]


async def test_meetings_are_understood(taken_over: StorePool) -> None:
    found = {
        meeting.id: (meeting.server_id, meeting.voice_bridge, meeting.tenant_id)
        for meeting in await taken_over.store.list_meetings()
    }
    assert found == {
        "art 2": (BBB2, "932498093", SCHOOL),
        "big": (BBB2, "765471418", UNI),
        "math-1": (BBB1, "653309189", SCHOOL),
        "phys": (BBB1, "501051382", UNI),
    }
    meeting = await taken_over.find("art 2")
    assert meeting is not None
    assert (meeting.moderator_pw, meeting.placement) == ("PLk2bYyk", 0)
    assert (meeting.confirmed, meeting.creating, meeting.reachable) == (True, False, True)
    url = "http://127.0.0.1:9402/bigbluebutton/api/"
    assert meeting.server == Target(BBB2, url, "simsecret2", online=True)


async def test_meetings_go_on(taken_over: StorePool) -> None:
    pool = taken_over
    assert (await pool.place("math-1", tenant_id=SCHOOL)).meeting == await pool.find("math-1")
    await pool.join("math-1", SCHOOL)
    assert await pool.load(BBB1) == 5
    await pool.store.sweep(now_ms=pool.now_ms, grace_ms=MINUTE_MS)
    pool.now_ms += MINUTE_MS
    result = await pool.poll(BBB1, {"math-1": 12})
    assert result.missing == ((MeetingId("phys"), 0),)
    phys = await pool.find("phys")
    assert phys is not None
    await pool.forget(phys)
    assert "501051382" not in await pool.bridges()


async def test_new_meetings_are_placed_by_load(taken_over: StorePool) -> None:
    first = await taken_over.create("new 1", tenant_id=SCHOOL, voice_bridges=("653309189", "7"))
    second = await taken_over.create("new 2", tenant_id=None)
    assert (first.server_id, second.server_id) == (BBB1, BBB2)
    assert first.voice_bridge == "7"
    assert await taken_over.load(BBB2) == 5 + 15 * 2.5


async def test_everything_we_do_leaves_what_scalelite_understands(taken_over: StorePool) -> None:
    pool = taken_over
    # The layout itself is checked by the fixture when the test is over.
    await pool.create("new", tenant_id=UNI)
    await pool.join("new", "981810d6-1b91-4022-9f8d-71c128cd378e")
    for server in (BBB1, BBB2):
        await pool.poll(server, {"math-1": 2, "new": 1, "art 2": 6})
    await pool.lose(BBB1)
    await pool.create("math-1", tenant_id=SCHOOL)
    await pool.poll(BBB1, {"phys": 1})
    await pool.poll(BBB3, {})
    await pool.store.set_server_state(OLD, ServerState.ENABLED)
    await pool.poll(OLD, {"foreign": 3}, bbb_version="3.0.11")
    await pool.store.sweep(now_ms=pool.now_ms, grace_ms=MINUTE_MS)
    assert await pool.redis("HGET", f"server:{OLD}", "state") == "enabled"
    assert await pool.redis("HGET", f"server:{BBB3}", "state") == "disabled"


@pytest.mark.parametrize("label", ["school", "School", "SCHOOL"])
async def test_tenant_is_found_by_label_in_any_case(taken_over: StorePool, label: str) -> None:
    assert await taken_over.store.find_tenant(label) == Tenant(
        id=SCHOOL,
        name="school",
        secrets=("schoolsecret", "schoolsecret2"),
        default_create=(("record", "true"),),
        override_create=(("welcome", "Willkommen"),),
    )


async def test_tenants_lrs_is_found(taken_over: StorePool) -> None:
    found = await taken_over.store.find_tenant("uni")
    assert found is not None
    assert found.lrs == Lrs("https://lrs.example.org/xapi", "lrsuser", "lrspass")

    await taken_over.redis(
        "HSET", f"tenant:{UNI}", "kc_token_url", "https://kc", "kc_username", "u"
    )
    found = await taken_over.store.find_tenant("uni")
    assert found is not None
    assert found.lrs is not None
    assert found.lrs.keycloak == Keycloak("https://kc", "", "", "u", "")


async def test_tenant_stored_in_capitals_is_found(pool: StorePool) -> None:
    await pool.redis("SADD", "tenants", "t1")
    await pool.redis("HSET", "tenant:t1", "name", "MySchool", "secrets", "s1:s2:")
    await pool.redis("HSET", "tenant_name:MySchool", "id", "t1")
    found = await pool.store.find_tenant("myschool")
    assert found == Tenant(id=TenantId("t1"), name="MySchool", secrets=("s1", "s2"))


@pytest.mark.parametrize("label", ["", "unknown", "*", "schoo", "school "])
async def test_unknown_tenant_is_none(taken_over: StorePool, label: str) -> None:
    assert await taken_over.store.find_tenant(label) is None


async def test_tenant_whose_hash_is_missing_is_none(pool: StorePool) -> None:
    pool.loose_ends = True
    await pool.redis("HSET", "tenant_name:gone", "id", "t1")
    await pool.redis("SADD", "tenants", "t1", "t2")
    assert await pool.store.find_tenant("gone") is None
    assert await pool.store.find_tenant("other") is None


async def test_tenant_settings_belong_to_the_calls_they_are_for(pool: StorePool) -> None:
    await pool.redis("SADD", "tenants", "t1")
    await pool.redis("HSET", "tenant:t1", "name", "school", "secrets", "s")
    await pool.redis("HSET", "tenant_name:school", "id", "t1")
    settings = (
        ("1", "duration", "60", "true", ""),
        ("2", "guest", "true", "false", ""),
        ("3", "welcome", "hi: ü % \"'", "false", "join"),
        ("4", "userdata-bbb_x", "1", "true", ""),
    )
    for id_, param, value, override, call in settings:
        await pool.redis("SADD", "tenant_settings:t1", id_)
        fields = ("param", param, "value", value, "override", override, "tenant_id", "t1")
        await pool.redis("HSET", f"tenant_setting:{id_}", *fields)
        if call:
            await pool.redis("HSET", "appliance:setting_calls", id_, call)
    await pool.redis("SADD", "tenant_settings:t1", "stale")
    found = await pool.store.find_tenant("school")
    assert found is not None
    assert found.override_create == (("duration", "60"),)
    assert found.default_create == ()
    assert found.default_join == (("guest", "true"), ("welcome", "hi: ü % \"'"))
    assert found.override_join == (("userdata-bbb_x", "1"),)
