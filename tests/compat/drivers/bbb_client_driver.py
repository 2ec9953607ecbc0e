"""Drives bbb-client."""

from __future__ import annotations

from typing import Any

from bbb_client.domain.meeting_management.model import Bbb

from tests.compat.drivers.answering import API_URL, SECRET, answer_calls

bbb = Bbb(API_URL, SECRET)
FIELDS = ("meetingID", "meetingName", "moderatorPW", "participantCount", "createTime", "duration")


def create(meeting_id: str, name: str, attendee_pw: str, moderator_pw: str) -> Any:
    # It takes a repeated create, which is a success with a warning, for a failure.
    done = bbb.create_meeting(meeting_id, name, moderator_pw, attendee_pw)
    return {"repeated": not done}


def meeting_of(meeting: Any) -> Any:
    return {field: getattr(meeting, field) for field in FIELDS}


answer_calls(
    {
        "create": create,
        "join_url": lambda meeting_id, name, password: bbb.generate_join_url(meeting_id, name),
        "info": lambda meeting_id: meeting_of(bbb.get_meeting_info(meeting_id)),
        "meetings": lambda: [meeting_of(one) for one in bbb.get_meetings()],
        "end": lambda meeting_id, password: bbb.end_meeting(meeting_id),
    }
)
