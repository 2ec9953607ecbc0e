"""Results of polls and their changes: data between polling.py and store.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.bbb.meeting_list import HashedList
from appliance.model import ListedRecord, MeetingId, ServerId, ServerState


@dataclass(frozen=True, slots=True)
class Observation:
    """Findings of one successful poll of a server."""

    server_id: ServerId
    began_ms: int
    now_ms: int
    joins_before: float
    """`PollStart.joins` when the poll began."""
    meetings: int
    users: int
    largest_meeting: int
    videos: int
    listed: tuple[ListedMeeting, ...]
    others: tuple[ListedMeeting, ...] = ()
    """Further meetings, of which Redis knows nothing; they only count."""
    bbb_version: str | None = None
    stray_tenants: frozenset[str] = frozenset()
    """Tenants (their ids, empty for none) with meetings that `listed` leaves out."""


@dataclass(frozen=True, slots=True)
class PollStart:
    """State of a server in the store when a poll begins."""

    state: ServerState
    joins: float
    """Users whose joins have ever added to the load of the server, times its multiplier; what they
    add during the poll counts in addition to the load that the poll measures."""
    usage_version: int = 0
    """How often the usage of the server was written."""
    registering: bool = False
    """It has registered itself, and is enabled after enough good polls."""
    has_hooks: bool = False
    """There may be web hooks to register or to remove on it."""
    mark: str = ""
    """If it is that of an earlier poll, and the list as well, there is nothing to record; empty:
    there is in any case."""


@dataclass(frozen=True, slots=True)
class PoolMarks:
    """Marks of lists in the store: one that is equal to an earlier one says that nothing changed.

    A Scalelite on the same stores changes the marks only when it adds or removes something, or
    changes which servers are enabled or online.
    """

    servers: str
    leases: str
    """Which appliance polls which server."""
    tenants: str
    hooks: str
    """Version of the web hooks."""
    handback: bool
    """Whether the pool is about to be handed back to Scalelite."""
    shares: bool
    """Whether a version of BBB has a share."""
    each: tuple[str, ...] = ()
    """For each server asked for, the values that other programs may change; empty: it is gone."""


@dataclass(frozen=True, slots=True)
class DoubleMeeting:
    """A meeting that the polled server lists beside the server of its record."""

    id: MeetingId
    server_id: ServerId
    """The server of its record."""
    placement: int
    joins: int
    """Joins that the record counted when the poll was recorded."""
    new: bool
    """To be reported: the previous poll did not find it; with `same_run`, once a day."""
    action: str
    """`end_here`, `move_here` (end it on the server of its record), `same_run` (nothing: one
    BigBlueButton server is in the pool twice) or empty: nothing yet."""


class FoundDouble(NamedTuple):
    """A meeting that two servers listed at their last polls."""

    id: MeetingId
    server_id: ServerId
    """The server of its record."""
    other: ServerId
    same_run: bool
    """It is one meeting: both are the same BigBlueButton server."""


@dataclass(frozen=True, slots=True)
class ObservationResult:
    """Changes made by a successful poll."""

    known: bool = True
    """False: the server was removed from the pool, or is disabled."""
    usage_saved: bool = False
    online: bool = False
    came_online: bool = False
    auto_disabled: bool = False
    """It was cordoned and has become empty."""
    load: float = 0.0
    taken_back: tuple[MeetingId, ...] = ()
    to_end: tuple[tuple[MeetingId, str], ...] = field(default=(), repr=False)
    """Meetings (id, moderator password) that run there but now belong to another server."""
    missing: tuple[tuple[MeetingId, int], ...] = ()
    """Recorded meetings (id, placement) that the server did not list."""
    doubles: tuple[DoubleMeeting, ...] = ()
    mark: str = ""
    """`PollStart.mark` for as long as nothing changes."""


@dataclass(slots=True)
class PollMemory:
    """Results of the last polls of a server by this process, to recognise that nothing changed."""

    found: HashedList | None = None
    """The list as last read, if it can be recognised."""
    mark: str = ""
    """As long as the server has it, the same list needs not be recorded; empty: it must be."""
    until_s: float = 0.0
    """Trio time from which it must be, too."""
    load: float = 0.0
    records: Mapping[str, ListedRecord] = field(default_factory=dict)
    """Of the meetings in the list, for their usage."""

    def is_valid(self, mark: str, now_s: float) -> bool:
        """Return whether to record the same list again would change nothing."""
        return bool(mark) and mark == self.mark and now_s < self.until_s


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """The result of a removal: refused if the server has meetings or owes recordings."""

    known: bool
    meetings: int = 0
    owed: int = 0
    """Recordings younger than RECORDING_OWED_HOURS that have not arrived."""
    in_service: bool = False
    """It is not disabled, as was required."""

    @property
    def done(self) -> bool:
        """Whether the server was removed."""
        return self.known and not (self.meetings or self.owed or self.in_service)

    @property
    def reason(self) -> str:
        """Return why it was refused."""
        if self.meetings:
            return _counted(self.meetings, "meeting")
        return f"{_counted(self.owed, 'recording')} to deliver"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class FailureResult:
    """Changes made by a failed poll."""

    known: bool = True
    unhealthy_count: int = 0
    went_offline: bool = False
    detached: int = 0
    """Number of meetings that were detached because of it."""
