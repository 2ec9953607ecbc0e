"""getMeetings: the lists of all servers in one, with what is known of servers that do not answer.

Source: BigBlueButton API reference, getMeetings.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.meeting_list import MeetingEntry, MeetingList
from appliance.bbb.params import Params
from appliance.bbb.signed_request import Caller
from appliance.bbb.xml import ReadMeeting, render_known_meeting, render_meetings
from appliance.faults import BbbError
from appliance.meetings.calls import report_failed_call
from appliance.meetings.deps import MeetingDeps
from appliance.model import KnownMeeting, Server, ServerId, ServerState
from appliance.system.threads import run_sized
from appliance.tenants.view import merge_lists

HANGING_LIMIT_S = 1.0
"""Limit for a server whose last call got no answer or whose last poll failed."""


async def get_meetings(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Ask all servers that are online and not disabled concurrently, and merge their lists.

    A server that fails is logged and polled; in its place, and in that of servers that are offline,
    stand the meetings that the store knows of them. It is an error only if no server answers and no
    meeting of the caller is known. Takes RESPONSE_TIMEOUT at most, connecting included. A server
    that does not answer delays only one call by that: until its next poll it gets HANGING_LIMIT_S,
    unless no other server is left.
    """
    if deps.settings.api.get_meetings_disabled:
        return render_meetings(())
    servers = [
        server
        for server in await deps.pool.records.list_servers()
        if server.state is not ServerState.DISABLED
    ]
    lists = await _gather(deps, [server for server in servers if server.online], params)
    silent = [server.id for server in servers if server.id not in lists]
    answered = list(lists.values())
    if silent:
        known = await deps.pool.records.list_known_meetings(silent)
        answered.append(_list_known(known, answered, caller))
        if not lists and not answered[-1].entries:
            raise ApiError(errors.UNABLE_TO_ACCESS_SERVER)
    size = sum(len(entry.xml) for one in answered for entry in one.entries)
    return await run_sized(size, partial(merge_lists, answered, caller.tenant_id))


def _list_known(
    known: Sequence[KnownMeeting], lists: Sequence[MeetingList], caller: Caller
) -> MeetingList:
    """Return the caller's known meetings that no server lists."""
    listed = {meeting.id for one in lists for meeting in one.listed}
    return MeetingList(
        True,
        None,
        tuple(
            MeetingEntry(render_known_meeting(meeting), ReadMeeting(None, meeting.tenant_id))
            for meeting in known
            if meeting.tenant_id == caller.tenant_id and meeting.id not in listed
        ),
    )


async def _gather(
    deps: MeetingDeps, asked: Sequence[Server], params: Params
) -> dict[ServerId, MeetingList]:
    lists: dict[ServerId, MeetingList] = {}
    limit_s = deps.settings.servers.response_timeout_s
    hanging_s = limit_s if all(one.hanging for one in asked) else min(limit_s, HANGING_LIMIT_S)

    async def ask(server: Server) -> None:
        try:
            deadline_s = hanging_s if server.hanging else limit_s
            found = await deps.pool.bbb.list_meetings(server.target, params, deadline_s=deadline_s)
        except BbbError as error:
            report_failed_call(deps, error, "getMeetings")
            return
        if found.succeeded:
            lists[server.id] = found
        else:
            deps.faults.note(
                "server_refused_call", server.id, call="getMeetings", key=found.message_key
            )

    async with trio.open_nursery() as nursery:
        for server in asked:
            nursery.start_soon(ask, server)
    return {server.id: lists[server.id] for server in asked if server.id in lists}
