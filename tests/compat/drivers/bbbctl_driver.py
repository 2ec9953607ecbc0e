"""Drives bbbctl by the client class that it exports."""

from __future__ import annotations

from typing import Any

from bbbctl import BBBApiClient

from tests.compat.drivers.answering import API_URL, SECRET, answer_calls

bbb = BBBApiClient(API_URL, SECRET)


def fields_of(element: Any) -> Any:
    return {child.tag: child.text for child in element if not len(child)}


def create(meeting_id: str, name: str, attendee_pw: str, moderator_pw: str) -> Any:
    passwords = {"attendeePW": attendee_pw, "moderatorPW": moderator_pw}
    return fields_of(bbb.createMeeting(meeting_id, name, **passwords))


def recordings(meeting_id: str) -> Any:
    found = bbb.getRecordings(meetingID=meeting_id)
    return [{**fields_of(one), "type": one.findtext("./playback/format/type")} for one in found]


def flag(name: str, element: Any) -> Any:
    return element.findtext(name) == "true"


answer_calls(
    {
        "version": lambda: bbb.call("").findtext("version"),
        "create": create,
        "join_url": lambda meeting_id, name, password: bbb.getJoinLink(
            meeting_id, name, role="VIEWER"
        ),
        "is_running": lambda meeting_id: flag(
            "running", bbb.call("isMeetingRunning", meetingID=meeting_id)
        ),
        "info": lambda meeting_id: fields_of(bbb.getMeetingInfo(meeting_id)),
        "meetings": lambda: [fields_of(one) for one in bbb.getMeetings()],
        "end": lambda meeting_id, password: (
            bbb.end(meeting_id, password=password).findtext("returncode") == "SUCCESS"
        ),
        "recordings": recordings,
        "publish": lambda record_id, publish: flag(
            "published", bbb.publishRecordings(record_id, str(publish).lower())
        ),
        "delete": lambda record_id: flag("deleted", bbb.deleteRecordings(record_id)),
    }
)
