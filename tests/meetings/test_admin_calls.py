"""The answers of the admin calls about meetings (tests/admin has the calls themselves)."""

from __future__ import annotations

import msgspec

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.meetings.admin_calls import meeting_json, server_meetings_json
from appliance.meetings.administration import ServerMeetings
from appliance.model import Meeting, MeetingId, Server, ServerId

SERVER = Server(ServerId("one"), "https://bbb1.example.com/bigbluebutton/api", "s3cr3t")


def test_meeting_shows_no_password() -> None:
    meeting = Meeting(MeetingId("m"), ServerId("one"), "mod-pw", "123", server=SERVER.target)

    answer = meeting_json(meeting)

    assert b"mod-pw" not in msgspec.json.encode(answer)
    assert answer.server_url == SERVER.url


def test_meetings_of_a_server_show_no_secret() -> None:
    listed = ListedMeeting("m", 1, 2, 3, 4, is_breakout=True)

    answer = msgspec.to_builtins(server_meetings_json(ServerMeetings(SERVER, (listed,))))

    assert "s3cr3t" not in str(answer)
    assert answer["meetings"] == [
        {"id": "m", "participants": 2, "moderators": 3, "videos": 4, "breakout": True}
    ]
