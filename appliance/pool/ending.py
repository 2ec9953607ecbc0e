"""End many meetings: a bounded number of calls at once, and what became of each.

One that is gone already or cannot be ended stops none of the others (fault 22 of Scalelite).
Touches no record: whether a meeting is forgotten before or after is the caller's matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import trio

from appliance.bbb.xml import Answer
from appliance.faults import BbbError, NotSent
from appliance.model import Meeting, MeetingId, ServerId, Target
from appliance.pool.deps import PoolDeps

NOT_FOUND = "notFound"
"""messageKey of BBB for a meeting it does not know."""
AT_ONCE_PER_SERVER = 8
GIVE_UP_AFTER = 8
"""So many unanswered calls to one server in a row, and the rest of its meetings are not tried: a
server that takes every connection and answers none would cost a timeout for each."""


class EndOutcome(StrEnum):
    """What became of one meeting."""

    ENDED = "ended"
    GONE = "gone"
    """Its server does not know it (any more)."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Forgotten without a call, as was asked for."""


@dataclass(frozen=True, slots=True)
class EndedMeeting:
    """One meeting, and what became of it."""

    id: MeetingId
    server_id: ServerId
    outcome: EndOutcome
    reason: str = ""
    """Why it failed; safe to show."""


@dataclass(frozen=True, slots=True)
class ToEnd:
    """One meeting to be ended."""

    id: MeetingId
    moderator_pw: str = field(repr=False)


async def end_on_server(
    deps: PoolDeps, target: Target, meetings: Sequence[ToEnd]
) -> tuple[EndedMeeting, ...]:
    """Ask one server to end meetings; return the outcome of each, in their order."""
    outcomes: dict[int, EndedMeeting] = {}
    ending = _Ending(deps, target)
    limiter = trio.CapacityLimiter(AT_ONCE_PER_SERVER)

    async def end(index: int, meeting: ToEnd) -> None:
        async with limiter:
            outcomes[index] = await ending.end(meeting)

    async with trio.open_nursery() as nursery:
        for index, meeting in enumerate(meetings):
            nursery.start_soon(end, index, meeting)
    return tuple(outcomes[index] for index in range(len(meetings)))


async def end_unwanted(
    deps: PoolDeps, target: Target, meeting_id: MeetingId, password: str
) -> bool | None:
    """End what a server has of a meeting that is not placed there: best effort, once.

    Return whether the server did; None: it is wanted there by now, or the server did not answer.
    Raises StoreDown.
    """
    current = await deps.records.find_meeting(meeting_id, now_ms=deps.now_ms())
    if current is not None and current.server_id == target.id:
        return None  # placed there again meanwhile
    params = (("meetingID", meeting_id), ("password", password))
    try:
        answer = await deps.bbb.call(target, "end", params)
    except BbbError as error:
        deps.log.info("not_ended", server=target.id, meeting=meeting_id, reason=error.reason)
        return None
    return answer.succeeded


class _Ending:
    """The calls to one server, and whether it is worth calling at all."""

    def __init__(self, deps: PoolDeps, target: Target) -> None:
        self._deps = deps
        self._target = target
        self._silent = 0
        self._given_up: str | None = None

    async def end(self, meeting: ToEnd) -> EndedMeeting:
        if self._given_up is not None:
            return self._outcome(meeting, EndOutcome.FAILED, self._given_up)
        params = (("meetingID", meeting.id), ("password", meeting.moderator_pw))
        try:
            answer = await self._deps.bbb.call(self._target, "end", params)
        except BbbError as error:
            self._silent += 1
            if isinstance(error, NotSent) or self._silent >= GIVE_UP_AFTER:
                self._given_up = error.reason
            return self._outcome(meeting, EndOutcome.FAILED, error.reason)
        self._silent = 0
        if answer.succeeded:
            return self._outcome(meeting, EndOutcome.ENDED)
        if answer.message_key == NOT_FOUND:
            return self._outcome(meeting, EndOutcome.GONE)
        reason = f"the server answered {answer.message_key or 'FAILED'}"
        return self._outcome(meeting, EndOutcome.FAILED, reason)

    def _outcome(self, meeting: ToEnd, outcome: EndOutcome, reason: str = "") -> EndedMeeting:
        return EndedMeeting(meeting.id, self._target.id, outcome, reason)


async def forget_if_gone(deps: PoolDeps, meeting: Meeting) -> bool:
    """Forget a meeting if its server says that it does not know it; without an answer a poll will.

    `meeting` is its record as of now: what is begun while the server is asked is left alone.
    """
    if meeting.server is None:  # removed from the pool: its meetings go with it
        return False
    try:
        answer = await deps.bbb.call(meeting.server, "getMeetingInfo", (("meetingID", meeting.id),))
    except BbbError:
        return False
    return await forget_if_unknown(deps, meeting, answer)


async def forget_if_unknown(deps: PoolDeps, meeting: Meeting, answer: Answer) -> bool:
    """Forget a meeting if its server has said that it does not know it."""
    if answer.succeeded or answer.message_key != NOT_FOUND:
        return False
    return await deps.records.forget_meeting(meeting, now_ms=deps.now_ms())
