"""Two appliances on one real Redis, and a network that a test moves, in a thread with Trio.

Everything that the appliances do is the product's code; the clock stands still until it is moved.
Remembers which meetings were acknowledged to front-ends, and which an appliance ended.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio
import trio.testing

from appliance.bbb.errors import ApiError
from appliance.bbb.signed_request import Caller
from appliance.faults import StoreDown
from appliance.features import Features
from appliance.http.client.pool import PoolTransport
from appliance.meetings.calls import join_meeting
from appliance.meetings.create import create_meeting
from appliance.meetings.end import end_meeting
from appliance.model import ServerId, ServerState
from appliance.redis.errors import RedisDown
from appliance.redis.store import RedisStore, RedisStores
from appliance.servers.model import PollMemory
from appliance.servers.polling import poll_server
from appliance.servers.values import ServerChange
from appliance.settings import Settings
from tests.doubles.bbb_state import Meeting
from tests.doubles.features import EventBook, all_scripts, make_test_features, rewire
from tests.doubles.live_pool import elements
from tests.doubles.model_network import Message, Network, front_end_call

CALL_LIMIT_MS = 14_000
"""Longer than any call waits for its server."""
PASSWORDS = {"plain": {}, "given": {"moderatorPW": "mp", "attendeePW": "ap"}}
"""The meetings, and the passwords of their creates."""


@dataclass(slots=True, eq=False)
class FrontEndCall:
    """One create or end of a front-end."""

    call: str
    meeting_id: str
    began: int
    done: int | None = None
    """When it was answered; None: it was not. Both number the events of front-ends."""
    succeeded: bool = False


@dataclass(slots=True)
class Acknowledged:
    """The latest create of a meeting that was answered with SUCCESS."""

    internal_id: str
    began: int
    """When the front-end made the call."""


class CountedClient:
    """A Redis client that counts what is under way, and fails once its appliance is dead."""

    def __init__(self, client: Any, world: World) -> None:
        self._client = client
        self._world = world
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def command(self, *args: Any) -> Any:
        """Run a command."""
        return await self._count(self._client.command, *args)

    async def pipeline(self, *args: Any) -> Any:
        """Run commands."""
        return await self._count(self._client.pipeline, *args)

    async def run_script(self, *args: Any) -> Any:
        """Run a script."""
        return await self._count(self._client.run_script, *args)

    async def _count(self, run: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        if self.dead:
            raise RedisDown("the appliance is dead")
        self._world.store_calls += 1
        try:
            return await run(*args)
        finally:
            self._world.store_calls -= 1


@dataclass(slots=True)
class Appliance:
    """One appliance and the scopes of its tasks."""

    features: Features
    client: CountedClient
    tasks: set[trio.CancelScope]
    memories: dict[str, PollMemory] = field(default_factory=dict)
    """Of the polls of each server, while none is under way."""


class World:
    """The pool of one example."""

    def __init__(
        self,
        nursery: trio.Nursery,
        client: Any,
        settings: Settings,
        http: PoolTransport,
        clock: trio.testing.MockClock,
        servers: tuple[str, ...],
    ) -> None:
        self.now_ms = time.time_ns() // 1_000_000
        self.store_calls = 0
        self.tasks = 0
        self.network = Network(servers, lambda: self.now_ms)
        self.network.on_end = self._note_end
        self.acknowledged: dict[str, Acknowledged] = {}
        self.ends: list[FrontEndCall] = []
        self.ended_themselves: set[str] = set()
        self.deferred: list[Callable[[], object]] = []
        """Background work that has not been started yet."""
        self.violations: list[str] = []
        self.history: list[object] = []
        """What has happened, for the report of a failure."""
        self._log = EventBook()
        self._log.events = self.history  # type: ignore[assignment]
        self.network.history = self.history
        self._numbers = itertools.count(1)
        self._nursery = nursery
        self._client = client
        self._namespace = f"t{secrets.token_hex(6)}"
        self._settings = settings
        self._http = http
        self._clock = clock
        self._scripts = all_scripts()
        self.appliances = [self._start_appliance() for _ in range(2)]

    def _start_appliance(self) -> Appliance:
        client: Any = CountedClient(self._client, self)
        store = RedisStore(client, self._namespace, self._scripts)
        network: Any = self.network
        tasks: set[trio.CancelScope] = set()

        def later(function: Callable[..., Awaitable[Any]], *args: Any) -> None:
            def spawn() -> None:
                if not client.dead:
                    self._spawn(tasks, function, *args)

            self.deferred.append(spawn)

        features = make_test_features(
            self._settings, RedisStores(store, store), network, self._http, self._log, later
        )
        features = rewire(features, now_ms=lambda: self.now_ms, random=lambda: 0.0)
        return Appliance(features, client, tasks)

    def _spawn(
        self, tasks: set[trio.CancelScope], function: Callable[..., Awaitable[Any]], *args: Any
    ) -> None:
        self.tasks += 1
        self._nursery.start_soon(self._run, tasks, function, args)

    async def _run(
        self, tasks: set[trio.CancelScope], function: Callable[..., Awaitable[Any]], args: Any
    ) -> None:
        try:
            with trio.CancelScope() as scope:
                tasks.add(scope)
                try:
                    await function(*args)
                except (ApiError, StoreDown):
                    pass
                finally:
                    tasks.discard(scope)
        finally:
            self.tasks -= 1

    async def quiet(self) -> None:
        """Wait until everything waits for the network or the clock."""
        while True:
            await trio.testing.wait_all_tasks_blocked()
            if not self.store_calls:
                return

    async def add_servers(self) -> None:
        """Add the servers, enabled and online."""
        servers = self.appliances[0].features.servers.store
        for name in self.network.servers:
            change = ServerChange(url=f"http://{name}/api", secret=name)
            await servers.add_server(ServerId(name), change)
            await servers.set_server_state(ServerId(name), ServerState.ENABLED)
            await self.poll(0, name)
        await self.work_off()

    # What front-ends and appliances do

    async def create(self, appliance: int, meeting_id: str) -> None:
        """Begin a create."""
        call = FrontEndCall("create", meeting_id, next(self._numbers))
        await self._begin(appliance, self._create, call)

    async def _create(self, features: Features, call: FrontEndCall) -> None:
        params = (("meetingID", call.meeting_id), *PASSWORDS[call.meeting_id].items())
        answer = elements(await create_meeting(features.meetings, Caller(), params))
        if answer["returncode"] == "SUCCESS":
            internal_id = answer["internalMeetingID"]
            self.history.append(f"acknowledged {call.meeting_id} {internal_id}")
            self.acknowledged[call.meeting_id] = Acknowledged(internal_id, call.began)

    async def end(self, appliance: int, meeting_id: str) -> None:
        """Begin an `end` of a front-end."""
        call = FrontEndCall("end", meeting_id, next(self._numbers))
        self.ends.append(call)
        await self._begin(appliance, self._end, call)

    async def _end(self, features: Features, call: FrontEndCall) -> None:
        try:
            await end_meeting(features.meetings, Caller(), (("meetingID", call.meeting_id),))
            call.succeeded = True
        finally:
            call.done = next(self._numbers)

    async def _begin(self, appliance: int, work: Any, call: FrontEndCall) -> None:
        front_end_call.set(call)
        chosen = self.appliances[appliance]
        self._spawn(chosen.tasks, work, chosen.features, call)
        front_end_call.set(None)
        await self.quiet()

    async def join(self, appliance: int, meeting_id: str) -> None:
        """Join; the user arrives at once if the server has the meeting."""
        params = (("meetingID", meeting_id), ("fullName", "Ada"), ("role", "VIEWER"))
        try:
            server = await join_meeting(
                self.appliances[appliance].features.meetings, Caller(), params
            )
        except ApiError:
            return
        meeting = self.network.servers[server].meetings.get(meeting_id)
        if meeting is not None:
            self.network.servers[server].join(meeting, dict(params))

    async def poll(self, appliance: int, server: str) -> None:
        """Begin a poll of a server."""
        chosen = self.appliances[appliance]

        async def run() -> None:
            found = await chosen.features.pool.records.find_server(ServerId(server))
            assert found is not None
            memory = chosen.memories.pop(server, None) or PollMemory()
            await poll_server(chosen.features.servers, found, read_version=False, memory=memory)
            chosen.memories[server] = memory

        self._spawn(chosen.tasks, run)
        await self.quiet()

    async def crash(self, appliance: int) -> None:
        """Kill an appliance, and start it again."""
        dying = self.appliances[appliance]
        dying.client.dead = True
        for scope in tuple(dying.tasks):
            scope.cancel()
        self.appliances[appliance] = self._start_appliance()
        await self.quiet()

    def end_itself(self, server: str, meeting_id: str) -> None:
        """Have the last user leave: the server ends the meeting."""
        meeting = self.network.servers[server].meetings.get(meeting_id)
        if meeting is not None:
            self.network.servers[server].end(meeting)
            self.ended_themselves.add(meeting.internal_id)

    async def advance(self, ms: int) -> None:
        """Move the clock; calls that would have timed out by then do so first."""
        if ms >= CALL_LIMIT_MS:
            for message in tuple(self.network.waiting):
                self.network.lose(message)
            await self.quiet()
        self.now_ms += ms
        self._clock.jump(ms / 1000)
        self.network.drop_too_late()
        await self.quiet()

    # What becomes of messages

    async def move(self, message: Message, how: str) -> None:
        """Let a message go on: the names of Network's methods."""
        getattr(self.network, how)(message)
        await self.quiet()

    async def start_deferred(self, index: int) -> None:
        """Start background work."""
        self.deferred.pop(index)()
        await self.quiet()

    async def work_off(self) -> None:
        """Deliver everything until nothing is under way."""
        for _ in range(400):
            if self.deferred:
                await self.start_deferred(0)
            elif self.network.waiting:
                await self.move(self.network.waiting[0], "deliver")
            elif self.tasks:
                await self.advance(1_000)
            else:
                return
        raise AssertionError(f"{self.tasks} tasks do not end")

    # The promise

    def _note_end(self, server: str, meeting: Meeting, cause: FrontEndCall | None) -> None:
        self.history.append(f"ended {meeting.internal_id} on {server}, cause {cause}")
        known = self.acknowledged.get(meeting.id)
        if known is None or known.internal_id != meeting.internal_id:
            return
        # The outcome of an `end` that failed is unknown to its front-end.
        failed = cause is not None and cause.call == "end" and not cause.succeeded
        if not failed and not self._was_asked_to_end(meeting.id, known):
            self.violations.append(f"{meeting.internal_id} was ended on {server}")
        del self.acknowledged[meeting.id]

    def _was_asked_to_end(self, meeting_id: str, known: Acknowledged) -> bool:
        """Whether a front-end's `end` was not answered yet when the create was made."""
        return any(
            one.meeting_id == meeting_id and (one.done is None or one.done > known.began)
            for one in self.ends
        )

    async def heal(self) -> None:
        """Have all servers reachable and all requests carried out, and poll.

        A meeting on two servers, which a late repeat of a create makes, must be seen so by two
        polls; the first poll of a server does not see it before the other one was polled.
        """
        self.network.away.clear()
        for message in tuple(self.network.late):
            self.network.execute(message)
        await self.work_off()
        await self.advance(61_000)
        await self.work_off()
        for _ in range(3):
            for name in self.network.servers:
                await self.poll(0, name)
                await self.work_off()
            await self.advance(1_000)

    async def broken_promises(self) -> list[str]:
        """Return what is wrong now that `heal` has run."""
        broken = list(self.violations)
        records = self.appliances[0].features.pool.records
        recorded = {one.id: one.server_id for one in await records.list_meetings()}
        for meeting_id in PASSWORDS:
            holders = self.network.holders(meeting_id)
            home = recorded.get(meeting_id)  # type: ignore[call-overload]
            # A repeat of a create that was lost may arrive after the meeting was ended: BBB ends
            # such a run itself, since nobody joins it.
            if home is not None and holders != [home]:
                broken.append(f"{meeting_id} is recorded on {home}, and on {holders}")
            known = self.acknowledged.get(meeting_id)
            if known is None or known.internal_id in self.ended_themselves:
                continue
            if self._was_asked_to_end(meeting_id, known):
                continue
            running = [self.network.servers[name].meetings[meeting_id] for name in holders]
            if [one.internal_id for one in running] != [known.internal_id]:
                broken.append(f"{known.internal_id} was acknowledged, and {running} runs")
        return broken
