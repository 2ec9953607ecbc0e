"""The processes of the poll benchmark: many simulated servers, a Redis with meetings, an appliance.

The meetings are written to Redis through the store, server by server, so that every record is as
the appliance itself would have written it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from appliance.meetings.placement import PlacementRequest
from appliance.model import MeetingId, PlacementOutcome, PlacementRules, ServerId, ServerState
from appliance.redis.client import RedisAddress
from appliance.servers.model import (
    Observation,
)
from appliance.servers.values import ServerChange
from benchmarks.many_servers import AGE_MS, ATTENDEES, HOST, meeting_id
from benchmarks.pool import SECRET
from tests.doubles.appliance_process import ApplianceProcess
from tests.doubles.pool_store import PoolStore, open_pool_store
from tests.doubles.store_servers import RedisServer, private_redis

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE = "scalelite"
FIRST = ServerId("server-0000")
"""The server that can fail."""
CONNECT_S = 10.0


class ManyServers:
    """The process of the simulated servers."""

    def __init__(self, servers: int, meetings_each: int, attendees: int = ATTENDEES) -> None:
        self.servers, self.meetings_each = servers, meetings_each
        numbers = map(str, (servers, meetings_each, attendees))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.many_servers", *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        ports = self._line()
        self._port, self._first_port = ports["port"], ports["first_port"]

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def url(self, server: int) -> str:
        """Return the API endpoint of a server."""
        port = self._first_port if server == 0 else self._port
        return f"http://{HOST}:{port}/s{server}/bigbluebutton/api"

    def command(self, word: str) -> Any:
        """Send a command (counts, die, hang or live) and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the simulated servers have ended"
        return json.loads(line)

    def close(self) -> None:
        """Stop the process."""
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True, slots=True)
class PollPool:
    """Running servers and a filled Redis, on which appliances can be started."""

    servers: ManyServers
    redis: RedisServer
    directory: Path

    @contextlib.contextmanager
    def appliance(self, interval_s: float, **more: str) -> Iterator[ApplianceProcess]:
        """Run an appliance on them; it has begun the first polls when it is ready.

        `more` are further environment variables.
        """
        environ = {
            "REDIS_URL": self.redis.url,
            "REDIS_NAMESPACE": NAMESPACE,
            "DB_DISABLED": "true",
            "LOADBALANCER_SECRET": SECRET,
            "SECRET_KEY_BASE": SECRET * 4,
            "POLL_INTERVAL": f"{interval_s:g}",
            "LOG_LEVEL": "info",
            **more,
        }
        with ApplianceProcess(self.directory, **environ) as appliance:
            yield appliance


@contextlib.contextmanager
def run_poll_pool(
    servers: int, meetings_each: int, directory: Path, attendees: int = ATTENDEES
) -> Iterator[PollPool]:
    """Run servers and a Redis that knows all their meetings while the block runs.

    `attendees` are listed of each meeting.
    """
    with (
        private_redis() as redis,
        contextlib.closing(ManyServers(servers, meetings_each, attendees)) as pool,
    ):
        trio.run(_fill, redis.url, pool)
        yield PollPool(pool, redis, directory)


async def _fill(url: str, pool: ManyServers) -> None:
    async with open_pool_store(
        RedisAddress(url), namespace=NAMESPACE, rules=PlacementRules(), log=None
    ) as store:
        with trio.fail_after(CONNECT_S):
            await store.client.wait_connected()
            await store.bulk.wait_connected()
        now_ms = round(time.time() * 1000) - AGE_MS
        ids = [ServerId(f"server-{number:04}") for number in range(pool.servers)]
        for number, server in enumerate(ids):
            change = ServerChange(url=pool.url(number), secret="secret-of-a-server")
            await store.add_server(server, change)
            await _fill_server(store, server, number, pool.meetings_each, now_ms)
        for server in ids:
            await store.set_server_state(server, ServerState.ENABLED)


async def _fill_server(
    store: PoolStore, server: ServerId, number: int, count: int, now_ms: int
) -> None:
    """Place the meetings of a server while it is the only enabled one."""
    await store.set_server_state(server, ServerState.ENABLED)
    empty = Observation(server, now_ms, now_ms, 0.0, 0, 0, 0, 0, ())
    await store.observe_server(empty, healthy_threshold=1)
    async with trio.open_nursery() as nursery:
        for place in range(count):
            bridge = 10_000_000 + number * 1000 + place
            nursery.start_soon(_place, store, meeting_id(number, place), bridge, now_ms)
    await store.set_server_state(server, ServerState.DISABLED)


async def _place(store: PoolStore, name: str, bridge: int, now_ms: int) -> None:
    request = PlacementRequest(
        meeting_id=MeetingId(name),
        tenant_id=None,
        moderator_pw="moderator",
        new_moderator_pw="moderator",
        voice_bridges=(str(bridge),),
        now_ms=now_ms,
        tie_breaker=0.0,
    )
    placement = await store.place_meeting(request)
    assert placement.outcome is PlacementOutcome.PLACED
    assert placement.meeting is not None
    assert await store.confirm_meeting(placement.meeting, now_ms=now_ms)
