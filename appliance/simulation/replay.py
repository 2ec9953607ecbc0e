"""Replay a trace with a placement rule in simulated time, and measure how evenly it spreads.

The replay knows the true state of all servers. The rule gets only the events that a load balancer
gets: creates, joins, the end of a meeting (meetingEndedURL) and a poll of each server per minute,
at a phase of its own. All rules get the same events at the same times. A lost server leaves the
pool at once for every rule: the detection time is measured by benchmarks/poll.py.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.model import LoadWeights
from appliance.simulation.traces import DAY_MS, MINUTE_MS, SECOND_MS, Session, Trace

POLL_MS = 60 * SECOND_MS
SAMPLE_MS = 10 * SECOND_MS
HEADROOM = 1.25
"""Capacity of a server, as a multiple of its fair share of the peak."""
RETURN_MS = (20 * SECOND_MS, 90 * SECOND_MS)
"""Range of the time after which the class of a lost server is created again."""
REJOIN_MS = 90 * SECOND_MS
"""Time within which its users join again."""


@dataclass(slots=True, eq=False)
class Run:
    """A class in progress: the state of its meeting."""

    session: Session
    server: int = -1
    created_ms: int = 0
    users: int = 0
    cameras: int = 0
    leaving: bool = False

    def cost(self, weights: LoadWeights) -> float:
        """Return what the meeting costs its server now."""
        return cost_of(weights, self.users, self.cameras)


def cost_of(weights: LoadWeights, users: int, cameras: int) -> float:
    """Return what a meeting costs a server; who has a camera has a microphone, too."""
    return weights.user * users + (weights.video + weights.voice) * cameras + weights.meeting


class Rule(Protocol):
    """A placement rule; all times are simulated."""

    name: str
    learns: bool
    """True if it uses the events of the first day."""

    async def place(self, run: Run, now_ms: int) -> int:
        """Choose a server for a new meeting and return its number."""

    async def join(self, run: Run, now_ms: int) -> None:
        """Handle the join of a user."""

    async def end(self, run: Run, now_ms: int) -> None:
        """Handle the end of a meeting."""

    async def poll(self, server: int, listed: Sequence[ListedMeeting], now_ms: int) -> None:
        """Handle the result of a poll."""

    async def lose(self, server: int, now_ms: int) -> None:
        """Handle the loss of a server and its meetings."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one rule on one trace. Load is the cost of meetings x multiplier of a server.

    Without cameras the cost is the number of users.
    """

    trace: str
    rule: str
    peak: float
    """Greatest load of any server."""
    fair: float
    """Load of each server at the fullest moment if users were spread perfectly."""
    over_users: int
    """Load above the capacity of the servers at the worst moment."""
    over_user_minutes: float
    """The same, summed over time."""
    worst: tuple[tuple[float, float], ...] = field(repr=False)
    """Samples: (hour of the day, load of the most loaded server)."""

    @property
    def spread(self) -> float:
        """Return the peak as a multiple of the fair share; 1 is perfect."""
        return self.peak / self.fair


async def replay(trace: Trace, rule: Rule, seed: int) -> Outcome:
    """Replay the trace with the rule and return the result."""
    world = _World(trace, rule, seed)
    await world.run()
    return world.outcome()


def fair_load(trace: Trace) -> float:
    """Return the load of each server at the fullest measured moment if users were spread perfectly.

    Lost servers count as available; `replay` samples the higher share after a loss.
    """
    cost = most = 0.0
    for ms, change in sorted(_changes(trace)):
        cost += change
        if trace.measured_from_ms <= ms < trace.measured_to_ms:
            most = max(most, cost)
    return most / sum(1 / multiplier for multiplier in trace.multipliers)


def _changes(trace: Trace) -> Iterator[tuple[int, float]]:
    """Yield the time and the amount of every change of the cost of the pool."""
    weights = trace.weights
    for session in trace.sessions:
        yield session.created_ms, weights.meeting
        yield session.leaves_ms[-1], -weights.meeting
        for times, sign in ((session.joins_ms, 1), (session.leaves_ms, -1)):
            for number, ms in enumerate(times):
                camera = weights.video + weights.voice if session.has_camera(number) else 0.0
                yield ms, sign * (weights.user + camera)


class _World:
    def __init__(self, trace: Trace, rule: Rule, seed: int) -> None:
        self.trace, self.rule = trace, rule
        self.alive = [True] * len(trace.multipliers)
        self.runs: list[dict[str, Run]] = [{} for _ in trace.multipliers]
        self._seed = seed
        self._events: list[tuple[int, int, str, object]] = []
        self._order = itertools.count()
        self._samples: list[tuple[int, float, float, float]] = []
        capacity = HEADROOM * fair_load(trace)
        self._capacities = [capacity / multiplier for multiplier in trace.multipliers]
        self._fill()

    def _fill(self) -> None:
        from_ms = 0 if self.rule.learns else DAY_MS
        sessions = [s for s in self.trace.sessions if s.created_ms >= from_ms]
        for session in sessions:
            self._at(session.created_ms, "create", Run(session))
        rng = random.Random(f"phases {self._seed}")
        phases = [rng.randrange(POLL_MS) for _ in self.alive]
        busy = sorted((s.created_ms, s.leaves_ms[-1] + POLL_MS) for s in sessions)
        for begin, finish in _merged(busy):
            for server, phase in enumerate(phases):
                for ms in range(begin - begin % POLL_MS + phase, finish + POLL_MS, POLL_MS):
                    self._at(ms, "poll", server)
        for ms, server in self.trace.lost:
            self._at(ms, "lose", server)
        for ms in range(self.trace.measured_from_ms, self.trace.measured_to_ms, SAMPLE_MS):
            self._at(ms, "sample", None)

    def _at(self, ms: int, kind: str, subject: object) -> None:
        heapq.heappush(self._events, (ms, next(self._order), kind, subject))

    async def run(self) -> None:
        while self._events:
            ms, _, kind, subject = heapq.heappop(self._events)
            if ms > self.trace.measured_to_ms:
                return
            if isinstance(subject, Run):
                await self._meeting_event(ms, kind, subject)
            elif isinstance(subject, int):
                await (self._poll if kind == "poll" else self._lose)(ms, subject)
            else:
                self._sample(ms)

    async def _meeting_event(self, ms: int, kind: str, run: Run) -> None:
        if kind == "create":
            await self._create(ms, run)
        elif run.server < 0:
            return  # its server was lost; its users return to a new run
        elif kind.startswith("join"):
            run.users += 1
            run.cameras += kind == "join, camera"
            await self.rule.join(run, ms)
        else:
            await self._leave(ms, run, camera=kind == "leave, camera")

    async def _create(self, ms: int, run: Run) -> None:
        run.created_ms = ms
        run.server = await self.rule.place(run, ms)
        assert self.alive[run.server], "placed on a lost server"
        self.runs[run.server][run.session.id] = run
        times = (("join", run.session.joins_ms), ("leave", run.session.leaves_ms))
        for kind, moments in times:
            for number, moment_ms in enumerate(moments):
                camera = ", camera" if run.session.has_camera(number) else ""
                self._at(moment_ms, kind + camera, run)

    async def _leave(self, ms: int, run: Run, *, camera: bool) -> None:
        run.users -= 1
        run.cameras -= camera
        run.leaving = True
        if run.users == 0:
            del self.runs[run.server][run.session.id]
            await self.rule.end(run, ms)

    async def _poll(self, ms: int, server: int) -> None:
        if self.alive[server]:
            listed = [
                # The teacher is the moderator.
                ListedMeeting(
                    *(name, run.created_ms, run.users, min(run.users, 1), run.cameras, False),
                    voice=run.cameras,
                )
                for name, run in self.runs[server].items()
            ]
            await self.rule.poll(server, listed, ms)

    async def _lose(self, ms: int, server: int) -> None:
        runs, self.runs[server] = self.runs[server], {}
        self.alive[server] = False
        await self.rule.lose(server, ms)
        for run in runs.values():
            run.server = -1
            self._come_back(ms, run)

    def _come_back(self, ms: int, run: Run) -> None:
        """Schedule another create of the class and the joins of all its users."""
        session = run.session
        rng = random.Random(f"{self._seed} {session.id} comes back")
        again_ms = ms + rng.randint(*RETURN_MS)
        joins = sorted(
            join_ms if join_ms > again_ms else again_ms + SECOND_MS + rng.randint(0, REJOIN_MS)
            for join_ms in session.joins_ms
        )
        back = replace(session, created_ms=again_ms, joins_ms=tuple(joins))
        if joins[-1] < session.leaves_ms[0]:
            self._at(again_ms, "create", Run(back))

    def _sample(self, ms: int) -> None:
        multipliers = self.trace.multipliers
        alive = [number for number, there in enumerate(self.alive) if there]
        weights = self.trace.weights
        costs = [sum(run.cost(weights) for run in runs.values()) for runs in self.runs]
        worst = max(costs[number] * multipliers[number] for number in alive)
        fair = sum(costs) / sum(1 / multipliers[number] for number in alive)
        over = sum(max(0, costs[n] - self._capacities[n]) for n in alive)
        self._samples.append((ms, worst, fair, over))

    def outcome(self) -> Outcome:
        return Outcome(
            trace=self.trace.name,
            rule=self.rule.name,
            peak=max(worst for _, worst, _, _ in self._samples),
            fair=max(fair for _, _, fair, _ in self._samples),
            over_users=round(max(over for _, _, _, over in self._samples)),
            over_user_minutes=sum(over for *_, over in self._samples) * SAMPLE_MS / MINUTE_MS,
            worst=tuple((ms / 3_600_000 % 24, worst) for ms, worst, _, _ in self._samples),
        )


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join overlapping sorted spans; servers are not polled in the gaps, such as the night."""
    merged: list[tuple[int, int]] = []
    for begin, finish in spans:
        if merged and begin <= merged[-1][1] + POLL_MS:
            merged[-1] = (merged[-1][0], max(merged[-1][1], finish))
        else:
            merged.append((begin, finish))
    return merged
