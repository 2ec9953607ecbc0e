"""Drives bigbluebutton-api.

What it does with lists of elements (getMeetingInfo with attendees, getRecordings) needs a Python
before 3.9, and it cannot send publishRecordings and deleteRecordings at all.
"""

from __future__ import annotations

from typing import Any

from bigbluebutton import BigBlueButton

from tests.compat.drivers.answering import API_URL, SECRET, answer_calls

bbb = BigBlueButton(API_URL + "/", SECRET)


def create(meeting_id: str, name: str, attendee_pw: str, moderator_pw: str) -> Any:
    assert bbb.create_meeting(meeting_id, name, attendee_pw, moderator_pw)
    return {}


answer_calls(
    {
        "create": create,
        "join_url": lambda meeting_id, name, password: bbb.join_meeting_url(
            meeting_id, name, password
        ),
        "is_running": bbb.is_meeting_running,
        "end": lambda meeting_id, password: bbb.end_meeting(meeting_id, password),
    }
)
