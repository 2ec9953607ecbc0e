"""A school week on three servers, with what really happened, replayed through the code of usage.

The clock is that of the replay. Two appliances share a real Redis; which of them polls is random.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.model import ListedRecord, ServerId
from appliance.simulation.traces import DAY_MS, HOUR_MS, Session, timetable
from appliance.usage.deps import UsageDeps
from appliance.usage.model import EndNote
from appliance.usage.observer import confirm_usage, prepare_usage
from appliance.usage.tally import Poll, gap_limit_ms
from appliance.usage.writer import close_ended

INTERVAL_MS = 60_000
TENANTS = ("art-school", "business-school", "college")
SERVERS = ("bbb-1", "bbb-2", "bbb-3")
MONDAY_MS = 1_760_918_400_000
"""2025-10-20, in UTC."""
DAYS = 5


@dataclass(slots=True)
class Class:
    """One class: a session of the timetable on a server."""

    id: str
    tenant: str
    server: str
    session: Session
    offset_ms: int
    created_ms: int
    reported: bool
    recorded: bool
    moved_from: str = ""
    told: bool = False
    runs: set[int] = field(default_factory=set)
    """createTime of each run that a poll or report told of."""

    @property
    def ended_ms(self) -> int:
        return self.offset_ms + self.session.leaves_ms[-1]

    def users(self, now_ms: int) -> int:
        """Return the number of users at a time."""
        at = now_ms - self.offset_ms
        joined = sum(ms <= at for ms in self.session.joins_ms)
        return joined - sum(ms <= at for ms in self.session.leaves_ms)


@dataclass(slots=True)
class Week:
    """The classes of a week, and what is true of them."""

    seed: int = 1
    classes: list[Class] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        for day in range(DAYS):
            for number, session in enumerate(timetable(self.seed + day, small=True).sessions):
                if session.created_ms >= DAY_MS or number % 4:
                    continue
                offset = MONDAY_MS + day * DAY_MS
                self.classes.append(
                    Class(
                        id=f"{session.id}-{day}",
                        tenant=rng.choice(TENANTS),
                        server=rng.choice(SERVERS),
                        session=session,
                        offset_ms=offset,
                        created_ms=offset + session.created_ms,
                        reported=rng.random() < 0.7,
                        recorded=rng.random() < 0.3,
                    )
                )

    def user_ms(self, tenant: str, from_ms: int = 0, to_ms: int = 1 << 60) -> int:
        """Return the user-minutes of a tenant in a period, in ms."""
        total = 0
        for one in self.of(tenant):
            stays = zip(one.session.joins_ms, one.session.leaves_ms, strict=True)
            for join, leave in stays:
                begin = max(one.offset_ms + join, from_ms)
                total += max(0, min(one.offset_ms + leave, to_ms) - begin)
        return total

    def users(self, tenant: str) -> int:
        """Return how often anyone joined."""
        return sum(one.session.size for one in self.of(tenant))

    def peak(self, tenant: str, window_ms: int) -> tuple[int, int]:
        """Return the greatest number of users at once, and of all who were there in a window."""
        changes = []
        for one in self.of(tenant):
            changes += [(one.offset_ms + ms, 1) for ms in one.session.joins_ms]
            changes += [(one.offset_ms + ms, -1) for ms in one.session.leaves_ms]
        exact, most = _most(changes), _most([(ms + window_ms * (d < 0), d) for ms, d in changes])
        return exact, most

    def of(self, tenant: str) -> list[Class]:
        """Return the classes of a tenant."""
        return [one for one in self.classes if one.tenant == tenant]


def _most(changes: Iterable[tuple[int, int]]) -> int:
    users = most = 0
    for _, change in sorted(changes):
        users += change
        most = max(most, users)
    return most


@dataclass(slots=True)
class Clock:
    """The time of a replay."""

    now_ms: int = MONDAY_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass(slots=True)
class Replay:
    """Polls the servers of a week."""

    week: Week
    appliances: list[UsageDeps]
    clock: Clock
    lost: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Servers that do not answer for a time; their classes go on elsewhere."""
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    async def run(self, each_hour: Callable[[int], object]) -> None:
        """Replay the week; `each_hour` may return a coroutine."""
        phases = {server: self.rng.randrange(INTERVAL_MS) for server in SERVERS}
        for day in range(DAYS):
            begin = MONDAY_MS + day * DAY_MS + 7 * HOUR_MS + 45 * 60_000
            for minute in range(150):
                for server in sorted(SERVERS, key=lambda one: phases[one]):
                    self.clock.now_ms = begin + minute * INTERVAL_MS + phases[server]
                    await self._report_ends()
                    await self._poll(server)
                if minute % 60 == 59:
                    result = each_hour(self.clock.now_ms)
                    if result is not None:
                        await result  # type: ignore[misc]

    def _is_lost(self, server: str) -> bool:
        from_ms, to_ms = self.lost.get(server, (0, 0))
        return from_ms <= self.clock.now_ms < to_ms

    async def _poll(self, server: str) -> None:
        now_ms, deps = self.clock.now_ms, self.rng.choice(self.appliances)
        if self._is_lost(server):
            self._move(server)
            return
        here = [
            one
            for one in self.week.classes
            if one.server == server and one.created_ms <= now_ms < one.ended_ms
        ]
        for one in here:
            one.runs.add(one.created_ms)
        poll = Poll(
            server=server,
            tag="",
            at_ms=now_ms,
            listed=[
                ListedMeeting(
                    *(one.id, one.created_ms, one.users(now_ms), 1, 0),
                    is_breakout=False,
                    tenant_id=one.tenant,
                    recorded=one.recorded,
                    origin="Moodle",
                )
                for one in here
            ],
            records={
                one.id: ListedRecord(one.moved_from, one.created_ms, one.created_ms) for one in here
            },
            gap_limit_ms=gap_limit_ms(INTERVAL_MS / 1000),
        )
        version, _ = await deps.store.read(ServerId(server))
        prepared = await prepare_usage(deps, poll, version)
        saved = await deps.store.save(ServerId(server), prepared.arguments)
        await confirm_usage(deps, prepared, saved=saved)

    def _move(self, server: str) -> None:
        """Create the classes of a lost server again, as their front-ends do."""
        for one in self.week.classes:
            if one.server == server and one.created_ms <= self.clock.now_ms < one.ended_ms:
                others = [name for name in SERVERS if name != server]
                one.server, one.moved_from = self.rng.choice(others), server
                one.created_ms = self.clock.now_ms

    async def _report_ends(self) -> None:
        deps, redis = self.appliances[0], self.appliances[0].store.redis
        for one in self.week.classes:
            if one.told or not one.reported or self.clock.now_ms < one.ended_ms:
                continue
            one.told = True
            one.runs.add(one.created_ms)
            note = EndNote(ServerId(one.server), one.id, one.tenant, one.created_ms, one.created_ms)
            values = note.server_id, note.id, note.tenant, str(note.run_ms), str(note.created)
            text = json.dumps([*values, "", ""])
            await redis.command("RPUSH", redis.own_key("usage_ended"), text)
            now_ms, self.clock.now_ms = self.clock.now_ms, one.ended_ms
            await close_ended(deps)
            self.clock.now_ms = now_ms
