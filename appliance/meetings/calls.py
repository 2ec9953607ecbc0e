"""The calls that name a meeting, but for create: find its server, ask it, hand on the answer.

A server's own answer is handed on as it is; ApiError carries every other. Truth: docs of the
public BBB API, and what the spec says Scalelite does otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from appliance.bbb import errors
from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.meeting_list import MeetingList, merge_lists
from appliance.bbb.params import Params, get, merge_params, replace_param
from appliance.bbb.request_body import RequestBody
from appliance.bbb.xml import (
    Answer,
    render_meetings,
    render_not_running,
    show_answer,
)
from appliance.faults import BbbError, ServerFault
from appliance.meetings.create_params import name_meeting
from appliance.model import Meeting, MeetingId, Server, ServerId, ServerState, Target
from appliance.resources import Caller, Resources

NOT_FOUND = "notFound"
"""messageKey of BBB for a meeting it does not know."""
TOO_LARGE = frozenset({413, 414, 431})
"""HTTP statuses that speak of the request alone: whoever answers so is well."""
HANGING_LIMIT_S = 1.0
"""What a list of meetings waits for a server that gave no answer last time, or failed a poll."""


async def is_meeting_running(res: Resources, caller: Caller, params: Params) -> bytes:
    """Return the server's answer, or `running` false for an unknown meeting."""
    meeting = await _find(res, caller, params)
    if meeting is None:
        return render_not_running()
    answer = await _ask(res, meeting, "isMeetingRunning", params, errors.UNABLE_TO_ACCESS_MEETING)
    return _shown(caller, params, answer)


async def get_meeting_info(res: Resources, caller: Caller, params: Params) -> bytes:
    """Return the server's answer; a meeting that it does not know is forgotten at once."""
    meeting = await _find_or_fail(res, caller, params)
    answer = await _ask(res, meeting, "getMeetingInfo", params, errors.UNABLE_TO_ACCESS_MEETING)
    await _forget_if_unknown(res, meeting, answer)
    return _shown(caller, params, answer)


async def join_meeting(res: Resources, caller: Caller, params: Params) -> str:
    """Return the signed URL of the server's join, and count the user in."""
    meeting_id = _meeting_id(params)
    meeting = await res.store.join_meeting(meeting_id, caller.tenant_id, now_ms=res.now_ms())
    if meeting is None:
        raise ApiError(errors.MEETING_NOT_FOUND)
    if not meeting.reachable:
        raise ApiError(errors.SERVER_UNAVAILABLE)
    api, tenant = res.settings.api, caller.tenant
    merged = merge_params(
        params,
        defaults=(api.default_join, tenant.default_join if tenant else ()),
        overrides=(api.override_join, tenant.override_join if tenant else ()),
        excluded=api.join_exclude,
    )
    return res.bbb.join_url(_target(meeting), name_meeting(merged, meeting))


async def end_meeting(res: Resources, caller: Caller, params: Params) -> bytes:
    """Have the server end a meeting; it is forgotten after the server's word, not before."""
    meeting = await _find_or_fail(res, caller, params)
    if not get(params, "password"):
        params = replace_param(params, "password", meeting.moderator_pw)
    answer = await _ask(res, meeting, "end", params, errors.UNABLE_TO_ACCESS_MEETING)
    if answer.succeeded or answer.message_key == NOT_FOUND:
        # A create under way outlives a notFound (it has not arrived yet), but not an end.
        await res.store.forget_meeting(
            meeting, now_ms=res.now_ms(), even_if_creating=answer.succeeded
        )
    return _shown(caller, params, answer)


async def forget_if_gone(res: Resources, meeting: Meeting) -> bool:
    """Forget a meeting if its server says that it does not know it; without an answer a poll will.

    `meeting` is its record as of now: what is begun while the server is asked is left alone.
    """
    try:
        answer = await res.bbb.call(
            _target(meeting), "getMeetingInfo", (("meetingID", meeting.id),)
        )
    except BbbError:
        return False
    return await _forget_if_unknown(res, meeting, answer)


async def _forget_if_unknown(res: Resources, meeting: Meeting, answer: Answer) -> bool:
    """Forget a meeting if its server has said that it does not know it."""
    if answer.succeeded or answer.message_key != NOT_FOUND:
        return False
    return await res.store.forget_meeting(meeting, now_ms=res.now_ms())


async def insert_document(
    res: Resources, caller: Caller, params: Params, body: RequestBody
) -> bytes:
    """Hand a document on to the meeting's server."""
    meeting = await _find_or_fail(res, caller, params)
    answer = await _ask(
        res, meeting, "insertDocument", params, errors.UNABLE_TO_INSERT_DOCUMENT, body
    )
    return _shown(caller, params, answer)


async def pass_through(
    res: Resources, caller: Caller, call: str, params: Params, body: RequestBody | None = None
) -> bytes:
    """Hand any other call that names a meeting on to its server, signed anew."""
    meeting = await _find_or_fail(res, caller, params)
    answer = await _ask(res, meeting, call, params, errors.UNABLE_TO_ACCESS_MEETING, body)
    return _shown(caller, params, answer)


async def get_meetings(res: Resources, caller: Caller, params: Params) -> bytes:
    """Ask every server that is online and not disabled at once; merge what they answer.

    A server that fails is left out, logged and watched; only if all fail is it an error. Takes
    RESPONSE_TIMEOUT at most, connecting included, and a server that hangs costs that only once:
    until a poll has decided about it, it is given HANGING_LIMIT_S beside others.
    """
    if res.settings.api.get_meetings_disabled:
        return render_meetings(())
    asked = [
        server
        for server in await res.store.list_servers()
        if server.online and server.state is not ServerState.DISABLED
    ]
    lists = await _gather(res, asked, params)
    if asked and not lists:
        raise ApiError(errors.UNABLE_TO_ACCESS_SERVER)
    return merge_lists(lists, caller.tenant_id)


async def _gather(res: Resources, asked: Sequence[Server], params: Params) -> list[MeetingList]:
    lists: dict[ServerId, MeetingList] = {}
    limit_s = res.settings.servers.response_timeout_s
    hanging_s = limit_s if all(one.hanging for one in asked) else min(limit_s, HANGING_LIMIT_S)

    async def ask(server: Server) -> None:
        try:
            deadline_s = hanging_s if server.hanging else limit_s
            found = await res.bbb.list_meetings(server.target, params, deadline_s=deadline_s)
        except BbbError as error:
            note_trouble(res, error, "getMeetings")
            return
        if found.succeeded:
            lists[server.id] = found
        else:
            res.faults.note(
                "server_refused_call", server.id, call="getMeetings", key=found.message_key
            )

    async with trio.open_nursery() as nursery:
        for server in asked:
            nursery.start_soon(ask, server)
    return [lists[server.id] for server in asked if server.id in lists]


def note_trouble(res: Resources, error: BbbError, call: str) -> None:
    """Log a failed call, and have its server looked at and avoided until a poll has decided."""
    res.faults.note("server_call_failed", error.server_id, call=call, reason=error.reason)
    if isinstance(error, ServerFault) and error.status in TOO_LARGE:
        return
    res.later(_suspect, res, error.server_id, not isinstance(error, ServerFault))


async def _suspect(res: Resources, server_id: ServerId, silent: bool) -> None:
    await res.store.suspect_server(server_id, silent=silent)
    res.poll_soon(server_id)


def _meeting_id(params: Params) -> MeetingId:
    meeting_id = get(params, "meetingID")
    if not meeting_id:
        raise ApiError(errors.MISSING_MEETING_ID)
    return MeetingId(meeting_id)


async def _find(res: Resources, caller: Caller, params: Params) -> Meeting | None:
    return await res.store.find_meeting_of(
        caller.tenant_id, _meeting_id(params), now_ms=res.now_ms()
    )


async def _find_or_fail(res: Resources, caller: Caller, params: Params) -> Meeting:
    meeting = await _find(res, caller, params)
    if meeting is None:
        raise ApiError(errors.MEETING_NOT_FOUND)
    return meeting


async def _ask(
    res: Resources,
    meeting: Meeting,
    call: str,
    params: Params,
    failure: Failure,
    body: RequestBody | None = None,
) -> Answer:
    try:
        return await res.bbb.call(_target(meeting), call, name_meeting(params, meeting), body=body)
    except BbbError as error:
        note_trouble(res, error, call)
        raise ApiError(failure) from error


def _shown(caller: Caller, params: Params, answer: Answer) -> bytes:
    return show_answer(answer.body, caller.tenant_id, _meeting_id(params))


def _target(meeting: Meeting) -> Target:
    if meeting.server is None:  # the store removes records whose server is gone
        raise ApiError(errors.MEETING_NOT_FOUND)
    return meeting.server
