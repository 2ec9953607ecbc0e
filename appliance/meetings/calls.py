"""The calls that name a meeting, but for create: find its server, ask it, hand on the answer.

A server's own answer is handed on as it is; ApiError carries every other. Truth: docs of the
public BBB API, and what the spec says Scalelite does otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from appliance.bbb import errors
from appliance.bbb.caller import Caller
from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.meeting_list import MeetingList
from appliance.bbb.params import Params, get, merge_params, replace_param
from appliance.bbb.request_body import RequestBody
from appliance.bbb.xml import Answer, render_meetings, render_not_running
from appliance.faults import BbbError, ServerFault
from appliance.meetings.create_params import name_meeting
from appliance.meetings.deps import MeetingDeps
from appliance.model import Meeting, MeetingId, Server, ServerId, ServerState, Target
from appliance.pool.ending import NOT_FOUND, forget_if_unknown
from appliance.tenants.view import merge_lists, show_answer

TOO_LARGE = frozenset({413, 414, 431})
"""HTTP statuses that speak of the request alone: whoever answers so is well."""
HANGING_LIMIT_S = 1.0
"""What a list of meetings waits for a server that gave no answer last time, or failed a poll."""


async def is_meeting_running(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Return the server's answer, or `running` false for an unknown meeting."""
    meeting = await _find(deps, caller, params)
    if meeting is None:
        return render_not_running()
    answer = await _ask(deps, meeting, "isMeetingRunning", params, errors.UNABLE_TO_ACCESS_MEETING)
    return _shown(caller, params, answer)


async def get_meeting_info(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Return the server's answer; a meeting that it does not know is forgotten at once."""
    meeting = await _find_or_fail(deps, caller, params)
    answer = await _ask(deps, meeting, "getMeetingInfo", params, errors.UNABLE_TO_ACCESS_MEETING)
    await forget_if_unknown(deps.pool, meeting, answer)
    return _shown(caller, params, answer)


async def join_meeting(deps: MeetingDeps, caller: Caller, params: Params) -> str:
    """Return the signed URL of the server's join, and count the user in."""
    meeting_id = _meeting_id(params)
    meeting = await deps.store.join_meeting(meeting_id, caller.tenant_id, now_ms=deps.now_ms())
    if meeting is None:
        raise ApiError(errors.MEETING_NOT_FOUND)
    if not meeting.reachable:
        raise ApiError(errors.SERVER_UNAVAILABLE)
    api, tenant = deps.settings.api, caller.tenant
    merged = merge_params(
        params,
        defaults=(api.default_join, tenant.default_join if tenant else ()),
        overrides=(api.override_join, tenant.override_join if tenant else ()),
        excluded=api.join_exclude,
    )
    return deps.pool.bbb.join_url(_target(meeting), name_meeting(merged, meeting))


async def end_meeting(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Have the server end a meeting; it is forgotten after the server's word, not before."""
    meeting = await _find_or_fail(deps, caller, params)
    if not get(params, "password"):
        params = replace_param(params, "password", meeting.moderator_pw)
    answer = await _ask(deps, meeting, "end", params, errors.UNABLE_TO_ACCESS_MEETING)
    if answer.succeeded or answer.message_key == NOT_FOUND:
        # A create under way outlives a notFound (it has not arrived yet), but not an end.
        await deps.pool.records.forget_meeting(
            meeting, now_ms=deps.now_ms(), even_if_creating=answer.succeeded
        )
    return _shown(caller, params, answer)


async def insert_document(
    deps: MeetingDeps, caller: Caller, params: Params, body: RequestBody
) -> bytes:
    """Hand a document on to the meeting's server."""
    meeting = await _find_or_fail(deps, caller, params)
    answer = await _ask(
        deps, meeting, "insertDocument", params, errors.UNABLE_TO_INSERT_DOCUMENT, body
    )
    return _shown(caller, params, answer)


async def pass_through(
    deps: MeetingDeps, caller: Caller, call: str, params: Params, body: RequestBody | None = None
) -> bytes:
    """Hand any other call that names a meeting on to its server, signed anew."""
    meeting = await _find_or_fail(deps, caller, params)
    answer = await _ask(deps, meeting, call, params, errors.UNABLE_TO_ACCESS_MEETING, body)
    return _shown(caller, params, answer)


async def get_meetings(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Ask every server that is online and not disabled at once; merge what they answer.

    A server that fails is left out, logged and watched; only if all fail is it an error. Takes
    RESPONSE_TIMEOUT at most, connecting included, and a server that hangs costs that only once:
    until a poll has decided about it, it is given HANGING_LIMIT_S beside others.
    """
    if deps.settings.api.get_meetings_disabled:
        return render_meetings(())
    asked = [
        server
        for server in await deps.pool.records.list_servers()
        if server.online and server.state is not ServerState.DISABLED
    ]
    lists = await _gather(deps, asked, params)
    if asked and not lists:
        raise ApiError(errors.UNABLE_TO_ACCESS_SERVER)
    return merge_lists(lists, caller.tenant_id)


async def _gather(deps: MeetingDeps, asked: Sequence[Server], params: Params) -> list[MeetingList]:
    lists: dict[ServerId, MeetingList] = {}
    limit_s = deps.settings.servers.response_timeout_s
    hanging_s = limit_s if all(one.hanging for one in asked) else min(limit_s, HANGING_LIMIT_S)

    async def ask(server: Server) -> None:
        try:
            deadline_s = hanging_s if server.hanging else limit_s
            found = await deps.pool.bbb.list_meetings(server.target, params, deadline_s=deadline_s)
        except BbbError as error:
            note_trouble(deps, error, "getMeetings")
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
    return [lists[server.id] for server in asked if server.id in lists]


def note_trouble(deps: MeetingDeps, error: BbbError, call: str) -> None:
    """Log a failed call, and have its server looked at and avoided until a poll has decided."""
    deps.faults.note("server_call_failed", error.server_id, call=call, reason=error.reason)
    if isinstance(error, ServerFault) and error.status in TOO_LARGE:
        return
    deps.later(_suspect, deps, error.server_id, not isinstance(error, ServerFault))


async def _suspect(deps: MeetingDeps, server_id: ServerId, silent: bool) -> None:
    await deps.pool.records.suspect_server(server_id, silent=silent)
    deps.servers.poll_soon(server_id)


def _meeting_id(params: Params) -> MeetingId:
    meeting_id = get(params, "meetingID")
    if not meeting_id:
        raise ApiError(errors.MISSING_MEETING_ID)
    return MeetingId(meeting_id)


async def _find(deps: MeetingDeps, caller: Caller, params: Params) -> Meeting | None:
    return await deps.pool.records.find_meeting_of(
        caller.tenant_id, _meeting_id(params), now_ms=deps.now_ms()
    )


async def _find_or_fail(deps: MeetingDeps, caller: Caller, params: Params) -> Meeting:
    meeting = await _find(deps, caller, params)
    if meeting is None:
        raise ApiError(errors.MEETING_NOT_FOUND)
    return meeting


async def _ask(
    deps: MeetingDeps,
    meeting: Meeting,
    call: str,
    params: Params,
    failure: Failure,
    body: RequestBody | None = None,
) -> Answer:
    try:
        return await deps.pool.bbb.call(
            _target(meeting), call, name_meeting(params, meeting), body=body
        )
    except BbbError as error:
        note_trouble(deps, error, call)
        raise ApiError(failure) from error


def _shown(caller: Caller, params: Params, answer: Answer) -> bytes:
    return show_answer(answer.body, caller.tenant_id, _meeting_id(params))


def _target(meeting: Meeting) -> Target:
    if meeting.server is None:  # the store removes records whose server is gone
        raise ApiError(errors.MEETING_NOT_FOUND)
    return meeting.server
