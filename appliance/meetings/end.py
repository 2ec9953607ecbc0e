"""end: passed on to the meeting's server, or remembered while that does not answer.

A remembered `end` is carried out by the poll that finds the server back (observe_server.lua), or
before a create of the same id on that server. Source: BigBlueButton API reference, end.
"""

from __future__ import annotations

from hmac import compare_digest

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.meeting_id import read_meeting_id
from appliance.bbb.params import Params, get, replace_param
from appliance.bbb.signed_request import Caller
from appliance.bbb.xml import ServerAnswer, render_success
from appliance.faults import Ambiguous, BbbError, NotSent, ServerFault
from appliance.meetings.calls import report_failed_call
from appliance.meetings.deps import MeetingDeps
from appliance.model import Meeting
from appliance.pool.ending import NOT_FOUND, end_placed
from appliance.tenants.view import show_answer

_END_SENT = render_success(
    "sentEndMeetingRequest",
    "A request to end the meeting was sent. Please wait a few seconds, and then use the "
    "getMeetingInfo or isMeetingRunning API calls to verify that it was ended.",
)
"""BBB's answer to an `end`."""


async def end_meeting(deps: MeetingDeps, caller: Caller, params: Params) -> bytes:
    """End a meeting on its server, and delete its record once the server has confirmed that.

    If the server does not answer, the meeting is forgotten and ended when the server is back.
    Raises ApiError, StoreDown.
    """
    meeting_id, term = read_meeting_id(get(params, "meetingID")), deps.store.redis.term
    found = await deps.store.find_meeting_to_end(meeting_id, caller.tenant_id, now_ms=deps.now_ms())
    meeting = found.meeting if found else None
    if meeting is not None:
        caller.log_fields["server"] = meeting.server_id
    password = get(params, "password")
    if found is not None and found.detached and meeting is not None:
        if await _remember(deps, meeting, password, detached=True):
            return _END_SENT
        meeting = None
    if meeting is None or meeting.server is None:
        # A front-end whose end failed takes this for its success: a failover must not undo it.
        await deps.store.redis.wait_replicated(term)
        raise ApiError(errors.MEETING_NOT_FOUND)
    if not password and meeting.moderator_pw:
        params = replace_param(params, "password", meeting.moderator_pw)
    try:
        answer = await end_placed(deps.pool, meeting.server, meeting.id, params)
    except BbbError as error:
        report_failed_call(deps, error, "end")
        sent = isinstance(error, Ambiguous)
        if _is_away(error) and await _remember(deps, meeting, password, sent=sent):
            return _END_SENT
        raise ApiError(errors.UNABLE_TO_ACCESS_MEETING) from error
    await _forget_ended(deps, meeting, answer)
    return show_answer(answer.body, caller.tenant_id, meeting_id)


async def _forget_ended(deps: MeetingDeps, meeting: Meeting, answer: ServerAnswer) -> None:
    if answer.succeeded or answer.message_key == NOT_FOUND:
        # A running create survives a notFound (it has not arrived yet), but not an end.
        await deps.pool.records.forget_meeting(
            meeting, now_ms=deps.now_ms(), even_if_creating=answer.succeeded
        )


def _is_away(error: BbbError) -> bool:
    """Whether the server, or the BBB behind its proxy, did not answer."""
    if isinstance(error, ServerFault):
        return error.refused_by_server
    return isinstance(error, NotSent | Ambiguous) and not error.own_limit


async def _remember(
    deps: MeetingDeps,
    meeting: Meeting,
    password: str | None,
    *,
    detached: bool = False,
    sent: bool = False,
) -> bool:
    """Remember an `end`; False: the record has changed. Raises ApiError: a wrong password.

    `sent`: the server may have received one, and may carry it out late.
    """
    stored = meeting.moderator_pw
    if password and stored and not _are_equal(password, stored):
        raise ApiError(errors.INVALID_PASSWORD)
    now_ms, term = deps.now_ms(), deps.store.redis.term
    remembered = await deps.store.remember_end(
        meeting,
        detached=detached,
        now_ms=now_ms,
        until_ms=now_ms + deps.pool.end_reach_ms if sent else 0,
    )
    if remembered:
        await deps.store.redis.wait_replicated(term)  # Redis alone knows that it is to be ended
        deps.log.info("end_remembered", meeting=meeting.id, server=meeting.server_id)
    return remembered


def _are_equal(given: str, stored: str) -> bool:
    return compare_digest(*(text.encode("utf-8", "surrogatepass") for text in (given, stored)))
