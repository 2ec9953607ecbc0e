"""The load and the counts of a server, computed from its getMeetings answer.

observe_server.lua adds the reservations made since the poll began. The formula is Scalelite's
(docs/placement.md), because operators tune LOAD_MIN_USER_COUNT and the load multipliers for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.model import ListedMeeting


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one server that operators see, including breakout rooms."""

    meetings: int
    users: int
    largest_meeting: int
    videos: int


def contributions(
    meetings: Sequence[ListedMeeting],
    expected: Mapping[str, int],
    *,
    now_ms: int,
    load_multiplier: float,
    min_user_count: int,
    join_buffer_ms: int,
    count_moderators_twice: bool,
) -> dict[str, float]:
    """Return the contribution of each meeting to the load of its server, by meeting id.

    `expected` is the stored reservation by meeting id; a meeting that the appliance did not place
    has none and counts as `min_user_count`. `now_ms` and the meetings' create times are Unix times.
    Breakout rooms contribute nothing and are left out.
    """
    seats: dict[str, int] = {}
    for meeting in meetings:
        if meeting.is_breakout:
            continue
        # participantCount includes the moderators; Scalelite counts them twice.
        count = meeting.participants + (meeting.moderators if count_moderators_twice else 0)
        if now_ms - meeting.create_time_ms < join_buffer_ms:
            count = max(count, expected.get(meeting.id, min_user_count))
        # If a server lists an id twice, both contribute.
        seats[meeting.id] = seats.get(meeting.id, 0) + count
    return {meeting_id: load_multiplier * count for meeting_id, count in seats.items()}


def counts(meetings: Sequence[ListedMeeting]) -> Counts:
    """Return the numbers of meetings, users and videos of a server, and its largest meeting."""
    return Counts(
        meetings=len(meetings),
        users=sum(meeting.participants for meeting in meetings),
        largest_meeting=max((meeting.participants for meeting in meetings), default=0),
        videos=sum(meeting.videos for meeting in meetings),
    )
