"""Reading a getMeetingInfo answer for the operator."""

from __future__ import annotations

from pathlib import Path

from appliance.bbb.meeting_info import parse_meeting_info
from appliance.bbb.xml import ServerAnswer, parse_answer

DATA = Path(__file__).resolve().parent.parent / "data" / "bbb-responses"


def test_real_answer_is_read() -> None:
    info = parse_meeting_info(parse_answer((DATA / "getMeetingInfoSuccess.xml").read_bytes()))

    assert info.name == "Demo Meeting"
    assert info.internal_id.startswith("183f0bf3a098")
    assert info.created == "Tue Jul 10 16:36:25 UTC 2018"
    assert (info.recording, info.running) == (False, True)
    assert (info.participants, info.moderators, info.videos) == (2, 1, 1)
    assert info.metadata == ()


def test_metadata_is_read_in_order_without_comments() -> None:
    body = (
        b"<response><returncode>SUCCESS</returncode><metadata><b>1</b><!-- x --><a> y </a><c/>"
        b"</metadata></response>"
    )

    assert parse_meeting_info(parse_answer(body)).metadata == (("b", "1"), ("a", "y"), ("c", ""))


def test_missing_and_odd_fields_are_empty() -> None:
    body = (
        b"<response><participantCount>-1</participantCount>"
        b"<videoCount>9999999999</videoCount></response>"
    )

    info = parse_meeting_info(ServerAnswer(True, None, body))

    assert (info.name, info.participants, info.videos, info.recording) == ("", 0, 0, False)
