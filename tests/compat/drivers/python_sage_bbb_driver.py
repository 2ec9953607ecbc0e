"""Drives python-sage-bbb. Of lists it returns no element, only their text."""

from __future__ import annotations

from typing import Any

from sage_bbb.services.client import BigBlueButtonClient

from tests.compat.drivers.answering import API_URL, SECRET, answer_calls

bbb = BigBlueButtonClient(API_URL + "/", SECRET)


def create(meeting_id: str, name: str, attendee_pw: str, moderator_pw: str) -> Any:
    meeting = bbb.meetings.create_meeting(name, meeting_id, attendee_pw, moderator_pw)
    return {
        "meetingID": meeting.meeting_id,
        "moderatorPW": meeting.moderator_pw,
        "attendeePW": meeting.attendee_pw,
        "voiceBridge": meeting.voice_bridge,
        "createTime": meeting.create_time,
    }


def succeeded(answer: Any) -> Any:
    assert answer["returncode"] == "SUCCESS", f"{answer['messageKey']}: {answer['message']}"
    return answer


answer_calls(
    {
        "version": lambda: bbb.check_connection()["version"],
        "create": create,
        "join_url": lambda meeting_id, name, password: bbb.meetings.join_meeting(
            meeting_id, name, password
        ),
        "is_running": lambda meeting_id: (
            bbb.meetings.is_meeting_running(meeting_id)["running"] == "true"
        ),
        "info": lambda meeting_id: succeeded(bbb.meetings.get_meeting_info(meeting_id)),
        "end": lambda meeting_id, password: bool(
            succeeded(bbb.meetings.end_meeting(meeting_id, password))
        ),
        "publish": lambda record_id, publish: (
            succeeded(bbb.recordings.publish_recording(record_id, publish))["published"] == "true"
        ),
        "delete": lambda record_id: (
            succeeded(bbb.recordings.delete_recording(record_id))["deleted"] == "true"
        ),
    }
)
