"""The meeting calls except create: find the meeting's server, call it, pass its answer on.

A server's answer is passed on unchanged; every other answer is an ApiError. Source: BigBlueButton
API reference, https://docs.bigbluebutton.org/development/api.
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
from appliance.meetings.create_params import with_stored_id
from appliance.meetings.deps import MeetingDeps
from appliance.model import Meeting, MeetingId, Server, ServerId, ServerState, Target
from appliance.pool.ending import NOT_FOUND, forget_if_unknown
from appliance.tenants.view import merge_lists, show_answer

TOO_LARGE = frozenset({413, 414, 431})
"""HTTP statuses that are caused by the request alone: the server itself is healthy."""
HANGING_LIMIT_S = 1.0
"""Limit in getMeetings for a server whose last call got no answer or whose last poll failed."""


async def is_meeting_running(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Return the server's answer, or `running` false for an unknown meeting. Raises ApiError."""
    meeting = await _find(deps, caller, params)
    if meeting is None:
        return render_not_running()
    answer = await _ask(deps, meeting, "isMeetingRunning", params, errors.UNABLE_TO_ACCESS_MEETING)
    return _visible(caller, params, answer)


async def get_meeting_info(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Return the server's answer, and delete the record of a meeting that it does not know."""
    meeting = await _find_or_fail(deps, caller, params)
    answer = await _ask(deps, meeting, "getMeetingInfo", params, errors.UNABLE_TO_ACCESS_MEETING)
    await forget_if_unknown(deps.pool, meeting, answer)
    return _visible(caller, params, answer)


async def join_meeting(deps: MeetingDeps, caller: Caller, params: Params) -> str:
    """Return the signed URL of the server's join, and count the user as load of the server."""
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
    return deps.pool.bbb.join_url(_target(meeting), with_stored_id(merged, meeting))


async def end_meeting(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """End a meeting on its server, and delete its record once the server has confirmed that."""
    meeting = await _find_or_fail(deps, caller, params)
    if not get(params, "password"):
        params = replace_param(params, "password", meeting.moderator_pw)
    answer = await _ask(deps, meeting, "end", params, errors.UNABLE_TO_ACCESS_MEETING)
    if answer.succeeded or answer.message_key == NOT_FOUND:
        # A running create survives a notFound (it has not arrived yet), but not an end.
        await deps.pool.records.forget_meeting(
            meeting, now_ms=deps.now_ms(), even_if_creating=answer.succeeded
        )
    return _visible(caller, params, answer)


async def insert_document(
    deps: MeetingDeps, caller: Caller, params: Params, body: RequestBody
) -> bytes:
    """Pass a document on to the meeting's server."""
    meeting = await _find_or_fail(deps, caller, params)
    answer = await _ask(
        deps, meeting, "insertDocument", params, errors.UNABLE_TO_INSERT_DOCUMENT, body
    )
    return _visible(caller, params, answer)


async def pass_through(
    deps: MeetingDeps, call: str, caller: Caller, params: Params, body: RequestBody | None = None
) -> bytes:
    """Pass any other call with a meetingID on to the meeting's server, signed with its secret."""
    meeting = await _find_or_fail(deps, caller, params)
    answer = await _ask(deps, meeting, call, params, errors.UNABLE_TO_ACCESS_MEETING, body)
    return _visible(caller, params, answer)


async def get_meetings(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Ask all servers that are online and not disabled concurrently, and merge their lists.

    A server that fails is left out, logged and polled; it is an error only if all of them fail.
    Takes RESPONSE_TIMEOUT at most, connecting included. A server that does not answer delays only
    one call by that: until its next poll it gets HANGING_LIMIT_S, unless no other server is left.
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
    return [lists[server.id] for server in asked if server.id in lists]


def report_failed_call(deps: MeetingDeps, error: BbbError, call: str) -> None:
    """Log a failed call, have its server polled, and have placement avoid it until then."""
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
            _target(meeting), call, with_stored_id(params, meeting), body=body
        )
    except BbbError as error:
        report_failed_call(deps, error, call)
        raise ApiError(failure) from error


def _visible(caller: Caller, params: Params, answer: Answer) -> bytes:
    return show_answer(answer.body, caller.tenant_id, _meeting_id(params))


def _target(meeting: Meeting) -> Target:
    if meeting.server is None:  # the store deletes records whose server was removed
        raise ApiError(errors.MEETING_NOT_FOUND)
    return meeting.server
