"""A pool for tests of what front-ends ask for: real Redis, simulated BBB servers, their faults.

Servers are enabled and polled once, each with a little more load than the one before, so that
creates go to bbb-1 first, then bbb-2. At the end nothing may hang in the background, no ERROR may
have been logged, and Redis must be laid out as docs/stores.md says.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import trio

from appliance.bbb.errors import ApiError
from appliance.bbb.request_body import RequestBody
from appliance.bbb.signed_request import Caller
from appliance.faults import StoreDown
from appliance.features import Features
from appliance.meetings.create import create_meeting
from appliance.model import Meeting, MeetingId, Server, ServerId, ServerState
from appliance.servers.model import PollMemory
from appliance.servers.polling import PollResult, poll_server
from appliance.servers.values import ServerChange
from tests.doubles.bbb_process import BbbProcess, until
from tests.doubles.features import EventBook, open_features, rewire
from tests.doubles.redis_layout import layout_faults

QUICK: dict[str, Any] = {
    "CONNECT_TIMEOUT": "1",
    "RESPONSE_TIMEOUT": "1.6",
    "POLLER_WAIT_TIMEOUT": "2",
    "SERVER_UNHEALTHY_THRESHOLD": "1",
}
"""Time limits for tests in which a server hangs."""

SETTLE_S = 40.0
LARGE_BODY_BYTES = 3 * 1024 * 1024


@dataclass(slots=True)
class Later:
    """Background work as the appliance has it, and how much is under way."""

    nursery: trio.Nursery
    under_way: int = 0
    failures: list[Exception] = field(default_factory=list)

    def start(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run `work(*args)` in the background."""
        self.under_way += 1
        self.nursery.start_soon(self._run, work, args)

    async def _run(self, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        try:
            await work(*args)
        except StoreDown:
            pass
        except Exception as error:
            self.failures.append(error)
        finally:
            self.under_way -= 1


@dataclass(frozen=True, slots=True)
class LivePool:
    """What a test has at hand."""

    res: Features
    servers: Sequence[BbbProcess]
    background: Later
    memories: dict[str, PollMemory] = field(default_factory=dict)
    """Of the polls of each server, as the poller keeps them."""

    @property
    def log(self) -> EventBook:
        """What was logged."""
        assert isinstance(self.res.log, EventBook)
        return self.res.log

    @property
    def client(self) -> Any:
        """The store's connection for API calls."""
        return self.res.redis.foreground.client

    @property
    def namespace(self) -> str:
        """The store's namespace."""
        return str(self.res.redis.foreground.namespace)

    def calls(self, call: str) -> list[int]:
        """Return how often each server received a call."""
        return [len(bbb.requests(call)) for bbb in self.servers]

    async def redis(self, command: str, key: str, *args: Any) -> Any:
        """Run a command on a key of the namespace."""
        return await self.client.command(command, f"{self.namespace}:{key}", *args)

    async def add(self, bbb: BbbProcess, *, load: float = 0.0, **change: Any) -> None:
        """Add a server, enabled and online by a poll of its own."""
        await self.register(bbb, **change)
        with trio.fail_after(SETTLE_S):  # a server that is offline is not waited for long
            while not (await self.poll(bbb.server_id)).online:
                pass
        await self.redis("ZADD", "server_load", load, bbb.server_id)

    async def register(self, bbb: BbbProcess, **change: Any) -> None:
        """Add a server, enabled but offline."""
        server_id = ServerId(bbb.server_id)
        values = ServerChange(**{"url": bbb.url, "secret": bbb.secret, **change})
        assert await self.res.servers.store.add_server(server_id, values)
        await self.res.servers.store.set_server_state(server_id, ServerState.ENABLED)

    async def poll(self, server_id: str, *, read_version: bool = False) -> PollResult:
        """Poll a server once.

        What was created in the very millisecond in which a poll begins is left to the next one.
        """
        await trio.sleep(0.002)
        return await poll_server(
            self.res.servers,
            await self.server(server_id),
            read_version=read_version,
            memory=self.memories.setdefault(server_id, PollMemory()),
        )

    async def server(self, server_id: str) -> Server:
        """Return what the store holds of a server."""
        found = await self.res.pool.records.find_server(ServerId(server_id))
        assert found is not None
        return found

    async def set_state(self, server_id: str, state: ServerState) -> None:
        """Set the state of a server."""
        await self.res.servers.store.set_server_state(ServerId(server_id), state)

    async def lose(self, server_id: str) -> None:
        """Take a server offline; its meetings are detached."""
        await self.res.servers.store.fail_server(
            ServerId(server_id), now_ms=self.res.now_ms(), unhealthy_threshold=1
        )

    async def meeting(self, meeting_id: str = "room") -> Meeting | None:
        """Return the record of a meeting."""
        return await self.res.pool.records.find_meeting(
            MeetingId(meeting_id), now_ms=self.res.now_ms()
        )

    async def home(self, meeting_id: str = "room") -> str | None:
        """Return the server that a meeting's record names."""
        meeting = await self.meeting(meeting_id)
        return meeting.server_id if meeting else None

    def holders(self, meeting_id: str = "room") -> list[str]:
        """Return the servers that have a meeting."""
        return [bbb.server_id for bbb in self.servers if meeting_id in bbb.meetings()]

    def bbb(self, server_id: str | None) -> BbbProcess:
        """Return a simulated server by its id."""
        return next(bbb for bbb in self.servers if bbb.server_id == server_id)

    async def create(
        self,
        meeting_id: str = "room",
        *,
        caller: Any = None,
        body: Any = None,
        **params: Any,
    ) -> dict[str, str]:
        """Create a meeting and return the elements of the answer. Raises ApiError.

        `caller` is a Caller, `body` a RequestBody; untyped, so that dicts of text can be passed.
        """
        pairs = (("meetingID", meeting_id), *params.items())
        return elements(await create_meeting(self.res.meetings, caller or Caller(), pairs, body))

    async def failure(self, **arguments: Any) -> str:
        """Create a meeting, which must fail; return the text of the failure."""
        try:
            answer = await self.create(**arguments)
        except ApiError as error:
            return error.message
        raise AssertionError(f"it was created: {answer}")

    async def settled(self) -> None:
        """Wait until nothing is under way in the background."""
        await until(lambda: not self.background.under_way, SETTLE_S, "background work")
        assert not self.background.failures, self.background.failures

    async def traces(self) -> dict[str, Any]:
        """Return what the store holds because of meetings: records, numbers, reserved load."""
        servers = await self.res.pool.records.list_servers()
        return {
            "records": [meeting.id for meeting in await self.res.pool.records.list_meetings()],
            "bridges": await self.redis("HGETALL", "voice_bridges"),
            "load": {server.id: server.load for server in servers if server.load},
        }


NO_TRACES: dict[str, Any] = {"records": [], "bridges": [], "load": {}}


def elements(answer: bytes) -> dict[str, str]:
    """Return the direct children of an answer's root with their texts."""
    root = ElementTree.fromstring(answer)
    return {child.tag: child.text or "" for child in root}


@asynccontextmanager
async def open_live(
    redis_url: str,
    namespace: str,
    servers: Sequence[BbbProcess],
    *,
    spread: bool = False,
    enable: bool = True,
    **variables: Any,
) -> AsyncIterator[LivePool]:
    """Give a pool of these servers, which are reset.

    `spread`: all with the same load. `enable`: False leaves the pool empty.
    """
    for bbb in servers:
        bbb.reset()
    async with open_features(redis_url, namespace, **variables) as res:
        async with trio.open_nursery() as nursery:
            later = Later(nursery)
            pool = LivePool(rewire(res, later=later.start), servers, later)
            for number, bbb in enumerate(servers if enable else ()):
                await pool.add(bbb, load=0.0 if spread else number / 10)
            for bbb in servers:
                bbb.clear_requests()
            yield pool
            await pool.settled()
            assert not pool.log.errors, pool.log.errors
            faults = await layout_faults(pool.client, namespace)
            assert not faults, faults
            nursery.cancel_scope.cancel()
        for bbb in servers:
            bbb.clear_faults()


@contextmanager
def black_hole() -> Iterator[str]:
    """Give an API URL where connecting hangs: the accept queue of the port is full."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"http://127.0.0.2:{address[1]}/bigbluebutton/api"
        for filler in fillers:
            filler.close()


class BrokenOffError(Exception):
    """What a body raises whose client is gone."""


def chunks_of(
    size: int, *, failure: Exception | None = None, pause_s: float = 0.0
) -> AsyncIterator[bytes]:
    """Yield `size` bytes in pieces of 64 KiB, then raise `failure`."""

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(size // 65_536):
            await trio.sleep(pause_s)
            yield bytes([number % 256]) * 65_536
        if failure is not None:
            raise failure

    return chunks()


def streamed(size: int = LARGE_BODY_BYTES, **options: Any) -> RequestBody:
    """Return a body that can be sent once; `options` as for `chunks_of`."""
    return RequestBody("application/xml", chunks_of(size, **options), None)
