"""create: what is asked of the placement, and what the server is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from appliance.bbb.errors import ApiError
from appliance.bbb.request_body import RequestBody
from appliance.bbb.signed_request import Caller
from appliance.meetings.create import create_meeting
from appliance.meetings.create_params import attendee_password
from appliance.meetings.voice_bridge import candidates
from appliance.model import MeetingId, ServerState, Tenant, TenantId
from appliance.tenants.scoped_id import scoped_id
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

SCHOOL = Tenant(
    TenantId("t-1"),
    "school",
    ("s",),
    default_create=(("welcome", "tenant default"), ("logo", "tenant")),
    override_create=(("record", "tenant override"),),
)

OTHER = Tenant(TenantId("t-2"), "other", ("s",))


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool with the default settings."""
    async with open_live(redis_url, redis_namespace, bbbs) as opened:
        yield opened


def sent(bbb: BbbProcess, number: int = -1) -> dict[str, str]:
    """The parameters of a create that a server received."""
    request = bbb.requests("create")[number]
    raw = request["query"] if len(request["query"]) > 75 else request["body_start"]
    params = dict(parse_qsl(raw, keep_blank_values=True))
    del params["checksum"]
    return params


# --- new, known, repeated -------------------------------------------------------------------------


async def test_new_meeting_is_created_on_the_least_loaded_server(pool: LivePool) -> None:
    answer = await pool.create(name="Physics")

    meeting = await pool.meeting()
    assert answer["returncode"] == "SUCCESS"
    assert pool.holders() == ["bbb-1"]
    assert meeting is not None
    assert (meeting.server_id, meeting.confirmed, meeting.creating) == ("bbb-1", True, False)
    assert (await pool.server("bbb-1")).load == 15


async def test_new_meeting_takes_two_round_trips_and_a_known_one_takes_one(pool: LivePool) -> None:
    before = pool.client.round_trips
    await pool.create()
    assert pool.client.round_trips - before == 2

    before = pool.client.round_trips
    await pool.create()
    assert pool.client.round_trips - before == 1


async def test_repeated_create_finds_the_same_meeting(pool: LivePool) -> None:
    first = await pool.create()

    second = await pool.create()

    assert second["messageKey"] == "duplicateWarning"
    assert second["internalMeetingID"] == first["internalMeetingID"]
    assert pool.holders() == ["bbb-1"]
    assert (await pool.server("bbb-1")).load == 15


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"moderatorPW": "mp"},
        {"attendeePW": "ap"},
        {"moderatorPW": "mp", "attendeePW": "ap"},
        {"moderatorPW": "", "attendeePW": ""},
    ],
)
async def test_passwords_are_the_same_in_every_create(
    pool: LivePool, given: dict[str, Any]
) -> None:
    await pool.create(**given)
    assert (await pool.create(**given))["returncode"] == "SUCCESS"

    meeting = await pool.meeting()
    assert meeting is not None
    first, second = sent(pool.servers[0], 0), sent(pool.servers[0], 1)
    for params in (first, second):
        moderator_pw = given.get("moderatorPW") or meeting.moderator_pw
        derived = attendee_password("room", moderator_pw)
        assert params["moderatorPW"] == moderator_pw == meeting.moderator_pw
        assert params["attendeePW"] == (given.get("attendeePW") or derived)
    assert len(meeting.moderator_pw) >= 2


async def place_as_scalelite(pool: LivePool, server_id: str = "bbb-2") -> None:
    """Write the record of a meeting as Scalelite does."""
    await pool.redis(
        *("HSET", "meeting:room", "server_id", server_id),
        *("moderator_pw", "mp", "voice_bridge", "123456789"),
    )
    await pool.redis("EXPIRE", "meeting:room", 1000)
    await pool.redis("SADD", "meetings", "room")
    await pool.redis("HSET", "voice_bridges", "123456789", "room")


async def test_attendee_password_is_not_derived_for_a_meeting_of_scalelites(pool: LivePool) -> None:
    pool.servers[1].create_meeting("room", moderatorPW="mp", attendeePW="ap")
    await place_as_scalelite(pool)

    answer = await pool.create(attendeePW="ap")

    assert (answer["messageKey"], pool.holders()) == ("duplicateWarning", ["bbb-2"])


async def test_create_without_passwords_finds_a_meeting_that_scalelite_made(pool: LivePool) -> None:
    pool.servers[1].create_meeting("room", moderatorPW="mp")
    await place_as_scalelite(pool)

    assert (await pool.create())["messageKey"] == "duplicateWarning"


@pytest.mark.parametrize(
    "given", [("moderatorPW",), ("attendeePW",), ("moderatorPW", "attendeePW")]
)
async def test_create_without_passwords_finds_a_meeting_created_with_some(
    pool: LivePool, given: tuple[str, ...]
) -> None:
    await pool.create(**dict.fromkeys(given, "secret"))

    answer = await pool.create(moderatorPW="", attendeePW="")

    assert answer["messageKey"] == "duplicateWarning"
    assert not {"moderatorPW", "attendeePW"} & sent(pool.servers[0]).keys()


async def test_password_that_the_server_chose_for_a_new_run_is_kept(pool: LivePool) -> None:
    await pool.create(moderatorPW="first", attendeePW="ap")
    pool.servers[0].forget_meetings()

    answer = await pool.create()

    meeting = await pool.meeting()
    assert meeting is not None
    assert answer["moderatorPW"] == meeting.moderator_pw != "first"


@pytest.mark.parametrize("first", [{}, {"moderatorPW": "m1", "attendeePW": "a1"}])
async def test_new_run_has_the_passwords_and_the_logout_url_of_its_create(
    pool: LivePool, first: dict[str, str]
) -> None:
    await pool.create(**first, logoutURL="https://lms.example/1")
    pool.servers[0].forget_meetings()

    second = {"moderatorPW": "m2", "attendeePW": "a2", "logoutURL": "https://lms.example/2"}
    await pool.create(**second)

    meeting = await pool.meeting()
    assert meeting is not None
    assert (meeting.moderator_pw, meeting.own_passwords) == ("m2", False)
    find = pool.res.meetings.store.find_logout_url
    assert await find(MeetingId("room"), None) == "https://lms.example/2"
    assert (await pool.create())["messageKey"] == "duplicateWarning"
    pool.servers[0].forget_meetings()
    await pool.create()
    assert await find(MeetingId("room"), None) is None


async def test_own_passwords_are_kept_by_a_new_run_that_gives_none(pool: LivePool) -> None:
    await pool.create()
    pool.servers[0].forget_meetings()
    await pool.create()

    assert (await pool.create())["messageKey"] == "duplicateWarning"
    assert sent(pool.servers[0], 2)["attendeePW"] == sent(pool.servers[0], 0)["attendeePW"]


async def test_own_passwords_are_sent_again_when_a_detached_meeting_was_taken_back(
    pool: LivePool,
) -> None:
    await pool.create()
    await pool.lose("bbb-1")
    await pool.poll("bbb-1")

    assert (await pool.create())["messageKey"] == "duplicateWarning"
    assert sent(pool.servers[0], 0)["attendeePW"] == sent(pool.servers[0], 1)["attendeePW"]


@pytest.mark.parametrize(
    ("meeting_id", "key"),
    [
        (None, "missingParamMeetingID"),
        ("", "missingParamMeetingID"),
        ("x", "sizeError"),
        ("x" * 257, "sizeError"),
        ("a,b", "formatError"),
        (" x\t", "sizeError"),
        ("a\x07b", "validationError"),
        (f"{'a' * 40}-1700000000000", "validationError"),
    ],
)
async def test_bad_meeting_id_asks_no_server(
    pool: LivePool, meeting_id: str | None, key: str
) -> None:
    params = () if meeting_id is None else (("meetingID", meeting_id),)
    with pytest.raises(ApiError) as failed:
        await create_meeting(pool.res.meetings, Caller(), params)

    assert failed.value.key == key
    assert not any(bbb.requests("create") for bbb in pool.servers)


# --- parameters -----------------------------------------------------------------------------------


async def test_voice_bridge_is_the_number_allocated(pool: LivePool) -> None:
    number = candidates("room", 9)[0]

    answer = await pool.create(voiceBridge="77777")

    assert answer["voiceBridge"] == sent(pool.servers[0])["voiceBridge"] == number
    assert await pool.redis("HGETALL", "voice_bridges") == [number, "room"]


@pytest.mark.parametrize(
    ("duration", "default", "result"),
    [
        (None, None, "90"),
        ("0", None, "90"),
        ("60", None, "60"),
        ("600", None, "90"),
        ("x", None, "90"),
        (None, "duration=45", "45"),
        (None, "duration=300", "90"),
    ],
)
async def test_duration_is_limited_after_merging(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    duration: str | None,
    default: str | None,
    result: str,
) -> None:
    variables: dict[str, Any] = {"MAX_MEETING_DURATION": "90"}
    if default:
        variables["DEFAULT_CREATE_PARAMS"] = default
    async with open_live(redis_url, redis_namespace, bbbs[:1], **variables) as pool:
        await pool.create(**({} if duration is None else {"duration": duration}))

        assert sent(bbbs[0])["duration"] == result


async def test_parameters_are_merged_by_their_strength(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url,
        redis_namespace,
        bbbs[:1],
        DEFAULT_CREATE_PARAMS="welcome=default,logo=default,guestPolicy=ASK_MODERATOR,name=default",
        OVERRIDE_CREATE_PARAMS="record=override,muteOnStart=true",
        CREATE_EXCLUDE_PARAMS="copyright,name",
    ) as pool:
        await pool.create(
            caller=Caller(SCHOOL),
            **{"logo": "mine", "record": "true", "copyright": "mine", "name": "mine", "x[]": "&="},
        )

        params = sent(bbbs[0])
        assert params["welcome"] == "tenant default"
        assert params["logo"] == "mine"
        assert params["guestPolicy"] == "ASK_MODERATOR"
        assert params["record"] == "tenant override"
        assert params["muteOnStart"] == "true"
        assert params["name"] == "default"
        assert params["x[]"] == "&="
        assert "copyright" not in params


async def test_tenant_metadata_is_ours_alone(pool: LivePool) -> None:
    forged: dict[str, Any] = {"meta_tenant-id": "t-2", "meta_tenant-name": "other", "meta_x": "y"}
    # BBB lower-cases the names of metadata.
    forged |= {"meta_Tenant-Id": "t-2", "meta_TENANT-ID": "t-2", "meta_tenant-meeting-id": "x"}

    await pool.create("school-room", caller=Caller(SCHOOL), **forged)
    await pool.create("room", **forged)

    school, nobody = sent(pool.servers[0]), sent(pool.servers[1])
    assert (school["meta_tenant-id"], school["meta_tenant-name"]) == ("t-1", "school")
    ours = {"meta_tenant-id", "meta_tenant-name"}
    assert {name for name in school if "tenant" in name.lower()} == ours
    assert not {name for name in nobody if "tenant" in name.lower()}
    assert school["meta_x"] == nobody["meta_x"] == "y"
    meeting = await pool.meeting("school-room")
    assert meeting is not None
    assert meeting.tenant_id == "t-1"


async def test_setting_cannot_say_whose_a_meeting_is(pool: LivePool) -> None:
    mistaken = (("meta_Tenant-Id", "t-2"), ("meta_tenant-meeting-id", "x"), ("meta_x", "y"))
    school = replace(SCHOOL, default_create=mistaken, override_create=mistaken)

    await pool.create(caller=Caller(school))

    params = sent(pool.servers[0])
    metadata = {name: value for name, value in params.items() if name.startswith("meta_")}
    assert metadata == {"meta_tenant-id": "t-1", "meta_tenant-name": "school", "meta_x": "y"}


async def test_id_of_a_tenants_meeting_is_refused_without_a_tenant(pool: LivePool) -> None:
    await pool.create(caller=Caller(SCHOOL))

    assert "already exists" in await pool.failure()
    assert len(pool.servers[0].requests("create")) == 1


async def test_meeting_of_a_second_tenant_is_created_under_its_scoped_id(pool: LivePool) -> None:
    await pool.create(caller=Caller(SCHOOL))

    before = pool.client.round_trips
    answer = await pool.create(caller=Caller(OTHER), attendeePW="ap")
    assert pool.client.round_trips - before == 2
    before = pool.client.round_trips
    again = await pool.create(caller=Caller(OTHER), attendeePW="ap")
    assert pool.client.round_trips - before == 1

    assert answer["meetingID"] == again["meetingID"] == "room"
    assert again["internalMeetingID"] == answer["internalMeetingID"]
    assert pool.holders("room~t-2") == ["bbb-2"]
    params = sent(pool.servers[1])
    assert (params["meetingID"], params["meta_tenant-id"]) == ("room~t-2", "t-2")
    assert "meta_tenant-meeting-id" not in params


async def test_long_id_of_a_second_tenant_is_sent_along(pool: LivePool) -> None:
    long = "x" * 256
    await pool.create(long, caller=Caller(SCHOOL))

    answer = await pool.create(long, caller=Caller(OTHER))

    assert answer["meetingID"] == long
    params = sent(pool.servers[1])
    assert params["meetingID"] == scoped_id(long, "t-2")
    assert params["meta_tenant-meeting-id"] == long


async def test_scoped_meeting_fails_over_under_its_id(pool: LivePool) -> None:
    await pool.create(caller=Caller(SCHOOL))
    pool.servers[1].add_fault("status", "create", status=503)

    answer = await pool.create(caller=Caller(OTHER))

    assert answer["meetingID"] == "room"
    assert "room~t-2" in pool.bbb(await pool.home("room~t-2")).meetings()


# --- breakout rooms -------------------------------------------------------------------------------


async def test_breakout_room_is_created_on_the_server_of_its_parent(pool: LivePool) -> None:
    await pool.create("parent")
    await pool.redis("ZADD", "server_load", 100, "bbb-1")

    answer = await pool.create(
        "breakout", isBreakout="true", parentMeetingID="parent", sequence="1"
    )

    assert answer["returncode"] == "SUCCESS"
    assert await pool.home("breakout") == "bbb-1"
    assert pool.holders("breakout") == ["bbb-1"]


async def test_breakout_room_is_created_on_a_cordoned_server(pool: LivePool) -> None:
    await pool.create("parent")
    await pool.set_state("bbb-1", ServerState.CORDONED)

    await pool.create("breakout", isBreakout="true", parentMeetingID="parent", sequence="1")

    assert pool.holders("breakout") == ["bbb-1"]


async def test_breakout_room_is_created_nowhere_else_when_the_server_fails(pool: LivePool) -> None:
    await pool.create("parent")
    pool.servers[0].add_fault("status", "create", status=503)

    text = await pool.failure(
        meeting_id="breakout", isBreakout="true", parentMeetingID="parent", sequence="1"
    )

    assert text == "Unable to create meeting on server."
    assert pool.calls("create") == [2, 0, 0]


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({}, "parentMeetingIDMissing"),
        ({"parentMeetingID": " "}, "parentMeetingIDMissing"),
        ({"parentMeetingID": "unknown"}, "parentMeetingDoesNotExist"),
    ],
)
async def test_breakout_room_without_a_parent_asks_no_server(
    pool: LivePool, params: dict[str, str], key: str
) -> None:
    pairs = (("meetingID", "breakout"), ("isBreakout", "true"), *params.items())
    with pytest.raises(ApiError) as failed:
        await create_meeting(pool.res.meetings, Caller(), pairs)

    assert failed.value.key == key
    assert pool.calls("create") == [0, 0, 0]


@pytest.mark.parametrize(("parent", "named"), [("own", "own"), ("shared", "shared~t-2")])
async def test_breakout_room_names_the_parent_of_its_tenant(
    pool: LivePool, parent: str, named: str
) -> None:
    await pool.create("shared", caller=Caller(SCHOOL))
    for meeting_id in ("own", "shared"):
        await pool.create(meeting_id, caller=Caller(OTHER))

    await pool.create("breakout", caller=Caller(OTHER), isBreakout="true", parentMeetingID=parent)

    home = pool.bbb(await pool.home("breakout"))
    assert sent(home)["parentMeetingID"] == named


async def test_breakout_room_of_another_tenants_meeting_is_refused(pool: LivePool) -> None:
    await pool.create("foreign", caller=Caller(SCHOOL))

    text = await pool.failure(
        meeting_id="breakout",
        caller=Caller(OTHER),
        isBreakout="true",
        parentMeetingID="foreign",
    )

    assert text == "No parent meeting exists for the breakout room"


async def test_order_of_parameters_is_kept(pool: LivePool) -> None:
    await pool.create(zeta="1", alpha="2", moderatorPW="mp", beta="3")

    names = [name for name, _ in parse_qsl(pool.servers[0].requests("create")[0]["query"])]
    assert names[:5] == ["meetingID", "zeta", "alpha", "moderatorPW", "beta"]


# --- tags -----------------------------------------------------------------------------------------


async def test_server_tag_is_set_to_the_servers_or_removed(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:2], enable=False) as pool:
        await pool.add(bbbs[0], tag="gpu")
        await pool.add(bbbs[1])

        await pool.create("one", **{"meta_server-tag": "big;gpu"})
        await pool.create("two", **{"meta_server-tag": "none"})
        await pool.create("three", **{"meta_server-tag": "unheard-of"})

        assert (pool.holders("one"), pool.holders("two")) == (["bbb-1"], ["bbb-2"])
        assert pool.holders("three") == ["bbb-2"]
        assert sent(bbbs[0])["meta_server-tag"] == "gpu"
        assert "meta_server-tag" not in sent(bbbs[1], 0)
        assert "meta_server-tag" not in sent(bbbs[1], 1)


async def test_required_tag_that_no_server_has_is_named_in_the_failure(pool: LivePool) -> None:
    text = await pool.failure(**{"meta_server-tag": " gpu;big ! "})

    assert text == "There is no available server with the required tag=gpu;big."
    assert (await pool.traces())["records"] == []


# --- long queries and bodies ----------------------------------------------------------------------


async def test_long_query_goes_as_a_form(pool: LivePool) -> None:
    welcome = "Grüß Gott & welcome! " * 700

    answer = await pool.create(welcome=welcome, name="Long")

    request = pool.servers[0].requests("create")[0]
    assert answer["returncode"] == "SUCCESS"
    assert (request["method"], request["query"]) == ("POST", "")
    assert request["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert request["body_size"] > len(welcome)


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml; charset=utf-8"])
async def test_body_is_passed_on_byte_for_byte(pool: LivePool, content_type: str) -> None:
    document = b"<modules>\r\n<module name='presentation'><document/>\x00\xff</module></modules>"

    await pool.create(body=RequestBody(content_type, document, len(document)))

    request = pool.servers[0].requests("create")[0]
    assert request["method"] == "POST"
    assert request["headers"]["content-type"] == content_type
    assert request["body_start"].encode("latin-1") == document
    assert sent(pool.servers[0])["meetingID"] == "room"
    assert pool.servers[0].meetings()["room"]["documents"] == 1


# --- the pool says no -----------------------------------------------------------------------------


async def test_create_fails_when_there_is_no_server(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs, enable=False) as pool:
        for _ in range(3):
            assert await pool.failure() == "Could not find any available servers."
        noted = [one for one in pool.log.events if one[:2] == ("warning", "no_place_for_meeting")]
        assert [fields["subject"] for *_, fields in noted] == ["no_server"]  # once


async def test_create_fails_when_all_voice_bridges_are_taken(pool: LivePool) -> None:
    await pool.create("other")
    for number in candidates("room", 9):
        await pool.redis("HSET", "voice_bridges", number, "other")

    assert await pool.failure() == "Could not allocate a voice bridge number."

    assert pool.holders() == []
    await pool.redis("HDEL", "voice_bridges", *candidates("room", 9))


async def test_external_voice_bridge_is_taken_when_configured(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], USE_EXTERNAL_VOICE_BRIDGE="true"
    ) as pool:
        assert (await pool.create(voiceBridge="77777"))["voiceBridge"] == "77777"
