"""What a create sends to the server that it is placed on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.bbb.client import MAX_LINE_BYTES
from appliance.bbb.params import Params
from appliance.meetings.create_params import (
    ATTENDEE_PASSWORD_LENGTH,
    attendee_password,
    fit_request_line,
    password_to_send,
    server_params,
    with_stored_id,
)
from appliance.model import Meeting, MeetingId, ServerId
from appliance.tenants.scoped_id import scoped_id

MEETING = Meeting(MeetingId("room"), ServerId("a"), "stored", "70000", placement=3)
SENT: Params = (("a", "1"), ("meetingID", "room"), ("voiceBridge", "1"), ("b", "2"))
LONG = MeetingId("x" * 256)


def sent(meeting: Meeting = MEETING, params: Params = SENT, **changes: Any) -> dict[str, str]:
    values: dict[str, Any] = {
        "asked_for": MeetingId("room"),
        "moderator_pw": "mp",
        "ended_url": "http://us/ended",
    }
    return dict(server_params(params, meeting, **(values | changes)))


def test_record_and_server_decide() -> None:
    assert sent(replace(MEETING, server_tag="gpu")) == {
        "a": "1",
        "meetingID": "room",
        "voiceBridge": "70000",
        "b": "2",
        "moderatorPW": "mp",
        "meta_server-tag": "gpu",
        "meetingEndedURL": "http://us/ended",
        "attendeePW": attendee_password(MeetingId("room"), "mp"),
    }


@pytest.mark.parametrize(
    ("meeting", "params"),
    [(MEETING, (*SENT, ("attendeePW", "ap"))), (replace(MEETING, placement=0), SENT)],
)
def test_attendee_password_is_not_derived(meeting: Meeting, params: Params) -> None:
    assert sent(meeting, params).get("attendeePW") == dict(params).get("attendeePW")


@pytest.mark.parametrize(
    ("own", "given", "none_given", "password"),
    [
        (True, None, True, "stored"),
        (False, None, True, None),
        (True, "mp", False, "mp"),
        (False, "mp", False, "mp"),
        (False, None, False, "stored"),
    ],
)
def test_password_is_left_out_when_no_create_of_the_meeting_needs_it(
    own: bool, given: str | None, none_given: bool, password: str | None
) -> None:
    meeting = replace(MEETING, own_passwords=own)
    assert password_to_send(meeting, given, none_given=none_given) == password


def test_what_there_is_not_is_removed() -> None:
    params = (*SENT, ("meta_server-tag", "x"), ("meetingEndedURL", "http://front-end"))
    shown = sent(params=params, ended_url=None)
    assert not {"meta_server-tag", "meetingEndedURL"} & set(shown)


@pytest.mark.parametrize(
    ("asked_for", "kept", "original"),
    [
        (MeetingId("room"), MeetingId("room"), None),
        (MeetingId("room"), scoped_id("room", "t"), None),
        (LONG, scoped_id(LONG, "t"), LONG),
    ],
)
def test_meeting_is_named_as_it_is_kept(
    asked_for: MeetingId, kept: MeetingId, original: str | None
) -> None:
    params = (("meetingID", asked_for), ("a", "1"))
    shown = sent(replace(MEETING, id=kept), params, asked_for=asked_for)
    assert shown["meetingID"] == kept
    assert shown.get("meta_tenant-meeting-id") == original
    assert with_stored_id(params, replace(MEETING, id=kept)) == (("meetingID", kept), ("a", "1"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://us.example/bigbluebutton/api/end_callback?url=x", False),
        ("https://gl.example/ended", True),
    ],
)
def test_url_that_we_have_put_in_goes_too_where_the_line_is_still_too_long(
    given: str, kept: bool
) -> None:
    name = "meta_endCallbackUrl"
    params: Params = (("welcome", "x" * 8000), ("meetingEndedURL", "u"), (name, given))
    url = "https://bbb.example.org/bigbluebutton/api"

    assert fit_request_line(params, url) == (*params[:1], *(params[2:] if kept else ()))
    assert fit_request_line(params[1:], url) == params[1:]


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_url_of_ours_is_left_out_where_the_request_line_would_be_too_long(
    more: int, kept: bool
) -> None:
    url = "https://bbb.example.org/bigbluebutton/api"
    params: Params = (("welcome", ""), ("meetingEndedURL", "u"))
    line = f"POST {url}/create?welcome=&meetingEndedURL=u&checksum={'c' * 128} HTTP/1.1\r\n"
    params = (("welcome", "w" * (MAX_LINE_BYTES - len(line) + more)), params[1])
    assert (dict(fit_request_line(params, url)).get("meetingEndedURL") == "u") is kept


def test_attendee_password_is_the_same_for_a_repeated_create() -> None:
    # A literal: another value after an upgrade would refuse the repeated create of a meeting.
    assert attendee_password("math", "secret") == "Bayg7Qqwzwij"


def test_attendee_password_differs_by_meeting_and_moderator_password() -> None:
    seen = {attendee_password(m, p) for m in ("a", "b") for p in ("x", "y")}
    assert len(seen) == 4


def test_attendee_password_needs_no_encoding_and_is_not_the_moderator_password() -> None:
    password = attendee_password("ünï", "mp")
    assert len(password) == ATTENDEE_PASSWORD_LENGTH
    assert password.isascii()
    assert password.isalnum()
    assert password != attendee_password("ünï", password)
