"""No tenant sees, joins, ends, edits, publishes, deletes or plays what is another's: every call,
both ways, with equal meeting ids.

Each case is tried by a tenant on the other's things, which must come to nothing and change
nothing, and then by their owner, for whom it must work, or the case would prove nothing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree

from tests.doubles.bbb_process import BbbProcess
from tests.doubles.public import Answer
from tests.doubles.tenant_pool import FORMATS, KINDS, FrontEnd, TwoTenants, open_two_tenants

pytest_plugins = ["tests.doubles.live_pool_fixtures"]


@pytest.fixture
async def world(
    redis_url: str,
    redis_namespace: str,
    database_url: str,
    tmp_path: Path,
    bbbs: list[BbbProcess],
) -> AsyncIterator[TwoTenants]:
    """Give two tenants on one BBB server, the closest that they can get."""
    async with open_two_tenants(
        redis_url,
        redis_namespace,
        database_url,
        tmp_path,
        bbbs[:1],
        PROTECTED_RECORDINGS_ENABLED="true",
    ) as opened:
        yield opened


def texts(answer: Answer, name: str) -> list[str]:
    """Return the texts of all elements of a name."""
    return [element.text or "" for element in etree.fromstring(answer.body).iter(name)]


def meetings_on(world: TwoTenants) -> dict[str, Any]:
    """Return what the BBB server has."""
    return world.pool.servers[0].meetings()


# --- meetings -------------------------------------------------------------------------------------

MEETING_CALLS: dict[str, dict[str, str]] = {
    "isMeetingRunning": {},
    "getMeetingInfo": {},
    "join": {"fullName": "A", "role": "MODERATOR"},
    "sendChatMessage": {"message": "Hello"},
    "insertDocument": {},
    "end": {},
}


def refuses(call: str, answer: Answer) -> bool:
    if call == "isMeetingRunning":
        return answer.text("running") == "false" and answer.key is None
    return answer.status == 200 and answer.key == "notFound"


def accepts(call: str, answer: Answer) -> bool:
    return answer.status == 302 if call == "join" else answer.returncode == "SUCCESS"


@pytest.mark.parametrize("call", MEETING_CALLS)
async def test_meeting_of_another_tenant_cannot_be_named(world: TwoTenants, call: str) -> None:
    for asker, owner in world.pairs:
        before = await world.state()
        for meeting_id in (
            f"only-{owner.name}",
            f"room~{owner.id}",
            f"only-{owner.name}~{owner.id}",
        ):
            params = {"meetingID": meeting_id} | MEETING_CALLS[call]
            assert refuses(call, await asker.call(call, params)), meeting_id
        assert await world.state() == before
        params = {"meetingID": f"only-{owner.name}"} | MEETING_CALLS[call]
        assert accepts(call, await owner.call(call, params))


@pytest.mark.parametrize("call", MEETING_CALLS)
async def test_meeting_of_another_tenant_cannot_be_named_by_its_internal_id(
    world: TwoTenants, call: str
) -> None:
    """BBB finds a meeting by any beginning of its internal id."""
    internal_id = meetings_on(world)["only-one"]["internal_id"]
    for size in (2, 12, 40, 41, 47, 54):
        meeting_id = internal_id[:size]
        assert refuses(call, await world.two.call(call, {"meetingID": meeting_id})), size
        created = await world.two.call("create", {"meetingID": meeting_id, "name": "Mine"})
        assert created.text("meetingID") == meeting_id
        before = meetings_on(world)["only-one"]
        info = await world.two.call("getMeetingInfo", {"meetingID": meeting_id})
        assert (info.text("meetingName"), info.text("meetingID")) == ("Mine", meeting_id)
        params = {"meetingID": meeting_id} | MEETING_CALLS[call]

        answer = await world.two.call(call, params)

        assert accepts(call, answer)
        assert meetings_on(world)["only-one"] == before
        if call == "join":
            query = parse_qs(urlsplit(answer.headers["location"]).query)
            assert query["meetingID"] == [f"{meeting_id}~{world.two.id}"]


async def test_scoped_meeting_cannot_be_named_by_its_own_tenant(world: TwoTenants) -> None:
    scoped = f"room~{world.two.id}"
    assert scoped in meetings_on(world)
    for tenant in (world.one, world.two):
        for call, params in MEETING_CALLS.items():
            assert refuses(call, await tenant.call(call, {"meetingID": scoped} | params))


@pytest.mark.parametrize(
    ("call", "changed"),
    [("join", None), ("sendChatMessage", "chat"), ("insertDocument", "documents"), ("end", "")],
)
async def test_call_reaches_the_tenants_own_meeting_of_an_equal_id(
    world: TwoTenants, call: str, changed: str | None
) -> None:
    for asker, kept in ((world.one, "room"), (world.two, f"room~{world.two.id}")):
        before = meetings_on(world)

        answer = await asker.call(call, {"meetingID": "room"} | MEETING_CALLS[call])

        assert accepts(call, answer)
        after = meetings_on(world)
        others = set(before) - {kept}
        assert {name: before[name] for name in others} == {
            name: after[name] for name in others if name in after
        }
        if changed == "":
            assert kept not in after
        elif changed is not None:
            assert before[kept] != after[kept]
        else:
            query = parse_qs(urlsplit(answer.headers["location"]).query)
            assert query["meetingID"] == [kept]


@pytest.mark.parametrize("call", ["create", "getMeetingInfo", "getMeetings"])
async def test_answer_shows_the_front_ends_own_id_and_meeting(world: TwoTenants, call: str) -> None:
    internal = {}
    for tenant in (world.one, world.two):
        params = {} if call == "getMeetings" else {"meetingID": "room", "name": "Room"}
        answer = await tenant.call(call, params)

        ids = {"room", f"only-{tenant.name}"} if call == "getMeetings" else {"room"}
        assert set(texts(answer, "meetingID")) == ids
        assert f"~{tenant.id}".encode() not in answer.body
        assert set(texts(answer, "tenant-id")) <= {tenant.id}
        internal[tenant.name] = set(texts(answer, "internalMeetingID"))
    assert not internal["one"] & internal["two"]


async def test_create_of_an_equal_id_neither_finds_nor_changes_the_others_meeting(
    world: TwoTenants,
) -> None:
    for asker, owner in world.pairs:
        before = meetings_on(world)[f"only-{owner.name}"]

        answer = await asker.call("create", {"meetingID": f"only-{owner.name}", "name": "Mine"})

        assert answer.returncode == "SUCCESS"
        assert answer.text("meetingID") == f"only-{owner.name}"
        assert not answer.key
        assert meetings_on(world)[f"only-{owner.name}"] == before
        info = await asker.call("getMeetingInfo", {"meetingID": f"only-{owner.name}"})
        assert info.text("meetingName") == "Mine"


async def test_create_cannot_be_given_to_another_tenant(world: TwoTenants) -> None:
    for asker, owner in world.pairs:
        forged = {"meta_tenant-id": owner.id, "meta_Tenant-Id": owner.id, "meta_tenant-x": "x"}
        meeting_id = f"forged-{asker.name}"
        await asker.call("create", {"meetingID": meeting_id, "name": "F"} | forged)

        metadata = meetings_on(world)[meeting_id]["metadata"]
        assert metadata == {"tenant-id": asker.id, "tenant-name": asker.name}
        assert meeting_id not in texts(await owner.call("getMeetings"), "meetingID")


async def test_numbers_to_dial_are_different(world: TwoTenants) -> None:
    numbers = [
        (await tenant.call("getMeetingInfo", {"meetingID": "room"})).text("voiceBridge")
        for tenant in (world.one, world.two)
    ]
    assert len(set(numbers)) == 2
    flat = await world.pool.redis("HGETALL", "voice_bridges")
    owners = dict(zip(flat[::2], flat[1::2], strict=True))
    assert [owners[number or ""] for number in numbers] == ["room", f"room~{world.two.id}"]


async def test_hooks_are_the_tenants_own_and_hear_of_its_meetings_only(world: TwoTenants) -> None:
    ids = {}
    for tenant in (world.one, world.two):
        params = {"callbackURL": f"http://{tenant.name}.example/hook", "meetingID": "room"}
        ids[tenant.name] = (await tenant.call("hooks/create", params)).text("hookID") or ""
    await world.pool.settled()
    registered = {hook["meeting_id"]: hook["url"] for hook in world.pool.servers[0].hooks()}
    assert set(registered) == {"room", f"room~{world.two.id}"}
    assert registered["room"].startswith("http://one.example/hook")

    for asker, owner in world.pairs:
        listed = await asker.call("hooks/list")
        assert texts(listed, "hookID") == [ids[asker.name]]
        assert owner.name.encode() not in listed.body
        answer = await asker.call("hooks/destroy", {"hookID": ids[owner.name]})
        assert answer.key == "destroyMissingHook"
        assert texts(await owner.call("hooks/list"), "hookID") == [ids[owner.name]]


# --- recordings -----------------------------------------------------------------------------------


GENERAL: tuple[dict[str, str], ...] = (
    {},
    {"meetingID": "room"},
    {"recordID": "open,protected,hidden"},
    {"meta_shared": "x", "state": "any"},
)
AIMED = ({"meta_tenant-id": "{id}"}, {"recordID": "open-{name}"}, {"meetingID": "room~{id}"})


async def test_get_recordings_lists_the_tenants_own(world: TwoTenants) -> None:
    for asker, owner in world.pairs:
        for filters in GENERAL:
            answer = await asker.call("getRecordings", filters)
            assert set(texts(answer, "tenant-id")) == {asker.id}, filters
            assert owner.name.encode() not in answer.body
        for filters in AIMED:
            params = {
                name: value.format(id=owner.id, name=owner.name) for name, value in filters.items()
            }
            assert (await asker.call("getRecordings", params)).key == "noRecordings", params


RECORDING_CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "publish": ("publishRecordings", {"publish": "true"}),
    "unpublish": ("publishRecordings", {"publish": "false"}),
    "update": ("updateRecordings", {"meta_name": "x"}),
    "protect": ("updateRecordings", {"protect": "false"}),
    "list tracks": ("getRecordingTextTracks", {}),
    "put track": ("putRecordingTextTrack", {"kind": "captions", "lang": "de"}),
    "delete": ("deleteRecordings", {}),
}


def recording_done(answer: Answer) -> bool:
    """Whether a recording call came to something."""
    if answer.body.startswith(b"{"):
        return str(json.loads(answer.body)["response"]["returncode"]) == "SUCCESS"
    return answer.returncode == "SUCCESS" and answer.text("updated") != "false"


@pytest.mark.parametrize("case", RECORDING_CALLS)
async def test_recording_of_another_tenant_cannot_be_changed(world: TwoTenants, case: str) -> None:
    call, params = RECORDING_CALLS[case]
    for asker, owner in world.pairs:
        for kind in KINDS:
            asked = {"recordID": f"{kind}-{owner.name}"} | params
            before = await world.state()
            assert not recording_done(await asker.call(call, asked)), asked
            assert await world.state() == before
            assert recording_done(await owner.call(call, asked)), asked


@pytest.mark.parametrize("case", ["publish", "update", "delete"])
async def test_recording_of_another_tenant_is_left_alone_in_a_list_with_own_ones(
    world: TwoTenants, case: str
) -> None:
    call, params = RECORDING_CALLS[case]
    before = await world.store.find_recording("hidden-two")
    await world.one.call(call, {"recordID": "open-one,hidden-two"} | params)
    assert await world.store.find_recording("hidden-two") == before
    shown = await world.two.call("getRecordings", {"recordID": "hidden-two"})
    assert texts(shown, "recordID") == ["hidden-two"]


async def test_recording_cannot_be_given_to_another_tenant(world: TwoTenants) -> None:
    for asker, owner in world.pairs:
        for name in ("meta_tenant-id", "meta_Tenant-ID", "meta_tenant-name"):
            params = {"recordID": f"open-{asker.name}", name: owner.id, "meta_x": "y"}
            assert (await asker.call("updateRecordings", params)).returncode == "SUCCESS"
        listed = await owner.call("getRecordings", {"state": "any"})
        assert f"open-{asker.name}" not in texts(listed, "recordID")


# --- playback -------------------------------------------------------------------------------------


async def protected_link(owner: FrontEnd) -> str:
    """Return the path and token of an owner's protected recording."""
    listed = await owner.call("getRecordings", {"recordID": f"protected-{owner.name}"})
    parts = urlsplit(texts(listed, "url")[0])
    return f"{parts.path}?{parts.query}"


async def test_recording_of_another_tenant_cannot_be_played(world: TwoTenants) -> None:
    for asker, owner in world.pairs:
        record_id = f"open-{owner.name}"
        for path in (
            *(f"/recording/{record_id}/{format}" for format in FORMATS),
            *(f"/{format}/{record_id}/index.html" for format in FORMATS),
        ):
            assert (await asker.get(path)).status == 404
            assert (await owner.get(path)).status in (200, 307)


async def test_token_of_another_tenants_recording_opens_nothing_and_is_not_used_up(
    world: TwoTenants,
) -> None:
    for asker, owner in world.pairs:
        link = await protected_link(owner)
        denied = await asker.get(link)
        assert denied.status == 404
        assert "set-cookie" not in denied.headers
        opened = await owner.get(link)
        assert opened.status == 307
        assert "set-cookie" in opened.headers


async def test_cookie_of_another_tenants_recording_opens_nothing(world: TwoTenants) -> None:
    for asker, owner in world.pairs:
        link = await protected_link(owner)
        opened = await owner.get(link)
        cookie = opened.headers["set-cookie"].partition(";")[0]
        format = urlsplit(link).path.rpartition("/")[2]
        path = f"/{format}/protected-{owner.name}/index.html"

        assert (await asker.get(path, f"Cookie: {cookie}")).status == 404
        assert (await owner.get(path)).status == 404
        assert (await owner.get(path, f"Cookie: {cookie}")).status == 200


async def test_unknown_host_plays_nothing(world: TwoTenants) -> None:
    nobody = FrontEnd(world.one.public, "three", "x", world.one.secret)
    for path in ("/recording/open-one/presentation", "/presentation/open-one/index.html"):
        assert (await nobody.get(path)).status == 404
    assert (await nobody.call("getRecordings")).key == "checksumError"
