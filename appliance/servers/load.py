"""What a server's getMeetings answer says about its load and its numbers.

Knows nothing of reservations made since the poll began; where those are kept is where they are
added (Lua). Truth: Scalelite's load formula, as the spec's "Load" states it, because operators
tune LOAD_MIN_USER_COUNT and the multipliers for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.model import ListedMeeting


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of one server that operators see; breakout rooms included."""

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
    """Return what each meeting adds to the load of its server, by meeting id.

    `expected` is the stored reservation by meeting id; a meeting that we did not place has none
    and counts as `min_user_count`. `now_ms` and the meetings' create times are Unix times.
    Breakout rooms add nothing and are left out.
    """
    seats: dict[str, int] = {}
    for meeting in meetings:
        if meeting.is_breakout:
            continue
        # participantCount includes the moderators: Scalelite counts them twice (fault 31).
        count = meeting.participants + (meeting.moderators if count_moderators_twice else 0)
        if now_ms - meeting.create_time_ms < join_buffer_ms:
            count = max(count, expected.get(meeting.id, min_user_count))
        # Should a server list an id twice, both are load.
        seats[meeting.id] = seats.get(meeting.id, 0) + count
    return {meeting_id: load_multiplier * count for meeting_id, count in seats.items()}


def counts(meetings: Sequence[ListedMeeting]) -> Counts:
    """Return how many meetings, users and videos a server has, and its largest meeting."""
    return Counts(
        meetings=len(meetings),
        users=sum(meeting.participants for meeting in meetings),
        largest_meeting=max((meeting.participants for meeting in meetings), default=0),
        videos=sum(meeting.videos for meeting in meetings),
    )
