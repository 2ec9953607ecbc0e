"""End meetings on their servers, with a bounded number of concurrent calls.

A meeting that is gone or cannot be ended does not stop the others (in Scalelite it does). Records
are not changed: callers decide whether to forget a meeting before or after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import trio

from appliance.bbb.meeting_id import may_begin_internal_id
from appliance.bbb.params import Params, replace_param
from appliance.bbb.xml import ServerAnswer, parse_tree
from appliance.faults import BbbError, NotSent, ServerFault, StoreDown
from appliance.model import Meeting, MeetingId, ServerId, Target
from appliance.pool.deps import PoolDeps
from appliance.pool.meeting_info import fetch_info

NOT_FOUND = "notFound"
"""BBB's messageKey for an unknown meeting."""
MAX_CALLS_PER_SERVER = 8
GIVE_UP_AFTER = 8
"""After this number of consecutive unanswered calls the other meetings of a server are not tried: a
server that accepts connections without answering would cost a timeout for each."""


class EndOutcome(StrEnum):
    """Result of ending one meeting."""

    ENDED = "ended"
    GONE = "gone"
    """Its server does not know it (any more)."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Forgotten without a call, as requested, or created there again."""


@dataclass(frozen=True, slots=True)
class EndResult:
    """One meeting and the result of ending it."""

    id: MeetingId
    server_id: ServerId
    outcome: EndOutcome
    reason: str = ""
    """Why it failed; safe to show."""


@dataclass(frozen=True, slots=True)
class EndRequest:
    """One meeting to be ended."""

    id: MeetingId
    moderator_pw: str = field(repr=False)


async def end_on_server(
    deps: PoolDeps, target: Target, meetings: Sequence[EndRequest], *, placed: bool = True
) -> tuple[EndResult, ...]:
    """Ask one server to end meetings; return the results in the order of `meetings`.

    `placed`: they have records there. Otherwise one that was created there again is skipped, and
    creates wait as in `end_unwanted`.
    """
    results: dict[int, EndResult] = {}
    ending = _ServerEndCalls(deps, target, placed=placed)
    limiter = trio.CapacityLimiter(MAX_CALLS_PER_SERVER)

    async def end(index: int, meeting: EndRequest) -> None:
        async with limiter:
            results[index] = await ending.end(meeting)

    async with trio.open_nursery() as nursery:
        for index, meeting in enumerate(meetings):
            nursery.start_soon(end, index, meeting)
    return tuple(results[index] for index in range(len(meetings)))


async def end_unwanted(
    deps: PoolDeps, target: Target, meeting_id: MeetingId, password: str
) -> bool | None:
    """End a meeting on a server that it is not placed on. Best effort: one attempt.

    Until the server has answered, and for `end_reach_ms` if it does not, no create of this id is
    acknowledged for the run that is ended. Return whether the server ended the meeting; None: the
    meeting is placed there by now, or is to be taken back there, or the server did not answer.
    Raises StoreDown.
    """
    try:
        answer = await _call_end(deps, target, EndRequest(meeting_id, password))
    except BbbError as error:
        deps.log.info("not_ended", server=target.id, meeting=meeting_id, reason=error.reason)
        return None
    return None if answer is None else answer.succeeded


async def end_run(deps: PoolDeps, target: Target, created: ServerAnswer) -> None:
    """End the run that a server's answer to a create names. Raises BbbError: no answer."""
    run = parse_tree(created.body)
    internal_id = MeetingId(run.findtext("internalMeetingID") or "")
    await _end(deps, target, internal_id, run.findtext("moderatorPW") or "")


async def end_placed(
    deps: PoolDeps, target: Target, meeting_id: MeetingId, params: Params
) -> ServerAnswer:
    """Send an `end` with `params` for a meeting that is placed on a server. Raises BbbError.

    If the server could take its id for another meeting, the `end` names it by its internal id.
    """
    named = meeting_id
    if may_begin_internal_id(meeting_id):
        info = await fetch_info(deps, target, meeting_id)
        if not info.succeeded:
            return info
        named = MeetingId(parse_tree(info.body).findtext("internalMeetingID") or meeting_id)
    return await deps.bbb.call(target, "end", replace_param(params, "meetingID", named))


async def _call_end(deps: PoolDeps, target: Target, meeting: EndRequest) -> ServerAnswer | None:
    """Announce an `end` and send it; None: it was not sent, as the meeting is placed there.

    It names the run by its internal id, so that it does no harm to a newer run if it is late.
    Source: BigBlueButton's ServiceUtils.findMeetingFromMeetingID. A server that finds no meeting by
    that id (before BBB 2.4) is sent the meetingID, unless it could take that for another meeting.
    """
    info = await fetch_info(deps, target, meeting.id)
    if not info.succeeded:
        if info.message_key == NOT_FOUND:
            await deps.records.finish_end(meeting.id, target.id, "", answered=True)
        return info
    run = parse_tree(info.body)
    # Of several creates of this id another one may have been executed than the one recorded.
    password = run.findtext("moderatorPW") or meeting.moderator_pw
    internal_id = run.findtext("internalMeetingID")
    if internal_id and info.created:
        named = EndRequest(MeetingId(internal_id), password)
        answer = await _announce_and_end(deps, target, meeting.id, named, info.created)
        unknown = answer is not None and answer.message_key == NOT_FOUND
        if not unknown or may_begin_internal_id(meeting.id):
            return answer
    return await _announce_and_end(deps, target, meeting.id, EndRequest(meeting.id, password), "")


async def _announce_and_end(
    deps: PoolDeps, target: Target, meeting_id: MeetingId, named: EndRequest, created: str
) -> ServerAnswer | None:
    now_ms = deps.now_ms()
    token = await deps.records.begin_end(
        meeting_id, target.id, created, now_ms=now_ms, until_ms=now_ms + deps.end_reach_ms
    )
    if not token:
        return None
    try:
        answer = await _end(deps, target, named.id, named.moderator_pw)
    except (NotSent, ServerFault):
        await deps.records.finish_end(meeting_id, target.id, token, answered=False)
        raise
    await deps.records.finish_end(meeting_id, target.id, token, answered=True)
    return answer


async def _end(
    deps: PoolDeps, target: Target, meeting_id: MeetingId, password: str
) -> ServerAnswer:
    return await deps.bbb.call(target, "end", (("meetingID", meeting_id), ("password", password)))


class _ServerEndCalls:
    """Ends meetings on one server until it stops answering."""

    def __init__(self, deps: PoolDeps, target: Target, *, placed: bool) -> None:
        self._deps = deps
        self._target = target
        self._placed = placed
        self._silent = 0
        self._given_up: str | None = None

    async def end(self, meeting: EndRequest) -> EndResult:
        if self._given_up is not None:
            return self._result(meeting, EndOutcome.FAILED, self._given_up)
        try:
            answer = await self._call(meeting)
        except StoreDown as error:
            return self._result(meeting, EndOutcome.FAILED, str(error))
        except BbbError as error:
            self._silent += 1
            if isinstance(error, NotSent) or self._silent >= GIVE_UP_AFTER:
                self._given_up = error.reason
            return self._result(meeting, EndOutcome.FAILED, error.reason)
        self._silent = 0
        if answer is None:
            return self._result(meeting, EndOutcome.SKIPPED, "it was created there again")
        if answer.succeeded:
            return self._result(meeting, EndOutcome.ENDED)
        if answer.message_key == NOT_FOUND:
            return self._result(meeting, EndOutcome.GONE)
        reason = f"the server answered {answer.message_key or 'FAILED'}"
        return self._result(meeting, EndOutcome.FAILED, reason)

    async def _call(self, meeting: EndRequest) -> ServerAnswer | None:
        if not self._placed:
            return await _call_end(self._deps, self._target, meeting)
        params = (("meetingID", meeting.id), ("password", meeting.moderator_pw))
        return await end_placed(self._deps, self._target, meeting.id, params)

    def _result(self, meeting: EndRequest, outcome: EndOutcome, reason: str = "") -> EndResult:
        return EndResult(meeting.id, self._target.id, outcome, reason)


async def forget_if_gone(deps: PoolDeps, meeting: Meeting) -> bool:
    """Ask a meeting's server about it, and forget the meeting if the server does not know it.

    Without an answer a later poll does it. `meeting` is the record as it was before the call: a run
    that begins meanwhile is kept. Raises StoreDown.
    """
    if meeting.server is None:  # removed from the pool: its meetings go with it
        return False
    try:
        answer = await fetch_info(deps, meeting.server, meeting.id)
    except BbbError:
        return False
    return await forget_if_unknown(deps, meeting, answer)


async def forget_if_unknown(deps: PoolDeps, meeting: Meeting, answer: ServerAnswer) -> bool:
    """Forget a meeting if `answer` says that its server does not know it. Raises StoreDown."""
    if answer.succeeded or answer.message_key != NOT_FOUND:
        return False
    return await deps.records.forget_meeting(meeting, now_ms=deps.now_ms())
