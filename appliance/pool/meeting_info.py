"""getMeetingInfo about one meeting of the pool, and about no other.

BBB looks a meetingID up among the beginnings of internal ids before it looks for a meeting with
that id, so `2026` may find another meeting. Then the meeting is asked for by the beginning of its
own internal id. Source: BigBlueButton's MeetingService.getMeeting and
ServiceUtils.findMeetingFromMeetingID.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from appliance.bbb.errors import MEETING_NOT_FOUND
from appliance.bbb.meeting_id import beginning_of_internal_id, may_begin_internal_id
from appliance.bbb.xml import ServerAnswer, parse_tree, render_error
from appliance.model import MeetingId, Target
from appliance.pool.deps import PoolDeps

_UNKNOWN = ServerAnswer(
    False, MEETING_NOT_FOUND.key, render_error(MEETING_NOT_FOUND.key, MEETING_NOT_FOUND.message)
)


async def fetch_info(deps: PoolDeps, target: Target, meeting_id: MeetingId) -> ServerAnswer:
    """Return a server's getMeetingInfo answer about a meeting. Raises BbbError."""

    async def ask(named: MeetingId) -> ServerAnswer:
        return await deps.bbb.call(target, "getMeetingInfo", (("meetingID", named),))

    return await ask_about(meeting_id, ask)


async def ask_about(
    meeting_id: MeetingId, ask: Callable[[MeetingId], Awaitable[ServerAnswer]]
) -> ServerAnswer:
    """Return the getMeetingInfo answer that `ask` gets about a meeting, a `notFound` if none."""
    answer = await ask(meeting_id)
    if may_begin_internal_id(meeting_id) and _is_about_another(answer, meeting_id):
        answer = await ask(beginning_of_internal_id(meeting_id))
        if _is_about_another(answer, meeting_id):
            return _UNKNOWN
    return answer


def _is_about_another(answer: ServerAnswer, meeting_id: MeetingId) -> bool:
    if not answer.succeeded:
        return False
    found = (parse_tree(answer.body).findtext("meetingID") or "").strip()
    return found not in ("", meeting_id)
