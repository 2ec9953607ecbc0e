"""The model check of placing, confirming, ending, detaching and taking back meetings.

Two appliances, two servers, and answers that are late, lost or in another order: no order of events
leaves an acknowledged meeting ended by an appliance, unknown, or on two servers, once all servers
are reachable and two polls have passed. `MODEL_CHECK_EXAMPLES=2000` runs more of them, with new
ones each time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import hypothesis
import trio
import trio.testing
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from appliance.redis.client import RedisAddress, open_redis_client
from appliance.redis.scripts import load_scripts
from tests.doubles.features import EventBook
from tests.doubles.model_world import PASSWORDS, World
from tests.doubles.settings import settings_of

EXAMPLES = int(os.environ.get("MODEL_CHECK_EXAMPLES", "0"))
STEPS = 40
PHASES = [phase for phase in hypothesis.Phase if not EXAMPLES or phase.name != "shrink"]

APPLIANCES = st.integers(0, 1)
MEETINGS = st.sampled_from(sorted(PASSWORDS))
SERVERS = st.sampled_from(["a", "b"])


class TrioThread:
    """A thread with Trio, whose clock stands still, and a Redis client."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(40)

    def _run(self) -> None:
        self.clock = trio.testing.MockClock()
        trio.run(self._main, clock=self.clock)

    async def _main(self) -> None:
        self.settings = settings_of(SERVER_UNHEALTHY_THRESHOLD="1", LOAD_JOIN_BUFFER_TIME="0")
        scripts = tuple(load_scripts().values())
        opened = open_redis_client(RedisAddress(self._redis_url), scripts=scripts, log=EventBook())
        async with (
            opened as self.client,
            aclosing(PoolTransport(open_ssl_context(None))) as self.http,
            trio.open_nursery() as self.nursery,
        ):
            await self.client.wait_connected()
            self._stop = trio.Event()
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            await self._stop.wait()
            self.nursery.cancel_scope.cancel()

    def run(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Run a function there, and wait for it."""
        return trio.from_thread.run(function, *args, trio_token=self._token)

    async def new_world(self, *servers: str) -> World:
        """Return a new pool of these servers."""
        world = World(self.nursery, self.client, self.settings, self.http, self.clock, servers)
        await world.add_servers()
        return world

    def stop(self) -> None:
        """End the thread."""
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(40)


@contextmanager
def trio_thread(redis_url: str) -> Iterator[TrioThread]:
    thread = TrioThread(redis_url)
    try:
        yield thread
    finally:
        thread.stop()


class Pool(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self, thread: TrioThread) -> None:
        super().__init__()
        self._thread = thread

    @initialize(servers=st.sampled_from([("a",), ("a", "b")]))
    def open_pool(self, servers: tuple[str, ...]) -> None:
        self.world: World = self._thread.run(self._thread.new_world, *servers)

    @rule(appliance=APPLIANCES, meeting=MEETINGS)
    def create(self, appliance: int, meeting: str) -> None:
        self._thread.run(self.world.create, appliance, meeting)

    @rule(appliance=APPLIANCES, meeting=MEETINGS)
    def end(self, appliance: int, meeting: str) -> None:
        self._thread.run(self.world.end, appliance, meeting)

    @rule(appliance=APPLIANCES, meeting=MEETINGS)
    def join(self, appliance: int, meeting: str) -> None:
        self._thread.run(self.world.join, appliance, meeting)

    @rule(appliance=APPLIANCES, server=SERVERS)
    def poll(self, appliance: int, server: str) -> None:
        if server in self.world.network.servers:
            self._thread.run(self.world.poll, appliance, server)

    @precondition(lambda self: self.world.network.waiting)
    @rule(data=st.data(), how=st.sampled_from(["deliver", "deliver", "execute", "refuse", "lose"]))
    def move_request(self, data: st.DataObject, how: str) -> None:
        self._move(data, self.world.network.waiting, how)

    @precondition(lambda self: self.world.network.waiting)
    @rule()
    def deliver_all(self) -> None:
        self._thread.run(self.world.work_off)

    @precondition(lambda self: self.world.network.waiting)
    @rule(how=st.sampled_from(["deliver", "execute", "lose"]))
    def move_newest_request(self, how: str) -> None:
        self._thread.run(self.world.move, self.world.network.waiting[-1], how)

    @precondition(lambda self: self.world.deferred)
    @rule(data=st.data())
    def start_background_work(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.world.deferred) - 1))
        self._thread.run(self.world.start_deferred, index)

    @precondition(lambda self: self.world.network.late)
    @rule(data=st.data())
    def execute_late(self, data: st.DataObject) -> None:
        self._move(data, self.world.network.late, "execute")

    def _move(self, data: st.DataObject, messages: list[Any], how: str) -> None:
        index = data.draw(st.integers(0, len(messages) - 1))
        message = messages[index]
        hypothesis.note(f"{how} {message.call} to {message.server}: {message.params}")
        self._thread.run(self.world.move, message, how)

    @rule(ms=st.sampled_from([1, 1_000, 14_000, 61_000]))
    def advance(self, ms: int) -> None:
        self._thread.run(self.world.advance, ms)

    @rule(server=SERVERS)
    def lose_or_find_server(self, server: str) -> None:
        self.world.network.away ^= {server}

    @rule(data=st.data(), rare=st.integers(0, 3))
    def disturb(self, data: st.DataObject, rare: int) -> None:
        if rare == 0:
            self._thread.run(self.world.crash, data.draw(APPLIANCES))
        elif rare == 1:
            servers = st.sampled_from(sorted(self.world.network.servers))
            self.world.end_itself(data.draw(servers), data.draw(MEETINGS))

    def teardown(self) -> None:
        self._thread.run(self.world.heal)
        broken = self._thread.run(self.world.broken_promises)
        for line in self.world.history:
            hypothesis.note(str(line))
        assert broken == []


def test_no_order_of_events_breaks_an_acknowledged_meeting(redis_url: str) -> None:
    settings = hypothesis.settings(
        max_examples=EXAMPLES or 40,
        stateful_step_count=STEPS,
        derandomize=not EXAMPLES,
        database=None,
        phases=PHASES,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with trio_thread(redis_url) as thread:
        run: Any = run_state_machine_as_test  # its types differ between Hypothesis's versions
        run(lambda: Pool(thread), settings=settings)
