"""The values of usage: what is remembered of a polled server, and what is written to the database.

They are stored as JSON arrays (msgspec), since all runs of a server are written at each poll.
Times are milliseconds since the epoch by the clock of the appliances.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from appliance.model import ServerId

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class UsageRun(msgspec.Struct, array_like=True):
    """One run of a meeting, from its create to its end, as far as it was polled."""

    id: str
    """The stored id, which may be a scoped one (tenants/scoped_id.py)."""
    created: int
    """createTime by the clock of its server, which distinguishes the runs of a meeting."""
    began_ms: int
    meeting_id: str
    """The front-end's id."""
    run_ms: int = 0
    """Arrival time of its create, by which other parts of the appliance name it; 0: unknown."""
    tenant: str = ""
    name: str = ""
    tag: str = ""
    origin: str = ""
    origin_server: str = ""
    breakout_of: str = ""
    moved_from: str = ""
    recorded: bool = False
    first_join_ms: int = 0
    users: int = 0
    """At the last poll; so are the next four."""
    voice: int = 0
    videos: int = 0
    listeners: int = 0
    dial_in: int = 0
    user_ms: float = 0.0
    dial_in_ms: float = 0.0
    gap_ms: int = 0
    """Time in which it may have had users that no poll saw; not part of `user_ms`."""
    peak_users: int = 0
    peak_voice: int = 0
    peak_videos: int = 0
    peak_listeners: int = 0
    peak_dial_in: int = 0
    lost: bool = False
    """Its server has not answered for long, so it has been written as ended already."""

    @property
    def key(self) -> str:
        """Return what identifies the run on its server."""
        return f"{self.id} {self.created}"

    @property
    def internal_id(self) -> str:
        """Return BBB's internal id, which it makes of the meetingID and createTime."""
        digest = hashlib.sha1(self.id.encode("utf-8", "replace"), usedforsecurity=False)
        return f"{digest.hexdigest()}-{self.created}"


class Sums(msgspec.Struct, array_like=True):
    """The usage of a tenant on a server in one minute: greatest numbers, and sums."""

    meetings: int = 0
    users: int = 0
    voice: int = 0
    videos: int = 0
    user_ms: float = 0.0
    recorded_ms: float = 0.0
    dial_in_ms: float = 0.0

    def raise_to(self, other: Sums) -> None:
        """Raise the greatest numbers to those of `other`."""
        self.meetings = max(self.meetings, other.meetings)
        self.users = max(self.users, other.users)
        self.voice = max(self.voice, other.voice)
        self.videos = max(self.videos, other.videos)


Debts = dict[ServerId, dict[str, int]]
"""When the runs ended whose recording a server owes, by internal id; 0: it does not (any more)."""

Minutes = dict[int, dict[str, Sums]]
"""By minute since the epoch and tenant."""


class ServerUsage(msgspec.Struct, array_like=True):
    """The usage of one server that is not in the database yet."""

    polled_ms: int = 0
    """Time of the last poll; 0: never."""
    runs: list[UsageRun] = msgspec.field(default_factory=list)
    ended: list[str] = msgspec.field(default_factory=list)
    """Keys of runs whose end was reported, until the server lists them no more."""
    minutes: Minutes = msgspec.field(default_factory=dict)
    closed: dict[str, int] = msgspec.field(default_factory=dict)
    """Keys of runs that polls have closed, with the time: their end may be reported after that."""
    unmarked: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Recorded runs that have ended, and whose server may still say whether they have recording
    marks: createTime and time of the end, by `late_key`."""
    stopped: dict[str, UsageRun] = msgspec.field(default_factory=dict)
    """Runs that polls have closed, by the keys of `closed`: a server that restarts may list no
    meetings for a moment."""


def late_key(id: str, run_ms: int) -> str:
    """Return what a late report about a run names it by."""
    return f"{run_ms} {id}"


class EndedRun(msgspec.Struct, array_like=True, tag="run"):
    """A run to be written to the database."""

    server: str
    run: UsageRun
    ended_ms: int
    noticed: str
    """How: see tally.py."""
    marks: str = ""
    """`true` or `false`: whether it has recording marks; empty: not known."""

    @property
    def owes(self) -> bool:
        """Return whether its server owes the recording."""
        return self.run.recorded and self.marks != "false"


class Gap(msgspec.Struct, array_like=True, tag="gap"):
    """A time in which a server was not polled although it may have had meetings."""

    server: str
    began_ms: int
    ended_ms: int


class ServerMinute(msgspec.Struct, array_like=True):
    """The finished sums of one minute on one server."""

    server: str
    minute: int
    tenants: dict[str, Sums]


@dataclass(slots=True)
class Finished:
    """The results of a step, to be written to the database."""

    entries: list[EndedRun | Gap]
    minutes: list[ServerMinute]
    debts: dict[str, int] = field(default_factory=dict)
    """The end of runs whose recording the server owes, by internal id; 0: it does not."""


@dataclass(frozen=True, slots=True)
class EndNote:
    """A run whose end was reported, or asked for by a front-end or an operator."""

    server_id: ServerId
    id: str
    tenant: str
    run_ms: int
    created: int
    """createTime; 0: unknown."""
    marks: str = ""
    """As in EndedRun."""
    recorded: bool = False
    """Created, or last seen by a poll, with record=true."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about usage."""

    from_ms: int
    to_ms: int
    """Exclusive. Both are at full hours, UTC."""
    by: tuple[str, ...] = ("tenant",)
    """Of csv_text.DIMENSIONS."""
    tenant: str | None = None
    """Id; None: all."""
