"""Equal meeting ids of two tenants: both are kept, each is found by its own tenant alone."""

from __future__ import annotations

import pytest

from appliance.meetings.placement import Replaced
from appliance.model import Meeting, MeetingId, PlacementOutcome, TenantId
from appliance.tenants.scoped_id import scoped_id
from tests.doubles.store_pool import StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

T1, T2, T3 = TenantId("t1"), TenantId("t2"), TenantId("t3")


async def add_tenants(pool: StorePool, *tenants: str) -> None:
    for tenant in tenants:
        await pool.redis("SADD", "tenants", tenant)
        await pool.redis("HSET", f"tenant:{tenant}", "name", tenant, "secrets", "s")
        await pool.redis("HSET", f"tenant_name:{tenant}", "id", tenant)


async def found(pool: StorePool, meeting_id: str, tenant: TenantId | None) -> Meeting | None:
    return await pool.store.find_meeting_of(tenant, MeetingId(meeting_id), now_ms=pool.now_ms)


async def kept(pool: StorePool, meeting_id: str, tenant: TenantId | None) -> str | None:
    """Return the id of the record that a tenant finds, and check that a join finds the same."""
    meeting = await found(pool, meeting_id, tenant)
    assert await pool.join(meeting_id, tenant) == meeting
    return meeting.id if meeting else None


async def test_second_tenant_gets_a_meeting_of_its_own(pool: StorePool) -> None:
    await pool.add("a")
    first = await pool.create("m", tenant_id=T1, voice_bridges=("1", "2"))
    second = await pool.create("m", tenant_id=T2, voice_bridges=("1", "2"))
    third = await pool.create("m", tenant_id=T3, voice_bridges=("1", "2", "3"))

    assert [one.id for one in (first, second, third)] == ["m", "m~t2", "m~t3"]
    assert [one.tenant_id for one in (first, second, third)] == [T1, T2, T3]
    assert await pool.bridges() == {"1": "m", "2": "m~t2", "3": "m~t3"}
    assert [await kept(pool, "m", tenant) for tenant in (T1, T2, T3)] == ["m", "m~t2", "m~t3"]
    assert await kept(pool, "m", None) is None
    assert await kept(pool, "m", TenantId("t4")) is None


async def test_create_of_a_known_meeting_finds_the_tenants_own(pool: StorePool) -> None:
    await pool.add("a")
    for tenant, meeting_id in ((T1, "m"), (T2, "m~t2")):
        await pool.create("m", tenant_id=tenant)
        again = await pool.place("m", tenant_id=tenant)
        assert again.outcome is PlacementOutcome.KNOWN
        assert again.meeting is not None
        assert again.meeting.id == meeting_id


async def test_scoped_meeting_stays_what_it_is_when_the_first_ends(pool: StorePool) -> None:
    await pool.add("a")
    first = await pool.create("m", tenant_id=T1)
    second = await pool.create("m", tenant_id=T2)
    await pool.forget(first)

    again = await pool.place("m", tenant_id=T2)

    assert again.outcome is PlacementOutcome.KNOWN
    assert again.meeting is not None
    assert (again.meeting.id, again.meeting.placement) == ("m~t2", second.placement)
    assert (await pool.create("m", tenant_id=T1)).id == "m"
    assert await kept(pool, "m", T2) == "m~t2"
    await pool.forget(second)
    assert await kept(pool, "m", T2) is None
    assert await kept(pool, "m", T1) == "m"


async def test_plain_id_is_anybodys_once_both_meetings_are_over(pool: StorePool) -> None:
    await pool.add("a")
    for tenant in (T1, T2):
        await pool.forget(await pool.create("m", tenant_id=tenant))
    assert (await pool.create("m", tenant_id=T2)).id == "m"


async def test_failed_scoped_meeting_is_moved_under_its_id(pool: StorePool) -> None:
    one, two = await pool.add("a"), await pool.add("b", load=99)
    await pool.forget(await pool.create("m", tenant_id=T1))
    await pool.create("m", tenant_id=T1)
    meeting = await pool.create("m", tenant_id=T2, confirm=False)
    assert meeting.server_id == one

    moved = await pool.place(
        "m",
        tenant_id=T2,
        excluded=frozenset({one}),
        replaces=Replaced(one, meeting.placement),
    )

    assert moved.meeting is not None
    assert (moved.meeting.id, moved.meeting.server_id) == ("m~t2", two)
    assert moved.meeting.moderator_pw == meeting.moderator_pw
    assert await kept(pool, "m", T1) == "m"


async def test_detached_meeting_of_another_tenant_keeps_the_plain_id(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.add("b", load=99)
    await pool.create("m", tenant_id=T1)
    await pool.lose(one)

    other = await pool.create("m", tenant_id=T2)
    pool.now_ms += 1000
    back = await pool.poll(one, {"m": 3})

    assert other.id == "m~t2"
    assert back.taken_back == ("m",)
    assert back.to_end == ()
    assert await kept(pool, "m", T1) == "m"


async def test_detached_scoped_meeting_is_not_made_a_second_time_under_the_plain_id(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await pool.add("b", load=99)
    first = await pool.create("m", tenant_id=T1)
    second = await pool.create("m", tenant_id=T2)
    assert second.server_id == one
    await pool.lose(one)
    pool.now_ms += 1000
    back = await pool.poll(one, {"m~t2": 1})  # the first is over
    assert back.taken_back == ("m~t2",)
    assert await pool.redis("EXISTS", f"appliance:detached_meeting:{first.id}") == 0
    await pool.lose(one)

    assert (await pool.create("m", tenant_id=T2)).id == "m~t2"
    assert await kept(pool, "m", T2) == "m~t2"


@pytest.mark.parametrize("asking", [T1, T2, T3, None])
async def test_no_tenant_finds_a_meeting_by_its_scoped_id(
    pool: StorePool, asking: TenantId | None
) -> None:
    await add_tenants(pool, T1, T2)
    await pool.add("a")
    await pool.create("m", tenant_id=T1)
    await pool.create("m", tenant_id=T2)
    assert await kept(pool, "m~t2", asking) is None
    assert await kept(pool, "m~t1", asking) is None


async def test_create_under_a_scoped_id_touches_nobodys_meeting(pool: StorePool) -> None:
    await add_tenants(pool, T1, T2)
    await pool.add("a")

    attack = await pool.create("m~t2", tenant_id=T1)
    await pool.create("m", tenant_id=T1)
    second = await pool.create("m", tenant_id=T2)
    own = await pool.create("m~t2", tenant_id=T2)

    assert attack.id == "m~t2~t1"
    assert second.id == "m~t2"
    assert own.id == "m~t2~t2"
    assert await kept(pool, "m~t2", T1) == attack.id
    assert await kept(pool, "m", T2) == second.id
    assert await kept(pool, "m~t2", T2) == own.id


INTERNAL = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"


@pytest.mark.parametrize(
    "meeting_id", [INTERNAL, f" {INTERNAL}", f"{INTERNAL[:5]}\x07{INTERNAL[5:]}"]
)
async def test_internal_id_is_scoped_from_the_beginning(pool: StorePool, meeting_id: str) -> None:
    """BBB takes a meetingID of this form for the meeting that has it as its internal id."""
    await pool.add("a")

    created = await pool.create(meeting_id, tenant_id=T1)

    assert created.id == f"{meeting_id}~t1"
    assert await kept(pool, meeting_id, T1) == created.id
    assert await kept(pool, meeting_id, T2) is None
    again = await pool.place(meeting_id, tenant_id=T1)
    assert again.outcome is PlacementOutcome.KNOWN


async def test_record_under_a_plain_internal_id_is_no_tenants(pool: StorePool) -> None:
    """A Scalelite on the same stores keeps such a meeting under the plain id."""
    await pool.add("a")
    created = await pool.create("m", tenant_id=T1)
    fields = {"server_id": created.server_id, "tenant_id": T1, "moderator_pw": "x"}
    for name, value in fields.items():
        await pool.redis("HSET", f"meeting:{INTERNAL}", name, value)

    assert await found(pool, INTERNAL, T1) is None

    await pool.redis("DEL", f"meeting:{INTERNAL}")


BEGINNINGS = [
    "2026",
    "16d59cc902e5",
    INTERNAL[:40],
    INTERNAL[:41],
    INTERNAL[:-1],
    f" {INTERNAL[:9]}",
    f"{INTERNAL[:5]}\x07{INTERNAL[5:9]}",
]


@pytest.mark.parametrize("meeting_id", BEGINNINGS)
async def test_beginning_of_an_internal_id_is_scoped_from_the_beginning(
    pool: StorePool, meeting_id: str
) -> None:
    """BBB takes such a meetingID for any meeting whose internal id begins with it."""
    await pool.add("a")

    created = await pool.create(meeting_id, tenant_id=T1)

    assert created.id == f"{meeting_id}~t1"
    assert await kept(pool, meeting_id, T1) == created.id
    assert await kept(pool, meeting_id, T2) is None
    again = await pool.place(meeting_id, tenant_id=T1)
    assert again.outcome is PlacementOutcome.KNOWN


@pytest.mark.parametrize("meeting_id", BEGINNINGS[:4])
async def test_plain_beginning_of_an_internal_id_is_kept_until_its_meeting_ends(
    pool: StorePool, meeting_id: str
) -> None:
    """A Scalelite, and the appliance before an update, keep such a meeting under the plain id."""
    one = await pool.add("a")
    running = {"server_id": one, "tenant_id": T1, "moderator_pw": "x", "voice_bridge": "7"}
    for name, value in running.items():
        await pool.redis("HSET", f"meeting:{meeting_id}", name, value)
    await pool.redis("SADD", "meetings", meeting_id)

    assert await kept(pool, meeting_id, T1) == meeting_id
    assert await kept(pool, meeting_id, T2) is None
    assert (await pool.create(meeting_id, tenant_id=T2)).id == f"{meeting_id}~t2"
    again = await pool.place(meeting_id, tenant_id=T1)
    assert again.outcome is PlacementOutcome.KNOWN
    assert again.meeting is not None
    assert again.meeting.id == meeting_id

    await pool.forget(again.meeting)
    assert (await pool.create(meeting_id, tenant_id=T1)).id == f"{meeting_id}~t1"


async def test_detached_plain_beginning_of_an_internal_id_is_placed_again_under_it(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await pool.add("b", load=99)
    await pool.redis("HSET", "meeting:2026", "server_id", one, "tenant_id", T1)
    await pool.redis("HSET", "meeting:2026", "moderator_pw", "x", "voice_bridge", "7")
    await pool.redis("SADD", "meetings", "2026")
    await pool.poll(one, {"2026": 1})
    await pool.lose(one)

    assert (await pool.create("2026", tenant_id=T1)).id == "2026"


async def test_beginning_of_an_internal_id_is_plain_without_tenants(pool: StorePool) -> None:
    await pool.add("a")
    for meeting_id in BEGINNINGS[:4]:
        assert (await pool.create(meeting_id)).id == meeting_id


@pytest.mark.parametrize(
    "meeting_id",
    [
        *(INTERNAL.upper(), f"{INTERNAL}0", INTERNAL.replace("-", "_"), f"{INTERNAL[:40]}0"),
        *("2026-1", f"{INTERNAL[:39]}-1", f"{INTERNAL[:40]}-12-3", "ABC", "-", "2026g"),
    ],
)
async def test_id_that_resembles_an_internal_one_is_nothing_special(
    pool: StorePool, meeting_id: str
) -> None:
    await pool.add("a")
    assert (await pool.create(meeting_id, tenant_id=T1)).id == meeting_id


@pytest.mark.parametrize("meeting_id", ["a~b", "~", "m~", "m~t2x", "m~T2", "~~t3~"])
async def test_tilde_in_an_id_is_nothing_special(pool: StorePool, meeting_id: str) -> None:
    await add_tenants(pool, T1, T2)
    await pool.add("a")
    assert (await pool.create(meeting_id, tenant_id=T1)).id == meeting_id
    assert await kept(pool, meeting_id, T1) == meeting_id
    assert (await pool.create(meeting_id, tenant_id=T2)).id == f"{meeting_id}~t2"


async def test_long_ids_of_two_tenants_are_kept_apart(pool: StorePool) -> None:
    await pool.add("a")
    long = "x" * 256
    await pool.create(long, tenant_id=T1)
    second = await pool.create(long, tenant_id=T2)
    assert second.id == scoped_id(long, T2)
    assert await kept(pool, long, T2) == second.id
    assert await kept(pool, long[:-1], T2) is None


async def test_meeting_of_no_tenant_and_of_one_are_kept_apart(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m")
    assert (await pool.create("m", tenant_id=T1)).id == "m~t1"
    assert await kept(pool, "m", None) == "m"
    assert await kept(pool, "m", T1) == "m~t1"


async def test_find_meeting_of_is_one_round_trip(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", tenant_id=T1)
    await pool.create("m", tenant_id=T2)
    for tenant in (T1, T2, T3):
        before = pool.store.client.round_trips
        await found(pool, "m", tenant)
        assert pool.store.client.round_trips == before + 1
