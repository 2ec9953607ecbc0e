"""What front-ends were told, and whether it is still so.

Lost: an acknowledged create whose meeting does not run or is not known, an acknowledged `end` whose
meeting runs, a recording that was handed over and cannot be seen, an end or a recording that no
front-end was told of. Doubled: a meeting on two servers, a recording listed twice, joins that lead
to another server than the meeting's. Orphan: a meeting on a server that no appliance knows.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

import trio


class State(Enum):
    """What a front-end knows of a meeting."""

    ASKED = "asked"
    """A create was sent and not acknowledged."""
    LIVE = "live"
    ENDING = "ending"
    """An `end` was sent and not acknowledged."""
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Room:
    """A meeting as its front-end knows it."""

    id: str
    state: State = State.ASKED
    internal_id: str = ""
    """Of the last acknowledged create."""
    server: int | None = None
    """Where the last acknowledged join led to."""
    unanswered: bool = False
    """Whether a create ever was, so that it may have begun a run that nobody knows."""
    home: int | None = None
    """`server` when the first of the creates that `repeated_ms` is about was sent."""
    repeated_ms: int = 0
    """When the first create since the last acknowledged one was sent, milliseconds since the epoch;
    0: none was."""
    ended_s: float = 0.0
    calls: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    """The last ones, with their answers."""
    busy: trio.Lock = field(default_factory=trio.Lock)


@dataclass(frozen=True, slots=True)
class Sample:
    """One answered or unanswered call."""

    at_s: float
    call: str
    server: int | None
    took_s: float
    acknowledged: bool


@dataclass(slots=True)
class Findings:
    """What is wrong, with a line for each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    stories: list[list[str]] = field(default_factory=list)
    """Of each meeting that is wrong: its id, its calls, what was logged about it."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.orphans)


@dataclass(slots=True)
class Ledger:
    """All that was acknowledged."""

    rooms: dict[str, Room] = field(default_factory=dict)
    recordings: dict[str, Room] = field(default_factory=dict)
    """By recordID: handed over in the spool, of this meeting."""
    samples: list[Sample] = field(default_factory=list)
    losses: list[tuple[int, int]] = field(default_factory=list)
    """(server, milliseconds since the epoch) when a server lost all its meetings."""
    struck: set[int] = field(default_factory=set)
    """The servers that this experiment strikes."""
    reported: set[str] = field(default_factory=set)
    """Meetings that an earlier comparison found wrong."""
    crossed: list[str] = field(default_factory=list)
    """Answers that belong to another request."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def new_room(self, prefix: str) -> Room:
        """Invent a meeting."""
        room = Room(f"{prefix}-{next(self._numbers)}")
        self.rooms[room.id] = room
        return room

    def is_excused(self, room: Room) -> bool:
        """Return whether the run that was acknowledged last was lost with its server."""
        created_ms = int(room.internal_id.rpartition("-")[2] or 0)
        return any(
            room.server in (server, None) and created_ms <= at_ms for server, at_ms in self.losses
        )

    def _was_replaced(self, room: Room, holders: dict[int, str], known: str | None) -> bool:
        """Return whether a create that was not answered has begun a later run, which is known.

        So it is with a server that is away: the repeat moves the meeting to another one.
        """
        run = next(iter(holders.values()), "")
        return (
            run == known != room.internal_id
            and room.home in (None, *self.struck)
            and 0 < room.repeated_ms <= int(run.rpartition("-")[2])
        )

    def of_state(self, *states: State) -> list[Room]:
        """Return the meetings in these states, oldest first."""
        return [room for room in self.rooms.values() if room.state in states]

    def check_meetings(
        self, holders: dict[str, dict[int, str]], known: dict[str, str | None]
    ) -> Findings:
        """Compare with the servers' meetings, and with what the appliances say.

        `holders`: server and internal id by meetingID; `known`: the internal id that getMeetingInfo
        answers, None for notFound.
        """
        found = Findings(lost=list(self.crossed))
        for room in self.rooms.values():
            self._check_room(room, holders.get(room.id, {}), known.get(room.id), found)
        for meeting_id in holders.keys() - self.rooms.keys() - self.reported:
            found.orphans.append(f"{meeting_id} was never asked for")
        return found

    def _check_room(
        self, room: Room, holders: dict[int, str], known: str | None, found: Findings
    ) -> None:
        if len(holders) > 1:
            found.doubled.append(f"{room.id} is on {holders}")
        elif room.state is State.LIVE and not self.is_excused(room):
            if self._was_replaced(room, holders, known):
                room.internal_id, room.server = str(known), next(iter(holders))
            elif room.internal_id not in holders.values():
                found.lost.append(f"{room.id} {room.internal_id} does not run: {holders}")
            elif known != room.internal_id:
                found.lost.append(f"{room.id} runs on {holders} and is known as {known}")
            elif room.server is not None and room.server not in holders:
                found.doubled.append(f"{room.id} is on {holders}, joins led to {room.server}")
        elif (
            room.state is State.ENDED
            and holders
            and room.unanswered
            and room.internal_id not in holders.values()
        ):
            found.orphans.append(f"{room.id} was begun on {holders} by a create without an answer")
        elif room.state is State.ENDED and holders:
            found.lost.append(f"{room.id} was ended and runs on {holders}")
        elif holders and known not in holders.values():
            found.orphans.append(f"{room.id} is on {holders} and known as {known}")
