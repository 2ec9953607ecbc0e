"""Our meetingEndedURL proves itself, and nothing else passes for it."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from appliance.callbacks.ended_rules import (
    EndNotification,
    EndUrlSigner,
    MeetingRun,
    read_end_report,
)
from appliance.model import MeetingId, ServerId

SECRET = "k" * 64
SIGNER = EndUrlSigner("https://bbb.example.org", MeetingRun(1_800_000_000_123), SECRET)


def url(
    meeting_id: str = "math 101", server_id: str = "bbb-1", signer: EndUrlSigner = SIGNER
) -> str:
    found = signer.url_for(MeetingId(meeting_id), ServerId(server_id))
    assert found is not None
    return found


def query(text: str) -> bytes:
    return urlsplit(text).query.encode()


@pytest.mark.parametrize("meeting_id", ["math 101", "a&b=c#d?", "ü~t-1", "x" * 256, "\ufffd+%20"])
def test_url_says_which_run_on_which_server(meeting_id: str) -> None:
    call = read_end_report(query(url(meeting_id)), SECRET)
    assert call is not None
    assert (call.meeting_id, call.server_id, call.began_ms, call.marks) == (
        *(meeting_id, "bbb-1", 1_800_000_000_123, None),
    )


def test_url_is_below_the_api_and_fits_into_a_create() -> None:
    assert url("x" * 256).startswith("https://bbb.example.org/bigbluebutton/api/meeting_ended?")
    assert len(url("x" * 256)) < 600


@pytest.mark.parametrize(
    ("added", "marks"),
    [
        ("recordingmarks=true", "true"),
        ("recordingmarks=false", "false"),
        ("recordingmarks=maybe", None),
        ("meetingID=other", None),
    ],
)
def test_what_the_server_adds_is_not_covered(added: str, marks: str | None) -> None:
    call = read_end_report(query(f"{url()}&{added}"), SECRET)
    assert call is not None
    assert call.marks == marks


def test_url_taken_apart_and_built_anew_in_another_encoding_is_still_ours() -> None:
    pairs = reversed(parse_qsl(urlsplit(url()).query))
    rebuilt = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    assert read_end_report(rebuilt.encode(), SECRET) is not None


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "meeting=m&server=s&began=1",
        "meeting=m&server=s&began=1&signature=",
        "meeting=m&server=s&began=-1&signature=00",
        f"meeting=m&server=s&began={'9' * 400}&signature=00",
        "meeting=m&server=s&began=1&signature=%C3%A4",
        url().partition("?")[2].replace("math+101", "math+102"),
        url().partition("?")[2].replace("bbb-1", "bbb-2"),
        url().partition("?")[2].replace("0123", "0124"),
        url(signer=EndUrlSigner("https://bbb.example.org", SIGNER.run, "other" * 9)).partition("?")[
            2
        ],
        url().partition("?")[2] + "&x=" + "y" * 9000,
    ],
)
def test_forged_call_is_nothing(forged: str) -> None:
    assert read_end_report(forged.encode(), SECRET) is None


def test_without_a_secret_nothing_is_signed_and_nothing_is_good() -> None:
    signer = EndUrlSigner("https://bbb.example.org", SIGNER.run, "")
    assert signer.url_for(MeetingId("m"), ServerId("s")) is None
    assert read_end_report(query(url()), "") is None
    assert EndUrlSigner("", SIGNER.run, SECRET).url_for(MeetingId("m"), ServerId("s")) is None


def test_secret_is_in_no_repr() -> None:
    assert SECRET not in repr(SIGNER)


@pytest.mark.parametrize(
    ("given", "marks", "target"),
    [
        ("https://a.example/end", "true", "https://a.example/end?recordingmarks=true"),
        (
            "https://a.example/end?m=1#x",
            "false",
            "https://a.example/end?m=1&recordingmarks=false#x",
        ),
        ("https://a.example/?recordingmarks=x", "true", "https://a.example/?recordingmarks=true"),
        ("https://a.example/end?m=%2F&n", None, "https://a.example/end?m=%2F&n"),
    ],
)
def test_front_end_is_told_the_marks_that_the_server_told(
    given: str, marks: str | None, target: str
) -> None:
    assert EndNotification("k", MeetingId("m"), None, given, marks).target == target


def test_front_end_is_named_the_meeting_by_its_own_id_where_the_server_named_it() -> None:
    call = read_end_report(query(url()) + b"&recordingmarks=true&meetingID=who~knows", SECRET)
    assert call is not None
    assert call.named
    meeting = EndNotification("k", MeetingId("a&b~t1"), "t1", "https://a.example/e?x", "true", True)
    assert meeting.target == "https://a.example/e?x&recordingmarks=true&meetingID=a%26b"
