"""The JSON of the admin calls about meetings. Pure."""

from __future__ import annotations

from appliance.admin_calls.forms import Json
from appliance.meetings.administration import ServerMeetings, ShownMeeting
from appliance.model import Meeting


def meeting_json(meeting: Meeting) -> Json:
    """Render a meeting's record, without its password."""
    return {
        "id": meeting.id,
        "server_id": meeting.server_id,
        "server_url": meeting.server.url if meeting.server else "",
        "tenant_id": meeting.tenant_id or "",
        "voice_bridge": meeting.voice_bridge,
        "reachable": meeting.reachable,
    }


def shown_meeting_json(shown: ShownMeeting) -> Json:
    """Render a meeting with what its server says about it."""
    info = shown.info
    return {
        **meeting_json(shown.meeting),
        "name": info.name,
        "internal_id": info.internal_id,
        "created": info.created,
        "recording": info.recording,
        "running": info.running,
        "participants": info.participants,
        "moderators": info.moderators,
        "videos": info.videos,
        "metadata": dict(info.metadata),
    }


def server_meetings_json(one: ServerMeetings) -> Json:
    """Render what one server says that runs on it."""
    return {
        "id": one.server.id,
        "url": one.server.url,
        "failure": one.failure,
        "meetings": [
            {
                "id": meeting.id,
                "participants": meeting.participants,
                "moderators": meeting.moderators,
                "videos": meeting.videos,
                "breakout": meeting.is_breakout,
            }
            for meeting in one.meetings
        ],
    }
