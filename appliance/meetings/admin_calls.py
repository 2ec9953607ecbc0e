"""The admin calls about meetings: the records of the pool, and what runs on the servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import asdict

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Audited, Call, Snapshot
from appliance.admin_calls.fields import Fields, Flag, RequiredText, Texts
from appliance.admin_calls.secrets import SecretsByName
from appliance.meetings import administration as meeting_admin
from appliance.meetings.administration import ServerMeetings, ShownMeeting
from appliance.meetings.deps import MeetingDeps
from appliance.model import Meeting
from appliance.pool.ending import EndOutcome
from appliance.servers.admin_calls import NO_SERVER
from appliance.servers.admin_types import (
    ENDED_EXAMPLE,
    SERVER_ID,
    URL_EXAMPLE,
    EndedMeetingJson,
    Number,
    ended_json,
)
from appliance.system.threads import run_counted

# --- requests ------------------------------------------------------------------------------------


class IdsRequest(Fields, frozen=True):
    """A call about all or some."""

    ids: Annotated[Texts, Meta(description="Empty: all.")] = ()


class MeetingIdRequest(Fields, frozen=True):
    """A call about one meeting."""

    id: Annotated[RequiredText, Meta(description="The id, as the lists show it.")]


class EndMeetingsRequest(Fields, frozen=True):
    """endMeetings."""

    ids: Texts = ()
    all: Annotated[Flag, Meta(description="End all meetings of the pool.")] = False


# --- answers -------------------------------------------------------------------------------------

Unknown = Annotated[list[str], Meta(description="Ids of which there is no meeting.")]


class MeetingJson(Answer, frozen=True):
    """The record of a meeting, without its password."""

    id: str
    server_id: str
    server_url: Annotated[str, Meta(description="Empty: its server was removed.")]
    tenant_id: str
    voice_bridge: str | None
    reachable: Annotated[bool, Meta(description="Whether its server can be called.")]


class MeetingInfoJson(MeetingJson, frozen=True):
    """A meeting with the answer of its server."""

    name: str
    internal_id: str
    created: Annotated[str, Meta(description="As the server writes it.")]
    recording: bool
    running: bool
    participants: Number
    moderators: Number
    videos: Number
    metadata: SecretsByName


class RunningMeetingJson(Answer, frozen=True):
    """A meeting in the list of a server."""

    id: str
    participants: Number
    moderators: Number
    videos: Number
    breakout: bool


class ServerMeetingsJson(Answer, frozen=True):
    """The list of a server."""

    id: str
    url: str
    failure: Annotated[str, Meta(description="Why the server gave no list.")]
    meetings: list[RunningMeetingJson]


class MeetingsJson(Answer, frozen=True):
    """listMeetings."""

    meetings: list[MeetingJson]
    unknown: Unknown


class EndedMeetingsJson(Answer, frozen=True):
    """endMeetings."""

    meetings: list[EndedMeetingJson]
    unknown: Unknown

    @property
    def failure(self) -> str:
        """Return what was not ended, for the audit trail."""
        failed = [one.id for one in self.meetings if one.outcome is EndOutcome.FAILED]
        named = {"not ended": failed, "unknown": self.unknown}
        return "; ".join(f"{why}: {', '.join(ids)}" for why, ids in named.items() if ids)


def meeting_json(meeting: Meeting) -> MeetingJson:
    """Render the record of a meeting."""
    return MeetingJson(
        id=meeting.id,
        server_id=meeting.server_id,
        server_url=meeting.server.url if meeting.server else "",
        tenant_id=meeting.tenant_id or "",
        voice_bridge=meeting.voice_bridge,
        reachable=meeting.reachable,
    )


def _info_json(shown: ShownMeeting) -> MeetingInfoJson:
    info = shown.info
    return MeetingInfoJson(
        **asdict(meeting_json(shown.meeting)),
        name=info.name,
        internal_id=info.internal_id,
        created=info.created,
        recording=info.recording,
        running=info.running,
        participants=info.participants,
        moderators=info.moderators,
        videos=info.videos,
        metadata=dict(info.metadata),
    )


def server_meetings_json(one: ServerMeetings) -> ServerMeetingsJson:
    """Render the list of a server."""
    return ServerMeetingsJson(
        id=one.server.id,
        url=one.server.url,
        failure=one.failure,
        meetings=[
            RunningMeetingJson(
                id=meeting.id,
                participants=meeting.participants,
                moderators=meeting.moderators,
                videos=meeting.videos,
                breakout=meeting.is_breakout,
            )
            for meeting in one.meetings
        ],
    )


# --- handlers ------------------------------------------------------------------------------------


async def _get_server_meetings(
    deps: MeetingDeps, call: Call[IdsRequest]
) -> list[ServerMeetingsJson]:
    found = await meeting_admin.list_server_meetings(deps, call.read().ids)
    count = len(found) + sum(len(one.meetings) for one in found)
    return await run_counted(count, lambda: [server_meetings_json(one) for one in found])


async def _list_meetings(deps: MeetingDeps, call: Call[IdsRequest]) -> MeetingsJson:
    found = await meeting_admin.find_meetings(deps, call.read().ids, call.actor.tenant_id)
    meetings = await run_counted(
        len(found.meetings), lambda: [meeting_json(one) for one in found.meetings]
    )
    return MeetingsJson(meetings, list(found.unknown))


async def _get_meeting_info(deps: MeetingDeps, call: Call[MeetingIdRequest]) -> MeetingInfoJson:
    meeting_id = call.read().id
    return _info_json(await meeting_admin.show_meeting(deps, meeting_id, call.actor.tenant_id))


async def _end_meetings(deps: MeetingDeps, call: Call[EndMeetingsRequest]) -> EndedMeetingsJson:
    request = call.read()
    ids = None if request.all else request.ids
    done = await meeting_admin.end_meetings(deps, call.who, ids, call.actor.tenant_id)
    return EndedMeetingsJson(ended_json(done.meetings), list(done.unknown))


async def _read_ended(deps: MeetingDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    """Read the meetings that a call is to end; those that it could not end, with the reason."""
    request = call.read()
    if not request.ids and not request.all:
        return {}
    ids = () if request.all else request.ids
    found = await meeting_admin.find_meetings(deps, ids, call.actor.tenant_id)
    failed = {one.id: one.reason for one in answer.meetings if one.reason} if answer else {}
    return {
        one.id: Snapshot(
            f"meeting {one.id}",
            {"server_id": one.server_id, "tenant_id": one.tenant_id}
            | ({"not_ended": failed[one.id]} if one.id in failed else {}),
        )
        for one in found.meetings
        if answer is None or one.id in failed or not request.all
    }


# --- the table -----------------------------------------------------------------------------------

_EXAMPLE = MeetingJson(
    id="room-7",
    server_id=SERVER_ID,
    server_url=URL_EXAMPLE,
    tenant_id="",
    voice_bridge="73211",
    reachable=True,
)

MEETING_CALLS: tuple[AdminCall[MeetingDeps], ...] = (
    AdminCall(
        name="getServerMeetings",
        method="POST",
        handler=_get_server_meetings,
        group="servers",
        summary=(
            "Lists what runs on all or these servers, also meetings that were never placed here."
        ),
        example=[
            ServerMeetingsJson(
                id=SERVER_ID,
                url=URL_EXAMPLE,
                failure="",
                meetings=[
                    RunningMeetingJson(
                        id="room-7", participants=25, moderators=2, videos=9, breakout=False
                    )
                ],
            )
        ],
        request={"ids": [SERVER_ID]},
        refusals=NO_SERVER,
        deadline_s=LONG_S,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="listMeetings",
        method="POST",
        handler=_list_meetings,
        group="meetings",
        summary="All or these meetings with their servers.",
        example=MeetingsJson(meetings=[_EXAMPLE], unknown=[]),
        request={"ids": ["room-7"]},
        deadline_s=LONG_S,
        role=Role.VIEWER,
        of_tenants=True,
    ),
    AdminCall(
        name="getMeetingInfo",
        method="GET",
        handler=_get_meeting_info,
        group="meetings",
        summary="The answer of a meeting's server about it, without passwords.",
        example=MeetingInfoJson(
            **asdict(_EXAMPLE),
            name="Room 7",
            internal_id="183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1633448534000",
            created="Tue Oct 05 15:42:14 UTC 2021",
            recording=False,
            running=True,
            participants=25,
            moderators=2,
            videos=9,
            metadata={"bbb-origin": "Moodle"},
        ),
        request={"id": "room-7"},
        refusals={404: "There is no meeting with this id.", 502: "Its server does not answer."},
        deadline_s=LONG_S,
        role=Role.VIEWER,
        of_tenants=True,
    ),
    AdminCall(
        name="endMeetings",
        method="POST",
        handler=_end_meetings,
        group="meetings",
        summary="Ends these meetings, or all.",
        example=EndedMeetingsJson(meetings=[ENDED_EXAMPLE], unknown=[]),
        request={"ids": ["room-7"]},
        logs="meetings_ended",
        deadline_s=LONG_S,
        audited=Audited(_read_ended),
        role=Role.OPERATOR,
        of_tenants=True,
    ),
)
