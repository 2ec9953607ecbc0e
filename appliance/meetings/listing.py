"""getMeetings and getSessions: the lists of all servers in one.

Source: BigBlueButton API reference, getMeetings; BBB's ApiController and get-sessions.ftlx.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import trio

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.meeting_list import MeetingEntry, MeetingList
from appliance.bbb.params import Params
from appliance.bbb.signed_request import Caller
from appliance.bbb.xml import (
    ReadMeeting,
    ServerAnswer,
    parse_tree,
    render_known_meeting,
    render_meetings,
    render_sessions,
    select_sessions,
)
from appliance.faults import BbbError
from appliance.meetings.calls import report_failed_call
from appliance.meetings.deps import MeetingDeps
from appliance.model import KnownMeeting, Server, ServerId, ServerState, Target
from appliance.system.threads import run_sized
from appliance.tenants.view import merge_lists

HANGING_LIMIT_S = 1.0
"""Limit for a server whose last call got no answer or whose last poll failed."""
_Answer = TypeVar("_Answer", MeetingList, ServerAnswer)


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
    servers = await _list_servers(deps)
    lists = await _gather_lists(deps, servers, params)
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


async def _list_servers(deps: MeetingDeps) -> list[Server]:
    servers = await deps.pool.records.list_servers()
    return [server for server in servers if server.state is not ServerState.DISABLED]


async def _gather_lists(
    deps: MeetingDeps, servers: Sequence[Server], params: Params
) -> dict[ServerId, MeetingList]:
    """Return the lists of the servers that are online and answer."""

    def ask(target: Target, limit_s: float) -> Awaitable[MeetingList]:
        return deps.pool.bbb.list_meetings(target, params, deadline_s=limit_s)

    return await _gather(deps, [one for one in servers if one.online], "getMeetings", ask)


async def _gather(
    deps: MeetingDeps,
    asked: Sequence[Server],
    call: str,
    ask: Callable[[Target, float], Awaitable[_Answer]],
) -> dict[ServerId, _Answer]:
    """Ask servers concurrently, each with its limit in seconds; leave out those that fail."""
    answers: dict[ServerId, _Answer] = {}
    limit_s = deps.settings.servers.response_timeout_s
    hanging_s = limit_s if all(one.hanging for one in asked) else min(limit_s, HANGING_LIMIT_S)

    async def ask_one(server: Server) -> None:
        try:
            answer = await ask(server.target, hanging_s if server.hanging else limit_s)
        except BbbError as error:
            report_failed_call(deps, error, call)
            return
        if answer.succeeded:
            answers[server.id] = answer
        else:
            deps.faults.note("server_refused_call", server.id, call=call, key=answer.message_key)

    async with trio.open_nursery() as nursery:
        for server in asked:
            nursery.start_soon(ask_one, server)
    return {server.id: answers[server.id] for server in asked if server.id in answers}


async def get_sessions(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Ask all servers that have meetings of the caller for their sessions, and merge them.

    A session names its meeting by the internal id alone: the servers' lists of meetings tell whose
    it is. A server that fails is left out; it is an error only if all do. Takes RESPONSE_TIMEOUT at
    most for each of the two rounds.
    """
    if deps.settings.api.get_meetings_disabled:
        return render_sessions(())
    servers = await _list_servers(deps)
    lists = await _gather_lists(deps, servers, ())
    sizes = (len(entry.xml) for one in lists.values() for entry in one.entries)
    own = await run_sized(sum(sizes), partial(_find_internal_ids, lists, caller))
    asked = [server for server in servers if own.get(server.id)]

    def ask(target: Target, limit_s: float) -> Awaitable[ServerAnswer]:
        return deps.pool.bbb.call(target, "getSessions", params, deadline_s=limit_s)

    answers = await _gather(deps, asked, "getSessions", ask)
    if (servers and not lists) or (asked and not answers):
        raise ApiError(errors.UNABLE_TO_ACCESS_SERVER)
    size = sum(len(answer.body) for answer in answers.values())
    return await run_sized(size, partial(_merge_sessions, answers, own))


def _find_internal_ids(
    lists: Mapping[ServerId, MeetingList], caller: Caller
) -> dict[ServerId, frozenset[str]]:
    """Return the internal ids of each server's meetings that are the caller's."""
    return {
        server_id: frozenset(
            (parse_tree(entry.xml).findtext("internalMeetingID") or "").strip()
            for entry in found.entries
            if entry.read.tenant_id == caller.tenant_id
        )
        for server_id, found in lists.items()
    }


def _merge_sessions(
    answers: Mapping[ServerId, ServerAnswer], own: Mapping[ServerId, frozenset[str]]
) -> bytes:
    elements: list[bytes] = []
    for server_id, answer in answers.items():
        elements += select_sessions(answer.body, own[server_id])
    return render_sessions(elements)
