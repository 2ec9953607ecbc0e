"""The operator's commands for meetings: list, show, end.

They check neither tenant nor checksum; the calls of front-ends are in calls.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused, no_meeting
from appliance.bbb.listed_meeting import ListedMeeting
from appliance.bbb.meeting_info import MeetingInfo, parse_meeting_info
from appliance.faults import BbbError
from appliance.meetings.deps import MeetingDeps
from appliance.model import Meeting, MeetingId, Server, TenantId
from appliance.pool.ending import NOT_FOUND, EndOutcome, EndRequest, EndResult, end_on_server
from appliance.pool.meeting_info import fetch_info
from appliance.servers.administration import find_server, list_servers
from appliance.system.tasks import for_each


@dataclass(frozen=True, slots=True)
class FoundMeetings:
    """The requested meetings that exist, and the ids of the others."""

    meetings: tuple[Meeting, ...]
    unknown: tuple[MeetingId, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownMeeting:
    """One meeting with its server's answer to getMeetingInfo."""

    meeting: Meeting
    info: MeetingInfo


@dataclass(frozen=True, slots=True)
class BulkEndResult:
    """The result for each meeting to be ended, and the ids of unknown meetings."""

    meetings: tuple[EndResult, ...]
    unknown: tuple[MeetingId, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerMeetings:
    """The meetings that one server lists."""

    server: Server
    meetings: tuple[ListedMeeting, ...] = ()
    failure: str = ""
    """Why its list could not be read; safe to show."""


async def find_meetings(
    deps: MeetingDeps, ids: Sequence[str] = (), tenant_id: TenantId | None = None
) -> FoundMeetings:
    """Return the records of the pool, or those of `ids` in their order.

    tenant_id: the meetings of others do not exist; None: all tenants.
    """
    if not ids:
        meetings = await deps.pool.records.list_meetings()
        return FoundMeetings(tuple(one for one in meetings if _is_of(one, tenant_id)))
    found: list[Meeting] = []
    unknown: list[MeetingId] = []
    for meeting_id in dict.fromkeys(map(MeetingId, ids)):
        meeting = await deps.pool.records.find_meeting(meeting_id, now_ms=deps.now_ms())
        if meeting is None or not _is_of(meeting, tenant_id):
            unknown.append(meeting_id)
        else:
            found.append(meeting)
    return FoundMeetings(tuple(found), tuple(unknown))


def _is_of(meeting: Meeting, tenant_id: TenantId | None) -> bool:
    return tenant_id is None or meeting.tenant_id == tenant_id


async def show_meeting(
    deps: MeetingDeps, meeting_id: str, tenant_id: TenantId | None = None
) -> ShownMeeting:
    """Ask a meeting's server about it. tenant_id: as in `find_meetings`.

    Raises Refused: the meeting is unknown (any more), or its server does not answer.
    """
    meeting = await deps.pool.records.find_meeting(MeetingId(meeting_id), now_ms=deps.now_ms())
    if meeting is None or meeting.server is None or not _is_of(meeting, tenant_id):
        raise no_meeting(meeting_id)
    try:
        answer = await fetch_info(deps.pool, meeting.server, meeting.id)
    except BbbError as error:
        raise _unreachable(meeting, error.reason) from error
    if answer.succeeded:
        return ShownMeeting(meeting, parse_meeting_info(answer))
    if answer.message_key != NOT_FOUND:
        raise _unreachable(meeting, f"it answered {answer.message_key or 'FAILED'}")
    await deps.pool.records.forget_meeting(meeting, now_ms=deps.now_ms())
    raise no_meeting(meeting_id)


def _unreachable(meeting: Meeting, reason: str) -> Refused:
    return Refused(
        RefusalKind.UNREACHABLE,
        f"server {meeting.server_id} cannot say anything about meeting {meeting.id}: {reason}",
    )


async def end_meetings(
    deps: MeetingDeps, actor: str, ids: Sequence[str] | None, tenant_id: TenantId | None = None
) -> BulkEndResult:
    """End the meetings of `ids`, or all (None); a record is deleted once its server has confirmed.

    tenant_id: as in `find_meetings`. Raises Refused: `ids` is empty, which must never mean all.
    """
    if ids is not None and not ids:
        raise Refused(RefusalKind.INVALID, "no meeting ids were given")
    found = await find_meetings(deps, ids or (), tenant_id)
    ended: dict[MeetingId, EndResult] = {}

    async def end_group(group: Sequence[Meeting]) -> None:
        for one in await _end_on_one_server(deps, group):
            ended[one.id] = one

    async with trio.open_nursery() as nursery:
        for group in _by_server(found.meetings):
            nursery.start_soon(end_group, group)
    result = tuple(ended[meeting.id] for meeting in found.meetings)
    failed = sum(one.outcome is EndOutcome.FAILED for one in result)
    deps.log.info(
        "meetings_ended", meetings=len(result), failed=failed, every=ids is None, by=actor
    )
    return BulkEndResult(result, found.unknown)


def _by_server(meetings: Iterable[Meeting]) -> Iterable[list[Meeting]]:
    groups: dict[str, list[Meeting]] = {}
    for meeting in meetings:
        groups.setdefault(meeting.server_id, []).append(meeting)
    return groups.values()


async def _end_on_one_server(
    deps: MeetingDeps, meetings: Sequence[Meeting]
) -> tuple[EndResult, ...]:
    target = meetings[0].server
    if target is None:  # the store deletes records whose server was removed
        return tuple(EndResult(one.id, one.server_id, EndOutcome.GONE) for one in meetings)
    ended = await end_on_server(
        deps.pool, target, [EndRequest(one.id, one.moderator_pw) for one in meetings]
    )
    for meeting, result in zip(meetings, ended, strict=True):
        if result.outcome is EndOutcome.FAILED:
            continue
        # As in end_meeting of calls.py: a running create survives a notFound, but not an end.
        await deps.pool.records.forget_meeting(
            meeting,
            now_ms=deps.now_ms(),
            even_if_creating=result.outcome is EndOutcome.ENDED,
        )
    return ended


async def list_server_meetings(
    deps: MeetingDeps, server_ids: Sequence[str] = ()
) -> tuple[ServerMeetings, ...]:
    """Return the meetings that all servers, or those of `server_ids`, list.

    A server that does not answer is reported in its `failure`. Raises Refused: unknown server.
    """
    if server_ids:
        servers = tuple([await find_server(deps.servers, one) for one in dict.fromkeys(server_ids)])
    else:
        servers = await list_servers(deps.servers)
    asked: dict[str, ServerMeetings] = {}

    async def ask(server: Server) -> None:
        asked[server.id] = await _ask_server(deps, server)

    await for_each(servers, ask, deps.settings.polling.concurrency)
    return tuple(asked[server.id] for server in servers)


async def _ask_server(deps: MeetingDeps, server: Server) -> ServerMeetings:
    try:
        found = await deps.pool.bbb.list_meetings(server.target)
    except BbbError as error:
        return ServerMeetings(server, failure=error.reason)
    if not found.succeeded:
        return ServerMeetings(server, failure="the server answered FAILED")
    return ServerMeetings(server, found.listed)
