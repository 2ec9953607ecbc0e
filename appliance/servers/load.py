"""What a poll of a server counts, from its getMeetings answer.

The load is computed by observe_server.lua (`load_of` in redis/lib.lua), which also knows what the
meetings are expected to reach.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.model import ServerId
from appliance.servers.model import Observation


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one server that operators see, including breakout rooms."""

    meetings: int
    users: int
    largest_meeting: int
    videos: int


def counts(meetings: Sequence[ListedMeeting]) -> Counts:
    """Return the numbers of meetings, users and videos of a server, and its largest meeting."""
    return Counts(
        meetings=len(meetings),
        users=sum(meeting.participants for meeting in meetings),
        largest_meeting=max((meeting.participants for meeting in meetings), default=0),
        videos=sum(meeting.videos for meeting in meetings),
    )


def make_observation(
    server_id: ServerId,
    meetings: Sequence[ListedMeeting],
    *,
    began_ms: int,
    now_ms: int,
    joins_before: float,
    known: Collection[str] | None = None,
) -> Observation:
    """Return the arguments of observe_server.lua for a poll.

    `known` are the meetings that Redis has to know of, None: all. Times are Unix times.
    """
    seen = counts(meetings)
    listed = [one for one in meetings if known is None or one.id in known]
    others = [one for one in meetings if known is not None and one.id not in known]
    return Observation(
        server_id=server_id,
        began_ms=began_ms,
        now_ms=now_ms,
        joins_before=joins_before,
        meetings=seen.meetings,
        users=seen.users,
        largest_meeting=seen.largest_meeting,
        videos=seen.videos,
        listed=tuple(listed),
        others=tuple(one for one in others if not one.is_breakout),
        stray_tenants=frozenset(one.tenant_id or "" for one in others),
    )
