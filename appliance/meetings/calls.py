"""The meeting calls except create and end: find the meeting's server, call it, pass its answer on.

A server's answer is passed on unchanged; every other answer is an ApiError. Source: BigBlueButton
API reference, https://docs.bigbluebutton.org/development/api.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from appliance.bbb import errors
from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.meeting_id import read_meeting_id
from appliance.bbb.params import Params, get
from appliance.bbb.request_body import RequestBody
from appliance.bbb.signed_request import Caller
from appliance.bbb.xml import ServerAnswer, render_not_running
from appliance.faults import BbbError, ServerFault, StoreDown
from appliance.meetings.create_params import with_stored_id
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.placement import NO_NOTES, PlaceNotes
from appliance.model import Meeting, MeetingId, ServerId, Target
from appliance.pool.ending import forget_if_unknown
from appliance.pool.meeting_info import ask_about
from appliance.system.threads import run_sized
from appliance.tenants.limits import DEFAULT_TENANT, LimitUse
from appliance.tenants.param_rules import (
    apply_rules,
    join_layers,
    merge_join_params,
    needs_version,
)
from appliance.tenants.view import show_answer

TOO_LARGE = frozenset({413, 414, 431})
"""HTTP statuses that are caused by the request alone: the server itself is healthy."""


async def is_meeting_running(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Return the server's answer, or `running` false for an unknown meeting. Raises ApiError."""
    meeting = await _find(deps, caller, params)
    if meeting is None:
        return render_not_running()
    answer = await _ask(deps, meeting, "isMeetingRunning", params, errors.UNABLE_TO_ACCESS_MEETING)
    return await _visible(caller, params, answer)


async def get_meeting_info(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """Return the server's answer, and delete the record of a meeting that it does not know."""
    meeting = await _find_or_fail(deps, caller, params)

    async def ask(named: MeetingId) -> ServerAnswer:
        asked = meeting if named == meeting.id else replace(meeting, id=named)
        return await _ask(deps, asked, "getMeetingInfo", params, errors.UNABLE_TO_ACCESS_MEETING)

    answer = await ask_about(meeting.id, ask)
    await forget_if_unknown(deps.pool, meeting, answer)
    return await _visible(caller, params, answer)


async def join_meeting(deps: MeetingDeps, caller: Caller, params: Params) -> str:
    """Return the signed URL of the server's join, and count the user as load of the server."""
    meeting_id = _meeting_id(params)
    api, tenant = deps.settings.api, caller.tenant
    merged = merge_join_params(params, api, tenant)
    layers = join_layers(api, tenant)
    meeting, notes = await deps.store.join_meeting(
        meeting_id,
        caller.tenant_id,
        now_ms=deps.now_ms(),
        wants_version=needs_version(layers),
    )
    if notes is not NO_NOTES:
        report_limits(deps, caller, notes)
    if meeting is None:
        failure = errors.LIMIT_REACHED[notes.refused.name] if notes.refused else None
        raise ApiError(failure or errors.MEETING_NOT_FOUND)
    caller.log_fields["server"] = meeting.server_id
    if not meeting.reachable:
        raise ApiError(errors.SERVER_UNAVAILABLE)
    if notes.bbb_version is not None:
        merged = apply_rules(merged, layers, notes.bbb_version)
    return deps.pool.bbb.join_url(_target(meeting), with_stored_id(merged, meeting))


async def find_logout_url(deps: MeetingDeps, caller: Caller, params: Params) -> str | None:
    """Return the logoutURL that the create of a meeting gave; None: none, no id, or Redis is away.

    Only asked when a join has failed, so it costs no other call a round trip.
    """
    try:
        return await deps.store.find_logout_url(_meeting_id(params), caller.tenant_id)
    except (ApiError, StoreDown):
        return None


async def insert_document(
    deps: MeetingDeps, caller: Caller, params: Params, body: RequestBody
) -> bytes:
    """Pass a document on to the meeting's server."""
    meeting = await _find_or_fail(deps, caller, params)
    answer = await _ask(
        deps, meeting, "insertDocument", params, errors.UNABLE_TO_INSERT_DOCUMENT, body
    )
    return await _visible(caller, params, answer)


async def pass_through(
    deps: MeetingDeps, call: str, caller: Caller, params: Params, body: RequestBody | None = None
) -> bytes:
    """Pass any other call with a meetingID on to the meeting's server, signed with its secret."""
    meeting = await _find_or_fail(deps, caller, params)
    answer = await _ask(deps, meeting, call, params, errors.UNABLE_TO_ACCESS_MEETING, body)
    return await _visible(caller, params, answer)


def report_failed_call(deps: MeetingDeps, error: BbbError, call: str) -> None:
    """Log a failed call, have its server polled, and have placement avoid it until then."""
    if error.own_limit:  # no verdict about the server
        deps.faults.note("own_limit_reached", "calls", call=call, reason=error.reason)
        return
    deps.faults.note("server_call_failed", error.server_id, call=call, reason=error.reason)
    if isinstance(error, ServerFault) and error.status in TOO_LARGE:
        return
    deps.later(_suspect, deps, error.server_id, not isinstance(error, ServerFault))


def report_limits(deps: MeetingDeps, caller: Caller, notes: PlaceNotes) -> None:
    """Log and count what a create or a join tells about the limits of its tenant."""
    tenant = caller.tenant.name if caller.tenant else DEFAULT_TENANT
    for near in notes.near:
        deps.log.warning("tenant_limit_near", tenant=tenant, **_shown(near))
    if notes.refused is not None:
        deps.metrics.tenant_refused.add(tenant, notes.refused.name)
        subject = f"{tenant} {notes.refused.name}"
        deps.faults.note("tenant_limit_reached", subject, tenant=tenant, **_shown(notes.refused))


def _shown(use: LimitUse) -> dict[str, object]:
    return {"limit": use.name, "maximum": use.maximum, "used": use.used}


async def _suspect(deps: MeetingDeps, server_id: ServerId, silent: bool) -> None:
    await deps.pool.records.suspect_server(server_id, silent=silent)
    deps.servers.poll_soon(server_id)


def _meeting_id(params: Params) -> MeetingId:
    return read_meeting_id(get(params, "meetingID"))


async def _find(deps: MeetingDeps, caller: Caller, params: Params) -> Meeting | None:
    meeting = await deps.pool.records.find_meeting_of(
        caller.tenant_id, _meeting_id(params), now_ms=deps.now_ms(), or_breakout=True
    )
    if meeting is not None:
        caller.log_fields["server"] = meeting.server_id
    return meeting


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
) -> ServerAnswer:
    try:
        return await deps.pool.bbb.call(
            _target(meeting), call, with_stored_id(params, meeting), body=body
        )
    except BbbError as error:
        report_failed_call(deps, error, call)
        raise ApiError(failure) from error


async def _visible(caller: Caller, params: Params, answer: ServerAnswer) -> bytes:
    show = partial(show_answer, answer.body, caller.tenant_id, _meeting_id(params))
    return await run_sized(len(answer.body), show)


def _target(meeting: Meeting) -> Target:
    if meeting.server is None:  # the store deletes records whose server was removed
        raise ApiError(errors.MEETING_NOT_FOUND)
    return meeting.server
