"""The meetings of a simulated BBB server and their users.

The rules are those of bbb-web of BBB 3.0 (ApiController, MeetingService, ParamsProcessorUtil): a
create can be repeated only if both passwords are the same or neither is given, metadata names are
lower-cased, the internal id is the SHA-1 of the meetingID with the createTime, a voice bridge
belongs to one meeting, and a meetingID is looked up among the beginnings of internal ids first.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass, field

MAX_SESSIONS = 50_000
"""Sessions kept for the client page; the oldest are dropped, so that benchmarks do not grow."""
MAX_LISTED_USERS = 1_000
"""Attendees listed per meeting; further ones are only counted."""
_BEGINNING = re.compile(r"[0-9a-f]{1,40}|[0-9a-f]{40}-[0-9]{0,12}").fullmatch


class Refused(Exception):
    """The call is answered with FAILED; args: messageKey, message."""


_LATEST_RUNS_MS: dict[str, int] = {}
"""When the last run of each meeting began, on whichever server."""


@dataclass(slots=True)
class User:
    """An attendee as listed by getMeetingInfo."""

    user_id: str
    full_name: str
    role: str


@dataclass(slots=True)
class Session:
    """The session of a joined user."""

    meeting_id: str
    meeting_name: str
    user_name: str
    role: str


@dataclass(slots=True)
class Meeting:
    """A meeting that has not ended."""

    id: str
    internal_id: str
    name: str
    create_time_ms: int
    attendee_pw: str
    moderator_pw: str
    voice_bridge: str
    duration_min: int = 0
    max_users: int = 0
    recording: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    ended_url: str = ""
    keep_events: bool = False
    recording_marks: bool = False
    """A moderator has pressed the record button."""
    is_breakout: bool = False
    parent_id: str = "bbb-none"
    sequence: str = "0"
    free_join: bool = False
    breakout_rooms: list[str] = field(default_factory=list)
    has_user_joined: bool = False
    participants: int = 0
    moderators: int = 0
    listeners: int = 0
    voice: int = 0
    videos: int = 0
    users: list[User] = field(default_factory=list)
    documents: int = 0
    """Number of presentations of create and insertDocument."""
    chat: list[str] = field(default_factory=list)
    rendered: str | None = None
    """Cached XML of the meeting."""

    @property
    def running(self) -> bool:
        """Return whether the meeting has participants."""
        return self.participants > 0


def _new_id(length: int) -> str:
    return secrets.token_hex(length)[:length]


def internal_id_prefix(meeting_id: str) -> str:
    """Return the part of an internal id that is common to all runs of a meeting."""
    return hashlib.sha1(meeting_id.encode()).hexdigest()


class State:
    """All meetings of a server."""

    def __init__(self) -> None:
        self.meetings: dict[str, Meeting] = {}
        self.sessions: dict[str, Session] = {}
        self._by_internal_id: dict[str, Meeting] = {}
        self._bridges: dict[str, str] = {}
        self._last_create_ms = 0

    def forget_all(self) -> None:
        """Delete everything, like a restarted server: without ends and callbacks."""
        self.meetings.clear()
        self.sessions.clear()
        self._by_internal_id.clear()
        self._bridges.clear()

    def find(self, meeting_id: str) -> Meeting:
        """Return the meeting that BBB finds. Raises Refused: there is none."""
        return _known(self.look_up(meeting_id))

    def find_exactly(self, meeting_id: str) -> Meeting:
        """Return the meeting with this meetingID. Raises Refused: there is none."""
        return _known(self.meetings.get(meeting_id))

    def look_up(self, meeting_id: str) -> Meeting | None:
        """Return a meeting whose internal id begins with this, else that with this meetingID.

        Source: ServiceUtils.findMeetingFromMeetingID, MeetingService.getMeeting.
        """
        if _BEGINNING(meeting_id):
            for internal_id, meeting in self._by_internal_id.items():
                if internal_id.startswith(meeting_id):
                    return meeting
        return self._by_internal_id.get(meeting_id) or self.meetings.get(meeting_id)

    def create(self, params: dict[str, str], documents: int = 0) -> tuple[Meeting, bool]:
        """Create a meeting or find the existing one; return it and whether it is new.

        Raises Refused: other passwords, or the voice bridge of another meeting.
        """
        meeting_id = params["meetingID"]
        existing = self.meetings.get(meeting_id)
        if existing is not None:
            self._check_same(existing, params.get("attendeePW"), params.get("moderatorPW"))
            return existing, False
        bridge = params.get("voiceBridge") or self._free_bridge()
        if bridge in self._bridges:
            raise Refused("nonUniqueVoiceBridge", "The selected voice bridge is already in use.")
        # Strictly rising, so that two runs of one meeting never have the same internal id; nor have
        # they on two servers of this process, which real ones do not reach in one millisecond.
        latest_ms = max(self._last_create_ms, _LATEST_RUNS_MS.get(meeting_id, 0))
        created_ms = max(int(time.time() * 1000), latest_ms + 1)
        self._last_create_ms = _LATEST_RUNS_MS[meeting_id] = created_ms
        meeting = Meeting(
            id=meeting_id,
            internal_id=f"{internal_id_prefix(meeting_id)}-{created_ms}",
            name=params.get("name", "") or meeting_id,
            create_time_ms=created_ms,
            attendee_pw=params.get("attendeePW") or _new_id(8),
            moderator_pw=params.get("moderatorPW") or _new_id(8),
            voice_bridge=bridge,
            duration_min=_number(params.get("duration")),
            max_users=_number(params.get("maxParticipants")),
            recording=params.get("record") == "true",
            metadata={k[5:].lower(): v for k, v in params.items() if k.startswith("meta_")},
            ended_url=params.get("meetingEndedURL", ""),
            keep_events=params.get("meetingKeepEvents") == "true",
            documents=documents,
        )
        if params.get("isBreakout") == "true":
            self._make_breakout(meeting, params)
        self.meetings[meeting_id] = meeting
        self._by_internal_id[meeting.internal_id] = meeting
        self._bridges[bridge] = meeting_id
        return meeting, True

    @staticmethod
    def _check_same(existing: Meeting, attendee: str | None, moderator: str | None) -> None:
        same = existing.attendee_pw == attendee and existing.moderator_pw == moderator
        neither = not attendee and not moderator
        if not (same or neither):
            raise Refused(
                "idNotUnique",
                "A meeting already exists with that meeting ID.  "
                "Please use a different meeting ID.",
            )

    def _make_breakout(self, meeting: Meeting, params: dict[str, str]) -> None:
        parent_id = params.get("parentMeetingID", "")
        if not parent_id:
            raise Refused(
                "parentMeetingIDMissing",
                "No parent meeting ID was provided for the breakout room",
            )
        parent = self.meetings.get(parent_id)
        if parent is None:
            raise Refused(
                "parentMeetingDoesNotExist", "No parent meeting exists for the breakout room"
            )
        meeting.is_breakout = True
        meeting.parent_id = parent.internal_id
        meeting.sequence = params.get("sequence", "1")
        meeting.free_join = params.get("freeJoin") == "true"
        parent.breakout_rooms.append(meeting.internal_id)
        parent.rendered = None

    def _free_bridge(self) -> str:
        # Five digits like BBB, more when those are nearly used up by benchmarks.
        lowest = 10_000 if len(self._bridges) < 45_000 else 100_000_000
        while True:
            bridge = str(lowest + secrets.randbelow(9 * lowest))
            if bridge not in self._bridges:
                return bridge

    def join(self, meeting: Meeting, params: dict[str, str]) -> tuple[str, User]:
        """Add a user; return the session token and the user.

        Raises Refused: no role and no valid password, another createTime, or the meeting is full.
        """
        role = _role(meeting, params)
        created = params.get("createTime")
        if created and created != str(meeting.create_time_ms):
            raise Refused(
                "mismatchCreateTimeParam",
                "The createTime parameter submitted mismatches with the current meeting.",
            )
        if meeting.max_users and meeting.participants >= meeting.max_users:
            raise Refused(
                "maxParticipantsReached",
                "The number of participants allowed for this meeting has been reached.",
            )
        user = User(params.get("userID") or f"w_{_new_id(12)}", params["fullName"], role)
        token = _new_id(16)
        if len(self.sessions) >= MAX_SESSIONS:
            del self.sessions[next(iter(self.sessions))]
        self.sessions[token] = Session(meeting.id, meeting.name, user.full_name, role)
        meeting.participants += 1
        meeting.moderators += role == "MODERATOR"
        meeting.has_user_joined = True
        if len(meeting.users) < MAX_LISTED_USERS:
            meeting.users.append(user)
        meeting.rendered = None
        return token, user

    def list_sessions(self) -> list[tuple[str, Session]]:
        """Return the sessions in meetings that have not ended, with their internal ids."""
        return [
            (meeting.internal_id, session)
            for session in self.sessions.values()
            if (meeting := self.meetings.get(session.meeting_id)) is not None
        ]

    def set_users(self, meeting: Meeting, counts: dict[str, int], listed: bool) -> None:
        """Set counts of a meeting (participants, moderators, listeners, voice, videos).

        `listed` also lists the attendees, which makes the answers as long as real ones.
        """
        for name, value in counts.items():
            if name not in ("participants", "moderators", "listeners", "voice", "videos"):
                raise Refused("unknownCount", name)
            setattr(meeting, name, value)
        meeting.has_user_joined = meeting.has_user_joined or meeting.participants > 0
        if listed or len(meeting.users) > meeting.participants:
            wanted = meeting.participants if listed else 0
            meeting.users = [
                User(
                    f"w_{number:012d}",
                    f"Attendee {number}",
                    "MODERATOR" if number < meeting.moderators else "VIEWER",
                )
                for number in range(wanted)
            ]
        meeting.rendered = None

    def end(self, meeting: Meeting) -> None:
        """Remove a meeting and its breakout rooms."""
        self.meetings.pop(meeting.id, None)
        self._by_internal_id.pop(meeting.internal_id, None)
        self._bridges.pop(meeting.voice_bridge, None)
        if meeting.breakout_rooms:
            rooms = [m for m in self.meetings.values() if m.parent_id == meeting.internal_id]
            for room in rooms:
                self.end(room)


def _known(meeting: Meeting | None) -> Meeting:
    if meeting is None:
        raise Refused("notFound", "A meeting with that ID does not exist")
    return meeting


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _role(meeting: Meeting, params: dict[str, str]) -> str:
    named = params.get("role", "").lower()
    if named in ("moderator", "viewer"):
        return named.upper()
    password = params.get("password")
    if not password:
        raise Refused(
            "Params required",
            "You must either send the valid role of the user, or the password.",
        )
    if password == meeting.moderator_pw:
        return "MODERATOR"
    if password == meeting.attendee_pw:
        return "VIEWER"
    raise Refused("Params required", "You must enter a valid password")
