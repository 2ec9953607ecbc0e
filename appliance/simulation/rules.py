"""The rules that the placement benchmark compares.

The product's is the product itself: RedisStore and its Lua scripts on a real Redis, and
servers/load.py. Nothing of it is written again here, so that what is measured is what runs. The
others are small enough to be read at a glance.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from appliance.model import (
    ListedMeeting,
    Meeting,
    MeetingId,
    Observation,
    PlacementOutcome,
    PlacementRequest,
    PlacementRules,
    SeenMeeting,
    ServerChange,
    ServerId,
    ServerState,
)
from appliance.redis.client import RedisAddress, Script
from appliance.redis_store import RedisStore, open_redis_store
from appliance.servers.load import contributions, counts
from appliance.simulation.replay import Run

CONNECT_S = 10.0


class ProductRule:
    """The appliance's own rule: its store, driven as operations/ drives it."""

    def __init__(self, store: RedisStore, name: str, multipliers: Sequence[float], seed: int):
        self.name = name
        self.learns = store.rules.forecast
        self._store = store
        self._multipliers = multipliers
        self._rng = random.Random(f"{name} {seed}")
        self._meetings: dict[Run, Meeting] = {}
        self._bridges = 10_000_000
        self._joins: list[tuple[MeetingId, int]] = []

    async def add_servers(self) -> None:
        """Put the servers into the pool, enabled and online, as a first poll would."""
        for number, multiplier in enumerate(self._multipliers):
            server = _server_id(number)
            change = ServerChange(
                url=f"http://{server}/api", secret="secret", load_multiplier=multiplier
            )
            await self._store.add_server(server, change)
            await self._store.set_server_state(server, ServerState.ENABLED)
            await self.poll(number, (), 0)

    async def place(self, run: Run, now_ms: int) -> int:
        """Place and confirm it."""
        await self._flush()
        self._bridges += 1
        request = PlacementRequest(
            meeting_id=MeetingId(run.session.id),
            tenant_id=None,
            moderator_pw=None,
            new_moderator_pw="pw",
            voice_bridges=(str(self._bridges),),
            now_ms=now_ms,
            tie_breaker=self._rng.random(),
        )
        placement = await self._store.place_meeting(request)
        assert placement.outcome is PlacementOutcome.PLACED, placement.outcome
        meeting = placement.meeting
        assert meeting is not None
        assert await self._store.confirm_meeting(meeting, now_ms=now_ms)
        self._meetings[run] = meeting
        return int(meeting.server_id[1:])

    async def join(self, run: Run, now_ms: int) -> None:
        """Count it before anything else happens: joins alone may travel together."""
        self._joins.append((MeetingId(run.session.id), now_ms))
        await trio.lowlevel.checkpoint()

    async def _flush(self) -> None:
        joins, self._joins = self._joins, []
        async with trio.open_nursery() as nursery:
            for meeting_id, now_ms in joins:
                nursery.start_soon(self._join, meeting_id, now_ms)

    async def _join(self, meeting_id: MeetingId, now_ms: int) -> None:
        assert await self._store.join_meeting(meeting_id, None, now_ms=now_ms) is not None

    async def end(self, run: Run, now_ms: int) -> None:
        """Forget it, as its meetingEndedURL has it forgotten."""
        await self._flush()
        await self._store.forget_meeting(self._meetings.pop(run), now_ms=now_ms)

    async def poll(self, server: int, listed: Sequence[ListedMeeting], now_ms: int) -> None:
        """Record what servers/polling.py would record."""
        await self._flush()
        server_id, rules = _server_id(server), self._store.rules
        start = await self._store.begin_poll(server_id)
        assert start is not None
        each = contributions(
            listed,
            await self._store.expected_sizes([meeting.id for meeting in listed]),
            now_ms=now_ms,
            load_multiplier=self._multipliers[server],
            min_user_count=rules.min_user_count,
            join_buffer_ms=rules.join_buffer_ms,
            count_moderators_twice=True,
        )
        seen = counts(listed)
        observation = Observation(
            server_id=server_id,
            began_ms=now_ms,
            now_ms=now_ms,
            joins_before=start.joins,
            load=sum(each.values()),
            meetings=seen.meetings,
            users=seen.users,
            largest_meeting=seen.largest_meeting,
            videos=0,
            listed=tuple(SeenMeeting(m.id, each[m.id], m.participants) for m in listed),
        )
        await self._store.observe_server(observation, healthy_threshold=1)

    async def lose(self, server: int, now_ms: int) -> None:
        """Take the server offline: its meetings are detached."""
        await self._flush()
        await self._store.fail_server(_server_id(server), now_ms=now_ms, unhealthy_threshold=1)


@asynccontextmanager
async def open_product_rule(
    url: str,
    name: str,
    multipliers: Sequence[float],
    seed: int,
    *,
    rules: PlacementRules,
    place_meeting: str = "",
) -> AsyncIterator[ProductRule]:
    """Open the product's rule on an empty Redis; `place_meeting` is another Lua text to try."""
    async with open_redis_store(
        RedisAddress(url), namespace="bench", rules=rules, log=None
    ) as store:
        with trio.fail_after(CONNECT_S):
            await store.client.wait_connected()
            await store.bulk.wait_connected()
        await store.client.command("FLUSHALL")
        if place_meeting:
            script = Script("place_meeting", place_meeting)
            store = replace(store, scripts=replace(store.scripts, place_meeting=script))
        rule = ProductRule(store, name, multipliers, seed)
        await rule.add_servers()
        yield rule


def _server_id(number: int) -> ServerId:
    return ServerId(f"s{number:03}")


class _SimpleRule:
    """What the rules in memory share; each sees every event."""

    name = ""
    learns = False

    def __init__(self, multipliers: Sequence[float], seed: int) -> None:
        self.multipliers = multipliers
        self.alive = list(range(len(multipliers)))
        self.rng = random.Random(f"{self.name} {seed}")

    def choose(self, run: Run) -> int:
        raise AssertionError("each rule has its own")

    async def place(self, run: Run, now_ms: int) -> int:
        await trio.lowlevel.checkpoint()
        return self.choose(run)

    async def join(self, run: Run, now_ms: int) -> None:
        await trio.lowlevel.checkpoint()

    async def end(self, run: Run, now_ms: int) -> None:
        await trio.lowlevel.checkpoint()

    async def poll(self, server: int, listed: Sequence[ListedMeeting], now_ms: int) -> None:
        await trio.lowlevel.checkpoint()

    async def lose(self, server: int, now_ms: int) -> None:
        self.alive.remove(server)
        await trio.lowlevel.checkpoint()


class ScaleliteRule(_SimpleRule):
    """Scalelite 1.x: one more for each create and join, the load formula at each poll.

    Source: its README (LOAD_MIN_USER_COUNT, LOAD_JOIN_BUFFER_TIME) and `rake poll:servers`; equal
    loads go to the first id, as a Redis sorted set has them.
    """

    name = "Scalelite"

    def __init__(self, multipliers: Sequence[float], seed: int) -> None:
        super().__init__(multipliers, seed)
        self._load = [0.0] * len(multipliers)
        self._rules = PlacementRules()

    def choose(self, run: Run) -> int:
        """Take the least loaded and count one for the create."""
        server = min(self.alive, key=lambda number: self._load[number])
        self._load[server] += 1
        return server

    async def join(self, run: Run, now_ms: int) -> None:
        """Count one."""
        self._load[run.server] += 1
        await trio.lowlevel.checkpoint()

    async def poll(self, server: int, listed: Sequence[ListedMeeting], now_ms: int) -> None:
        """Replace the estimate."""
        users = 0
        for meeting in listed:
            attendees = meeting.participants + meeting.moderators
            if now_ms - meeting.create_time_ms < self._rules.join_buffer_ms:
                attendees = max(attendees, self._rules.min_user_count)
            users += attendees
        self._load[server] = users * self.multipliers[server]
        await trio.lowlevel.checkpoint()


class RandomRule(_SimpleRule):
    """Any server, larger ones in proportion more often."""

    name = "random"

    def choose(self, run: Run) -> int:
        """Draw one."""
        weights = [1 / self.multipliers[number] for number in self.alive]
        return self.rng.choices(self.alive, weights)[0]


class RoundRobinRule(_SimpleRule):
    """One after the other, larger ones in proportion more often."""

    name = "round-robin"

    def __init__(self, multipliers: Sequence[float], seed: int) -> None:
        super().__init__(multipliers, seed)
        self._turns = [0.0] * len(multipliers)

    def choose(self, run: Run) -> int:
        """Take the one that has had the fewest turns for its size."""
        server = min(self.alive, key=lambda n: self._turns[n] + self.multipliers[n])
        self._turns[server] += self.multipliers[server]
        return server


class OracleRule(_SimpleRule):
    """Knows the final size of each meeting when it is created: least loaded by final sizes."""

    name = "oracle"

    def __init__(self, multipliers: Sequence[float], seed: int) -> None:
        super().__init__(multipliers, seed)
        self._runs: list[set[Run]] = [set() for _ in multipliers]

    def choose(self, run: Run) -> int:
        """Take the least loaded, before this meeting is on it."""
        server = min(self.alive, key=lambda n: self._seats(n) * self.multipliers[n])
        self._runs[server].add(run)
        return server

    def _seats(self, server: int) -> int:
        return sum(
            run.users if run.leaving else self._final_size(run) for run in self._runs[server]
        )

    def _final_size(self, run: Run) -> int:
        return run.session.size

    async def end(self, run: Run, now_ms: int) -> None:
        """Forget it."""
        self._runs[run.server].discard(run)
        await trio.lowlevel.checkpoint()

    async def lose(self, server: int, now_ms: int) -> None:
        """Forget all that was there."""
        self._runs[server].clear()
        await super().lose(server, now_ms)


class FittingRule(OracleRule):
    """Knows as much, and looks at the load afterwards: a large class goes to a large server.

    The same as the oracle where all servers are equal.
    """

    name = "oracle, fitting"

    def choose(self, run: Run) -> int:
        """Take the one that will be the least loaded."""
        size = run.session.size
        server = min(self.alive, key=lambda n: (self._seats(n) + size) * self.multipliers[n])
        self._runs[server].add(run)
        return server


class YesterdayRule(OracleRule):
    """Knows what a forecast can know at best: yesterday's final sizes, and who has joined.

    What it loses against the oracle is lost for want of knowledge, not by the rule.
    """

    name = "yesterday"
    learns = True

    def __init__(self, multipliers: Sequence[float], seed: int) -> None:
        super().__init__(multipliers, seed)
        self._known: dict[str, int] = {}

    def _final_size(self, run: Run) -> int:
        known = self._known.get(run.session.id, PlacementRules().min_user_count)
        return max(known, run.users)

    async def end(self, run: Run, now_ms: int) -> None:
        """Remember its size."""
        self._known[run.session.id] = run.session.size
        await super().end(run, now_ms)


SIMPLE_RULES: tuple[type[_SimpleRule], ...] = (
    OracleRule,
    FittingRule,
    YesterdayRule,
    ScaleliteRule,
    RoundRobinRule,
    RandomRule,
)
