"""The API calls of the simulated BBB server."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.doubles.bbb_calls import TIMEOUT_S, call, fetch, parsed
from tests.doubles.bbb_process import BbbProcess, until
from tests.doubles.signing import checksum, sign_form


def test_index_returns_the_version_without_a_checksum(bbb: BbbProcess) -> None:
    for url in (bbb.url, f"{bbb.url}/"):
        status, headers, body = fetch(url)
        assert (status, headers["content-type"]) == (200, "text/xml;charset=utf-8")
        assert parsed(body)["bbbVersion"] == "3.0.10"


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA384", "SHA512"])
def test_call_is_answered_when_signed(bbb: BbbProcess, algorithm: str) -> None:
    url = bbb.sign("isMeetingRunning", "meetingID=a%20b&x=%zz+", algorithm)
    assert parsed(fetch(url)[2])["running"] == "false"


@pytest.mark.parametrize(
    "query", ["meetingID=m1", "meetingID=m1&checksum=", "meetingID=m1&checksum=" + "0" * 64]
)
def test_call_is_refused_when_badly_signed(bbb: BbbProcess, query: str) -> None:
    answer = parsed(fetch(f"{bbb.url}/create?{query}")[2])
    assert (answer["returncode"], answer["messageKey"]) == ("FAILED", "checksumError")
    assert bbb.meetings() == {}


def test_checksum_is_found_anywhere_in_the_query(bbb: BbbProcess) -> None:
    signed = checksum("create", "name=n&meetingID=m1", bbb.secret)
    given = f"checksum={signed}"
    for query in (f"{given}&name=n&meetingID=m1", f"name=n&{given}&meetingID=m1"):
        assert parsed(fetch(f"{bbb.url}/create?{query}")[2])["returncode"] == "SUCCESS"


def test_create_is_idempotent_when_passwords_agree(bbb: BbbProcess) -> None:
    params = {"meetingID": "m1", "attendeePW": "ap", "moderatorPW": "mp", "voiceBridge": "70001"}
    first, second = call(bbb, "create", **params), call(bbb, "create", **params)
    assert first["messageKey"] == ""
    assert second["messageKey"] == "duplicateWarning"
    assert first["voiceBridge"] == "70001"
    for name in ("internalMeetingID", "createTime", "moderatorPW", "voiceBridge"):
        assert first[name] == second[name]


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ({}, {}, "duplicateWarning"),
        ({"attendeePW": "a", "moderatorPW": "m"}, {}, "duplicateWarning"),
        ({"attendeePW": "a", "moderatorPW": "m"}, {"attendeePW": "a"}, "idNotUnique"),
        ({"moderatorPW": "m"}, {"moderatorPW": "m"}, "idNotUnique"),
        (
            {"attendeePW": "a", "moderatorPW": "m"},
            {"attendeePW": "a", "moderatorPW": "x"},
            "idNotUnique",
        ),
    ],
)
def test_create_again_answers_as_bbb_does(
    bbb: BbbProcess, first: dict[str, str], second: dict[str, str], key: str
) -> None:
    call(bbb, "create", meetingID="m1", **first)
    assert call(bbb, "create", meetingID="m1", **second)["messageKey"] == key


def test_create_is_refused_when_the_voice_bridge_is_taken(bbb: BbbProcess) -> None:
    call(bbb, "create", meetingID="m1", voiceBridge="70001")
    answer = call(bbb, "create", meetingID="m2", voiceBridge="70001")
    assert answer["messageKey"] == "nonUniqueVoiceBridge"


@pytest.mark.parametrize(
    ("meeting_id", "key"),
    [
        ("", "missingParamMeetingID"),
        ("x", "sizeError"),
        ("a,b", "formatError"),
        (" m1", "validationError"),
        ("m\x001", "validationError"),
    ],
)
def test_create_is_refused_when_the_id_is_bad(bbb: BbbProcess, meeting_id: str, key: str) -> None:
    assert call(bbb, "create", meetingID=meeting_id)["messageKey"] == key


@pytest.mark.parametrize("over", ["empty", "body", "sorted"])
def test_create_takes_a_signed_form(bbb: BbbProcess, over: str) -> None:
    params = [("name", "Füß & co"), ("meetingID", "m1"), ("welcome", "w" * 9000)]
    body = sign_form("create", params, bbb.secret, over=over).encode()
    fetch(f"{bbb.url}/create", body, "application/x-www-form-urlencoded")
    assert bbb.meetings()["m1"]["name"] == "Füß & co"


def test_create_takes_slides_in_xml(bbb: BbbProcess) -> None:
    xml = b'<modules><module name="presentation"><document url="u"/><document/></module></modules>'
    fetch(bbb.sign("create", {"meetingID": "m1"}), xml, "application/xml")
    assert bbb.meetings()["m1"]["documents"] == 2


def test_create_is_refused_when_the_body_is_of_another_type(bbb: BbbProcess) -> None:
    body = fetch(bbb.sign("create", {"meetingID": "m1"}), b"{}", "application/json")[2]
    assert parsed(body)["messageKey"] == "unsupportedContentType"


def test_get_meeting_info_shows_what_create_set(bbb: BbbProcess) -> None:
    params = {
        "meetingID": "m<1>",
        "meta_Tenant-Id": "t&1",
        "record": "true",
        "duration": "60",
        "maxParticipants": "9",
    }
    call(bbb, "create", **params)
    body = fetch(bbb.sign("getMeetingInfo", {"meetingID": "m<1>"}))[2]
    answer = parsed(body)
    assert answer["meetingID"] == "m<1>"
    assert (answer["recording"], answer["duration"], answer["maxUsers"]) == ("true", "60", "9")
    assert (answer["running"], answer["hasUserJoined"]) == ("false", "false")
    assert ET.fromstring(body).findtext("metadata/tenant-id") == "t&1"


def test_meeting_is_found_by_its_trimmed_id_and_by_its_internal_one(bbb: BbbProcess) -> None:
    internal_id = call(bbb, "create", meetingID="m1")["internalMeetingID"]
    for meeting_id in ("m1", " m1\t", "m\x071", internal_id):
        assert call(bbb, "getMeetingInfo", meetingID=meeting_id)["meetingID"] == "m1"
    assert call(bbb, "end", meetingID=internal_id)["returncode"] == "SUCCESS"
    assert bbb.meetings() == {}


@pytest.mark.parametrize(
    ("params", "key"),
    [({}, "parentMeetingIDMissing"), ({"parentMeetingID": "no"}, "parentMeetingDoesNotExist")],
)
def test_breakout_room_needs_its_parent(bbb: BbbProcess, params: dict[str, str], key: str) -> None:
    assert call(bbb, "create", meetingID="m1", isBreakout="true", **params)["messageKey"] == key


def test_join_redirects_to_a_page_with_meeting_and_server(bbb: BbbProcess) -> None:
    call(bbb, "create", meetingID="m1", name="Physics", attendeePW="ap", moderatorPW="mp")
    query = {"meetingID": "m1", "fullName": "Ada <L>", "password": "mp"}
    status, headers, _body = fetch(bbb.sign("join", query))
    assert status == 302
    page = fetch(headers["location"])[2].decode()
    for text in ("Physics", "Ada &lt;L&gt;", "MODERATOR", "one", str(bbb.port)):
        assert text in page
    info = call(bbb, "getMeetingInfo", meetingID="m1")
    assert (info["participantCount"], info["moderatorCount"]) == ("1", "1")
    assert call(bbb, "isMeetingRunning", meetingID="m1")["running"] == "true"


def test_join_answers_in_xml_when_redirect_is_false(bbb: BbbProcess) -> None:
    call(bbb, "create", meetingID="m1")
    answer = call(bbb, "join", meetingID="m1", fullName="Ada", role="viewer", redirect="false")
    assert answer["messageKey"] == "successfullyJoined"
    assert fetch(answer["url"])[0] == 200


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"fullName": "A", "password": "wrong"}, "Params required"),
        ({"fullName": "A"}, "Params required"),
        ({"role": "viewer"}, "validationError"),
        ({"fullName": "A", "role": "viewer", "createTime": "1"}, "mismatchCreateTimeParam"),
        ({"fullName": "A", "role": "viewer", "meetingID": "gone"}, "notFound"),
    ],
)
def test_join_is_refused(bbb: BbbProcess, params: dict[str, str], key: str) -> None:
    call(bbb, "create", meetingID="m1")
    assert call(bbb, "join", **({"meetingID": "m1"} | params))["messageKey"] == key


def test_get_meetings_lists_all_with_their_counts(bbb: BbbProcess) -> None:
    assert call(bbb, "getMeetings")["messageKey"] == "noMeetings"
    bbb.create_meeting("m1")
    bbb.create_meeting("m2", isBreakout="true", parentMeetingID="m1", sequence="3")
    bbb.set_users("m1", participants=3, moderators=1, videos=2, listed=True)
    root = ET.fromstring(fetch(bbb.sign("getMeetings"))[2])
    first, second = root.findall("meetings/meeting")
    assert first.findtext("participantCount") == "3"
    assert first.findtext("videoCount") == "2"
    assert len(first.findall("attendees/attendee")) == 3
    assert first.findtext("breakoutRooms/breakout") == second.findtext("internalMeetingID")
    assert second.findtext("isBreakout") == "true"
    assert second.findtext("parentMeetingID") == first.findtext("internalMeetingID")


def test_end_ends_at_once_and_frees_the_bridge(bbb: BbbProcess) -> None:
    first = call(bbb, "create", meetingID="m1", voiceBridge="70001", moderatorPW="mp")
    wrong = call(bbb, "end", meetingID="m1", password="wrong")
    assert wrong["messageKey"] == "invalidPassword"
    ended = call(bbb, "end", meetingID="m1", password="mp")
    assert ended["messageKey"] == "sentEndMeetingRequest"
    for name in ("getMeetingInfo", "end"):
        assert call(bbb, name, meetingID="m1")["messageKey"] == "notFound"
    again = call(bbb, "create", meetingID="m1", voiceBridge="70001")
    assert again["internalMeetingID"] != first["internalMeetingID"]


def test_insert_document_and_chat_reach_the_meeting(bbb: BbbProcess) -> None:
    bbb.create_meeting("m1")
    fetch(bbb.sign("insertDocument", {"meetingID": "m1"}), b"<document/>", "text/xml")
    answer = call(bbb, "sendChatMessage", meetingID="m1", message="hello")
    assert answer["returncode"] == "SUCCESS"
    meeting = bbb.meetings()["m1"]
    assert (meeting["documents"], meeting["chat"]) == (1, ["hello"])


@pytest.mark.parametrize("name", ["getRecordings", "nonsense", "insertDocument"])
def test_unknown_call_or_method_is_unsupported(bbb: BbbProcess, name: str) -> None:
    assert call(bbb, name, meetingID="m1")["messageKey"] == "unsupportedRequest"


async def test_meeting_ended_url_is_called_when_a_meeting_ends(bbb: BbbProcess) -> None:
    seen: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    hook = HTTPServer(("127.0.0.1", 0), Hook)
    thread = Thread(target=hook.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        base = f"http://127.0.0.1:{hook.server_port}"
        call(bbb, "create", meetingID="m1", meetingEndedURL=f"{base}/ended?s=1")
        call(bbb, "create", meetingID="m2", meta_endCallbackUrl=f"{base}/hook")
        call(bbb, "end", meetingID="m1")
        bbb.end_meeting("m2")
        await until(lambda: len(bbb.callbacks()) == 2, TIMEOUT_S)
    finally:
        hook.shutdown()
        hook.server_close()
    # Each twice, as CallbackUrlService does.
    assert sorted(seen) == sorted(
        2 * ["/ended?s=1&recordingmarks=false", "/hook?recordingmarks=false&meetingID=m2"]
    )
