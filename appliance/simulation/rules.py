"""The placement rules to compare.

ProductRule uses the appliance's own code: its stores with their Lua scripts on a real Redis, so
that the measured rule is the running one. The others are small models.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.log import get_logger
from appliance.meetings.placement import PlacementRequest
from appliance.meetings.store import MeetingStore
from appliance.model import (
    Meeting,
    MeetingId,
    PlacementOutcome,
    PlacementRules,
    ServerId,
    ServerState,
)
from appliance.pool.records import PoolRecords
from appliance.redis.client import RedisAddress, Script
from appliance.redis.scripts import load_scripts
from appliance.redis.store import RedisStores, open_redis_stores
from appliance.servers.load import make_observation
from appliance.servers.store import ServerStore
from appliance.servers.values import ServerChange
from appliance.simulation.replay import Run, cost_of
from appliance.simulation.traces import Trace

CONNECT_S = 10.0


class ProductRule:
    """The appliance's rule: its store, called as meetings/ and servers/ call it."""

    def __init__(
        self,
        redis: RedisStores,
        rules: PlacementRules,
        name: str,
        multipliers: Sequence[float],
        seed: int,
    ) -> None:
        self.name = name
        self.learns = rules.forecast
        self._records = PoolRecords(redis)
        self._servers, self._meeting_store = ServerStore(redis, rules), MeetingStore(redis, rules)
        self._multipliers = multipliers
        self._rng = random.Random(f"{name} {seed}")
        self._meetings: dict[Run, Meeting] = {}
        self._bridges = 10_000_000
        self._joins: list[tuple[MeetingId, int]] = []

    async def add_servers(self) -> None:
        """Add the servers to the pool, enabled, and make them online by a first poll."""
        for number, multiplier in enumerate(self._multipliers):
            server = _server_id(number)
            change = ServerChange(
                url=f"http://{server}/api", secret="secret", load_multiplier=multiplier
            )
            await self._servers.add_server(server, change)
            await self._servers.set_server_state(server, ServerState.ENABLED)
            await self.poll(number, (), 0)

    async def place(self, run: Run, now_ms: int) -> int:
        """Place and confirm the meeting."""
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
        placement = await self._meeting_store.place_meeting(request)
        assert placement.outcome is PlacementOutcome.PLACED, placement.outcome
        meeting = placement.meeting
        assert meeting is not None
        assert await self._meeting_store.confirm_meeting(meeting, now_ms=now_ms)
        self._meetings[run] = meeting
        return int(meeting.server_id[1:])

    async def join(self, run: Run, now_ms: int) -> None:
        """Queue the join; queued joins are sent together, before any other event."""
        self._joins.append((MeetingId(run.session.id), now_ms))
        await trio.lowlevel.checkpoint()

    async def _flush(self) -> None:
        joins, self._joins = self._joins, []
        async with trio.open_nursery() as nursery:
            for meeting_id, now_ms in joins:
                nursery.start_soon(self._join, meeting_id, now_ms)

    async def _join(self, meeting_id: MeetingId, now_ms: int) -> None:
        joined, _ = await self._meeting_store.join_meeting(meeting_id, None, now_ms=now_ms)
        assert joined is not None

    async def end(self, run: Run, now_ms: int) -> None:
        """Forget the meeting, as the call of its meetingEndedURL does."""
        await self._flush()
        await self._records.forget_meeting(self._meetings.pop(run), now_ms=now_ms)

    async def poll(self, server: int, listed: Sequence[ListedMeeting], now_ms: int) -> None:
        """Record the poll as servers/polling.py does."""
        await self._flush()
        server_id = _server_id(server)
        start = await self._servers.begin_poll(server_id)
        assert start is not None
        seen = make_observation(
            server_id, listed, began_ms=now_ms, now_ms=now_ms, joins_before=start.joins
        )
        await self._servers.observe_server(seen, healthy_threshold=1)

    async def lose(self, server: int, now_ms: int) -> None:
        """Take the server offline, which detaches its meetings."""
        await self._flush()
        await self._servers.fail_server(_server_id(server), now_ms=now_ms, unhealthy_threshold=1)


@asynccontextmanager
async def open_product_rule(
    url: str,
    name: str,
    multipliers: Sequence[float],
    seed: int,
    *,
    rules: PlacementRules,
    place_meeting: str = "",
    namespace: str = "bench",
    flush: bool = True,
) -> AsyncIterator[ProductRule]:
    """Open the product's rule on a Redis, which is emptied before, unless `flush` is False.

    `place_meeting` is another Lua text to try.
    """
    scripts = load_scripts()
    if place_meeting:
        scripts["place_meeting"] = Script("place_meeting", place_meeting)
    address = RedisAddress(url)
    async with open_redis_stores(
        address, namespace=namespace, scripts=scripts, log=get_logger("simulation")
    ) as redis:
        with trio.fail_after(CONNECT_S):
            await redis.foreground.client.wait_connected()
            await redis.background.client.wait_connected()
        if flush:
            await redis.foreground.command("FLUSHALL")
        rule = ProductRule(redis, rules, name, multipliers, seed)
        await rule.add_servers()
        yield rule


def _server_id(number: int) -> ServerId:
    return ServerId(f"s{number:03}")


class _SimpleRule:
    """The common part of the rules in memory."""

    name = ""
    learns = False

    def __init__(self, trace: Trace, seed: int) -> None:
        self.multipliers, self.weights = trace.multipliers, trace.weights
        self.alive = list(range(len(trace.multipliers)))
        self.rng = random.Random(f"{self.name} {seed}")

    def choose(self, run: Run) -> int:
        raise AssertionError("overridden by every rule")

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
    """Scalelite 1.x: the load rises by 1 with each create and join, and is computed at each poll.

    Among equal loads the first id is chosen, the order of a Redis sorted set. Source: Scalelite's
    README (LOAD_MIN_USER_COUNT, LOAD_JOIN_BUFFER_TIME) and `rake poll:servers`.
    """

    name = "Scalelite"

    def __init__(self, trace: Trace, seed: int) -> None:
        super().__init__(trace, seed)
        self._load = [0.0] * len(self.multipliers)
        self._rules = PlacementRules()

    def choose(self, run: Run) -> int:
        """Choose the least loaded server and add 1 to its load."""
        server = min(self.alive, key=lambda number: self._load[number])
        self._load[server] += 1
        return server

    async def join(self, run: Run, now_ms: int) -> None:
        """Add 1 to the load of the server."""
        self._load[run.server] += 1
        await trio.lowlevel.checkpoint()

    async def poll(self, server: int, listed: Sequence[ListedMeeting], now_ms: int) -> None:
        """Replace the load by that of the listed meetings."""
        users = 0
        for meeting in listed:
            attendees = meeting.participants + meeting.moderators
            if now_ms - meeting.create_time_ms < self._rules.join_buffer_ms:
                attendees = max(attendees, self._rules.min_user_count)
            users += attendees
        self._load[server] = users * self.multipliers[server]
        await trio.lowlevel.checkpoint()


class RandomRule(_SimpleRule):
    """A random server, weighted by size."""

    name = "random"

    def choose(self, run: Run) -> int:
        """Choose a random server."""
        weights = [1 / self.multipliers[number] for number in self.alive]
        return self.rng.choices(self.alive, weights)[0]


class RoundRobinRule(_SimpleRule):
    """Servers in turn, weighted by size."""

    name = "round-robin"

    def __init__(self, trace: Trace, seed: int) -> None:
        super().__init__(trace, seed)
        self._turns = [0.0] * len(self.multipliers)

    def choose(self, run: Run) -> int:
        """Choose the server with the fewest turns for its size."""
        server = min(self.alive, key=lambda n: self._turns[n] + self.multipliers[n])
        self._turns[server] += self.multipliers[server]
        return server


class OracleRule(_SimpleRule):
    """The least loaded server by the final sizes of meetings, which it knows in advance."""

    name = "oracle"

    def __init__(self, trace: Trace, seed: int) -> None:
        super().__init__(trace, seed)
        self._runs: list[set[Run]] = [set() for _ in self.multipliers]

    def choose(self, run: Run) -> int:
        """Choose the server with the least load before this meeting."""
        server = min(self.alive, key=lambda n: self._cost(n) * self.multipliers[n])
        self._runs[server].add(run)
        return server

    def _cost(self, server: int) -> float:
        return sum(
            run.cost(self.weights) if run.leaving else self._final_cost(run)
            for run in self._runs[server]
        )

    def _final_cost(self, run: Run) -> float:
        return cost_of(self.weights, run.session.size, run.session.cameras)

    async def end(self, run: Run, now_ms: int) -> None:
        """Remove the meeting."""
        self._runs[run.server].discard(run)
        await trio.lowlevel.checkpoint()

    async def lose(self, server: int, now_ms: int) -> None:
        """Remove the meetings of the server."""
        self._runs[server].clear()
        await super().lose(server, now_ms)


class FittingRule(OracleRule):
    """The server with the least load including the new meeting: large classes go to large servers.

    Equal to the oracle if all servers are equal.
    """

    name = "oracle, fitting"

    def choose(self, run: Run) -> int:
        """Choose the server with the least load including this meeting."""
        cost = self._final_cost(run)
        server = min(self.alive, key=lambda n: (self._cost(n) + cost) * self.multipliers[n])
        self._runs[server].add(run)
        return server


class YesterdayRule(OracleRule):
    """The best possible forecast: the final sizes of the day before, and the users so far.

    Its distance to the oracle is due to missing knowledge, not to the rule.
    """

    name = "yesterday"
    learns = True

    def __init__(self, trace: Trace, seed: int) -> None:
        super().__init__(trace, seed)
        self._known: dict[str, tuple[int, int]] = {}

    def _final_cost(self, run: Run) -> float:
        users, cameras = self._known.get(run.session.id, (PlacementRules().min_user_count, 0))
        return cost_of(self.weights, max(users, run.users), max(cameras, run.cameras))

    async def end(self, run: Run, now_ms: int) -> None:
        """Remember the final size of the meeting."""
        self._known[run.session.id] = run.session.size, run.session.cameras
        await super().end(run, now_ms)


class InformedRule(FittingRule):
    """All that can be known: the final sizes of classes that took place before, exactly.

    A new class counts as the mean of all, or as the users that it has. Its distance to the oracle
    is due to new classes.
    """

    name = "oracle, new unknown"
    learns = True

    def __init__(self, trace: Trace, seed: int) -> None:
        super().__init__(trace, seed)
        self._before: set[str] = set()
        self._total = 0.0

    def _final_cost(self, run: Run) -> float:
        if run.session.id in self._before:
            return super()._final_cost(run)
        mean = self._total / len(self._before) if self._before else 0.0
        return max(mean, run.cost(self.weights))

    async def end(self, run: Run, now_ms: int) -> None:
        """Remember that the meeting took place."""
        if run.session.id not in self._before:
            self._before.add(run.session.id)
            self._total += super()._final_cost(run)
        await super().end(run, now_ms)


SIMPLE_RULES: tuple[type[_SimpleRule], ...] = (
    OracleRule,
    FittingRule,
    InformedRule,
    YesterdayRule,
    ScaleliteRule,
    RoundRobinRule,
    RandomRule,
)
