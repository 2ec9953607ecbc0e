"""The XML answers of a simulated BBB server, with the fields and order of BBB 3.0's templates.

Pure. Shares no code with the appliance, so that the appliance is not tested against itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from tests.doubles.bbb_state import Meeting, Session, User

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
END_SENT = (
    "A request to end the meeting was sent.  Please wait a few seconds, and then use the "
    "getMeetingInfo or isMeetingRunning API calls to verify that it was ended."
)


def escape(text: str) -> str:
    """Escape text for element content, and drop characters that XML does not allow."""
    if not text.isalnum():
        text = _CONTROL.sub("", text)
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = text.replace('"', "&quot;")
    return text


def failed(key: str, message: str) -> bytes:
    """Render a FAILED answer."""
    return _message("FAILED", key, message)


def succeeded(key: str, message: str) -> bytes:
    """Render a SUCCESS answer with a message."""
    return _message("SUCCESS", key, message)


def _message(code: str, key: str, message: str) -> bytes:
    return (
        f"<response><returncode>{code}</returncode><messageKey>{escape(key)}</messageKey>"
        f"<message>{escape(message)}</message></response>"
    ).encode()


def index(version: str, base_url: str) -> bytes:
    """Render the answer of the index call."""
    return (
        "<response><returncode>SUCCESS</returncode><version>2.0</version>"
        f"<apiVersion>2.0</apiVersion><bbbVersion>{escape(version)}</bbbVersion>"
        f"<graphqlWebsocketUrl>{escape(base_url.replace('http', 'ws', 1))}/graphql"
        "</graphqlWebsocketUrl>"
        f"<graphqlApiUrl>{escape(base_url)}/api/rest</graphqlApiUrl></response>"
    ).encode()


def running(value: bool) -> bytes:
    """Render the answer of isMeetingRunning."""
    text = "true" if value else "false"
    return (
        f"<response><returncode>SUCCESS</returncode><running>{text}</running></response>"
    ).encode()


def created(meeting: Meeting, new: bool) -> bytes:
    """Render the answer of create."""
    key, message = (
        ("", "")
        if new
        else (
            "duplicateWarning",
            "This conference was already in existence and may currently be in progress.",
        )
    )
    return (
        "<response><returncode>SUCCESS</returncode>"
        f"<meetingID>{escape(meeting.id)}</meetingID>"
        f"<internalMeetingID>{meeting.internal_id}</internalMeetingID>"
        f"<parentMeetingID>{escape(meeting.parent_id)}</parentMeetingID>"
        f"<attendeePW>{escape(meeting.attendee_pw)}</attendeePW>"
        f"<moderatorPW>{escape(meeting.moderator_pw)}</moderatorPW>"
        f"<createTime>{meeting.create_time_ms}</createTime>"
        f"<voiceBridge>{escape(meeting.voice_bridge)}</voiceBridge>"
        "<dialNumber>613-555-1234</dialNumber>"
        f"<createDate>{_date(meeting.create_time_ms)}</createDate>"
        f"<hasUserJoined>{_flag(meeting.has_user_joined)}</hasUserJoined>"
        f"<duration>{meeting.duration_min}</duration>"
        "<hasBeenForciblyEnded>false</hasBeenForciblyEnded>"
        f"<messageKey>{key}</messageKey><message>{message}</message></response>"
    ).encode()


def meeting_info(meeting: Meeting) -> bytes:
    """Render the answer of getMeetingInfo."""
    return f"<response><returncode>SUCCESS</returncode>{_details(meeting)}</response>".encode()


def sessions(listed: Iterable[tuple[str, Session]]) -> bytes:
    """Render the answer of getSessions for sessions with their meetings' internal ids."""
    parts = [
        f"<meeting><meetingID>{internal_id}</meetingID>"
        f"<meetingName>{escape(session.meeting_name)}</meetingName>"
        f"<userName>{escape(session.user_name)}</userName></meeting>"
        for internal_id, session in listed
    ]
    if not parts:
        return (
            b"<response><returncode>SUCCESS</returncode><sessions/>"
            b"<messageKey>noSessions</messageKey>"
            b"<message>no sessions were found on this serverr</message></response>"
        )
    listing = "".join(parts)
    return (
        f"<response><returncode>SUCCESS</returncode><sessions>{listing}</sessions></response>"
    ).encode()


def meetings(listed: Iterable[Meeting]) -> bytes:
    """Render the answer of getMeetings."""
    parts = [f"<meeting>{_details(meeting)}</meeting>" for meeting in listed]
    if not parts:
        return (
            b"<response><returncode>SUCCESS</returncode><meetings/>"
            b"<messageKey>noMeetings</messageKey>"
            b"<message>no meetings were found on this server</message></response>"
        )
    return (
        "<response><returncode>SUCCESS</returncode><meetings>"
        f"{''.join(parts)}</meetings></response>"
    ).encode()


def joined(meeting: Meeting, user: User, token: str, url: str) -> bytes:
    """Render the answer of join with redirect=false."""
    return (
        "<response><returncode>SUCCESS</returncode><messageKey>successfullyJoined</messageKey>"
        "<message>You have joined successfully.</message>"
        f"<meeting_id>{meeting.internal_id}</meeting_id><user_id>{escape(user.user_id)}</user_id>"
        f"<auth_token>{token[:12]}</auth_token><session_token>{token}</session_token>"
        f"<guestStatus>ALLOW</guestStatus><url>{escape(url)}</url></response>"
    ).encode()


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _date(time_ms: int) -> str:
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(time_ms / 1000))


def _attendee(user: User) -> str:
    return (
        f"<attendee><userID>{escape(user.user_id)}</userID>"
        f"<fullName>{escape(user.full_name)}</fullName><role>{user.role}</role>"
        "<isPresenter>false</isPresenter><isListeningOnly>false</isListeningOnly>"
        "<hasJoinedVoice>false</hasJoinedVoice><hasVideo>false</hasVideo>"
        "<clientType>HTML5</clientType></attendee>"
    )


def _details(meeting: Meeting) -> str:
    if meeting.rendered is None:
        meeting.rendered = _render_details(meeting)
    return meeting.rendered


def _render_details(meeting: Meeting) -> str:
    start_ms = meeting.create_time_ms + 38
    attendees = "".join(map(_attendee, meeting.users))
    metadata = "".join(
        f"<{name}>{escape(value)}</{name}>"
        for name, value in meeting.metadata.items()
        if _NAME.fullmatch(name)
    )
    return (
        f"<meetingName>{escape(meeting.name)}</meetingName>"
        f"<meetingID>{escape(meeting.id)}</meetingID>"
        f"<internalMeetingID>{meeting.internal_id}</internalMeetingID>"
        f"<createTime>{meeting.create_time_ms}</createTime>"
        f"<createDate>{_date(meeting.create_time_ms)}</createDate>"
        f"<voiceBridge>{escape(meeting.voice_bridge)}</voiceBridge>"
        "<dialNumber>613-555-1234</dialNumber>"
        f"<attendeePW>{escape(meeting.attendee_pw)}</attendeePW>"
        f"<moderatorPW>{escape(meeting.moderator_pw)}</moderatorPW>"
        f"<running>{_flag(meeting.running)}</running>"
        f"<duration>{meeting.duration_min}</duration>"
        f"<hasUserJoined>{_flag(meeting.has_user_joined)}</hasUserJoined>"
        f"<recording>{_flag(meeting.recording)}</recording>"
        "<hasBeenForciblyEnded>false</hasBeenForciblyEnded>"
        f"<startTime>{start_ms}</startTime><endTime>0</endTime>"
        f"<participantCount>{meeting.participants}</participantCount>"
        f"<listenerCount>{meeting.listeners}</listenerCount>"
        f"<voiceParticipantCount>{meeting.voice}</voiceParticipantCount>"
        f"<videoCount>{meeting.videos}</videoCount><maxUsers>{meeting.max_users}</maxUsers>"
        f"<moderatorCount>{meeting.moderators}</moderatorCount>"
        f"<attendees>{attendees}</attendees><metadata>{metadata}</metadata>"
        f"<isBreakout>{_flag(meeting.is_breakout)}</isBreakout>{_breakout(meeting)}"
    )


def _breakout(meeting: Meeting) -> str:
    text = ""
    if meeting.is_breakout:
        text = (
            f"<parentMeetingID>{escape(meeting.parent_id)}</parentMeetingID>"
            f"<sequence>{escape(meeting.sequence)}</sequence>"
            f"<freeJoin>{_flag(meeting.free_join)}</freeJoin>"
        )
    if meeting.breakout_rooms:
        rooms = "".join(f"<breakout>{room}</breakout>" for room in meeting.breakout_rooms)
        text += f"<breakoutRooms>{rooms}</breakoutRooms>"
    return text
