"""The last 24 hours of the pool and of each server, sampled once a minute, in the memory of this
process.

Bounded: pool 1,440 samples; a server 60 of the last hour and 288 of five minutes: about 4 kB, 8 MB
for 2,000 servers. A restart loses them; live.py reads the pool's minutes back.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from appliance.model import Server

DAY_MIN = 24 * 60
HOUR_MIN = 60
STEP_MIN = 5
"""Distance of the samples of a server's day."""
GAP = math.nan
"""Where nothing was sampled: the appliance was not running, or the server did not answer."""


@dataclass(frozen=True, slots=True)
class PoolMinute:
    """One minute of the pool."""

    minute: int
    """Since the epoch."""
    users: int
    meetings: int
    refused: float
    """Creates for which there was no server, on this appliance."""
    errors: float
    """Calls of the API that ended with an internal error, on this appliance."""


@dataclass(slots=True)
class ServerHistory:
    """The last hour and day of a server."""

    hour: deque[float] = field(default_factory=lambda: deque(maxlen=HOUR_MIN))
    users: array[float] = field(default_factory=lambda: array("f"))
    meetings: array[float] = field(default_factory=lambda: array("f"))


class History:
    """Keeps the samples."""

    def __init__(self) -> None:
        self.pool: deque[PoolMinute] = deque(maxlen=DAY_MIN)
        self.servers: dict[str, ServerHistory] = {}
        self._last_refused = self._last_errors = GAP

    def add(self, minute: int, servers: Iterable[Server], *, refused: float, errors: float) -> None:
        """Add a sample; `refused` and `errors` are counters that only grow."""
        if self.pool and minute <= self.pool[-1].minute:
            return
        users = meetings = 0
        seen = set()
        for server in servers:
            seen.add(server.id)
            users += server.users
            meetings += server.meetings
            self._add_server(minute, server)
        for gone in self.servers.keys() - seen:
            del self.servers[gone]
        more = [
            0.0 if math.isnan(before) else max(0.0, now - before)
            for before, now in ((self._last_refused, refused), (self._last_errors, errors))
        ]
        self._last_refused, self._last_errors = refused, errors
        self.pool.append(PoolMinute(minute, users, meetings, *more))

    def begin_with(self, minutes: Sequence[PoolMinute]) -> None:
        """Take older minutes of the pool, in order, before those that were sampled."""
        first = self.pool[0].minute if self.pool else math.inf
        room = DAY_MIN - len(self.pool)
        older = [one for one in minutes if one.minute < first]
        self.pool.extendleft(reversed(older[max(0, len(older) - room) :]))

    def _add_server(self, minute: int, server: Server) -> None:
        kept = self.servers.setdefault(server.id, ServerHistory())
        answers = server.online
        kept.hour.append(float(server.users) if answers else GAP)
        if minute % STEP_MIN == 0 or not kept.users:
            for samples, value in ((kept.users, server.users), (kept.meetings, server.meetings)):
                samples.append(value if answers else GAP)
                if len(samples) > DAY_MIN // STEP_MIN:
                    del samples[0]

    def refused_lately(self) -> float:
        """Return how many creates were refused in the last hour."""
        since = self.pool[-1].minute - HOUR_MIN if self.pool else 0
        recent = takewhile(lambda one: one.minute > since, reversed(self.pool))
        return sum(one.refused for one in recent)

    def hour_of(self, server_id: str) -> Sequence[float]:
        """Return the users of a server in the last hour, minute by minute, oldest first."""
        kept = self.servers.get(server_id)
        return () if kept is None else tuple(kept.hour)

    def day_of(self, server_id: str) -> tuple[Sequence[float], Sequence[float]]:
        """Return users and meetings of a server in the last day, every STEP_MIN minutes."""
        kept = self.servers.get(server_id)
        return ((), ()) if kept is None else (tuple(kept.users), tuple(kept.meetings))

    def day(self, field_name: str) -> list[float]:
        """Return a field of the pool in the last day, minute by minute, with gaps where there is
        no sample; oldest first."""
        if not self.pool:
            return []
        values = {one.minute: float(getattr(one, field_name)) for one in self.pool}
        last = self.pool[-1].minute
        return [values.get(minute, GAP) for minute in range(last - DAY_MIN + 1, last + 1)]
