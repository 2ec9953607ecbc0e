"""Drives bigbluebutton-api-python."""

from __future__ import annotations

from typing import Any

from bigbluebutton_api_python import BigBlueButton

from tests.compat.drivers.answering import API_URL, SECRET, answer_calls

bbb = BigBlueButton(API_URL + "/", SECRET)


def create(meeting_id: str, name: str, attendee_pw: str, moderator_pw: str) -> Any:
    params = {"name": name, "attendeePW": attendee_pw, "moderatorPW": moderator_pw}
    answer = bbb.create_meeting(meeting_id, params=params, meta={"course": "a b"})
    return {
        "meetingID": answer.get_meetingid(),
        "moderatorPW": answer.get_moderator_pw(),
        "attendeePW": answer.get_attendee_pw(),
        "voiceBridge": answer.get_voice_bridge(),
        "createTime": answer.get_field("createTime"),
    }


def join_url(meeting_id: str, name: str, password: str) -> Any:
    return bbb.get_join_meeting_url(name, meeting_id, password, {})


def meeting_of(meeting: Any) -> Any:
    return {
        "meetingID": meeting.get_meetingid(),
        "meetingName": meeting.get_meetingname(),
        "moderatorPW": meeting.get_moderatorpw(),
        "participantCount": meeting.get_participantcount(),
        "duration": meeting.get_duration(),
        "createTime": int(meeting.get_createtime()),
    }


def recordings(meeting_id: str) -> Any:
    return [
        {
            "recordID": one.get_recordid(),
            "meetingID": one.get_meetingid(),
            "name": one.get_name(),
            "state": one.get_state(),
            "published": one.is_published(),
            "type": one.get_playbacktype(),
        }
        for one in bbb.get_recordings(meeting_id).get_recordings()
    ]


answer_calls(
    {
        "version": lambda: bbb.get_api_version().get_version(),
        "create": create,
        "join_url": join_url,
        "is_running": lambda meeting_id: bbb.is_meeting_running(meeting_id).is_meeting_running(),
        "info": lambda meeting_id: meeting_of(bbb.get_meeting_info(meeting_id).get_meetinginfo()),
        "meetings": lambda: [meeting_of(one) for one in bbb.get_meetings().get_meetings()],
        "end": lambda meeting_id, password: (
            bbb.end_meeting(meeting_id, password).get_return_code() == "SUCCESS"
        ),
        "recordings": recordings,
        "publish": lambda record_id, publish: bbb.publish_recordings(
            record_id, publish
        ).is_published(),
        "update": lambda record_id, key, value: bbb.update_recordings(
            record_id, {key: value}
        ).is_updated(),
        "delete": lambda record_id: bbb.delete_recordings(record_id).is_deleted(),
    }
)
