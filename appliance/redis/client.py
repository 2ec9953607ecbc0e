"""A Redis client on trio: every caller's commands travel together over one connection.

Keeps one connection (redis_link) alive and connects again when it is lost. No command whose bytes
may have been sent is ever sent again. Holds no rule and no key name.
WATCH, SUBSCRIBE, SELECT and blocking commands must not be sent: the connection is shared by all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from appliance.log import Log
from appliance.redis.connection import (
    Argument,
    Command,
    RedisAddress,
    Script,
    connect,
    pack,
    parse_address,
)
from appliance.redis.errors import NoScriptError, RedisDown, RedisError
from appliance.redis.link import MAX_OUTSTANDING, Link
from appliance.system.instruments import Histogram

__all__ = [
    "RedisAddress",
    "RedisClient",
    "RedisDown",
    "RedisError",
    "Script",
    "open_redis_client",
]

DEADLINE_S = 0.9
"""An API call must answer within a second when Redis is gone (docs/stores.md)."""
_GRACE_S = 0.3
"""How long a command waits for a connection that was lost a moment ago."""
_SHORT_OUTAGE_S = 2.0
"""After this long without Redis, commands fail at once."""
_BACKOFF_S = (0.05, 1.0)
_STEADY_S = 1.0
"""A connection that lived for less does not reset the back-off."""
_REFUSAL_LOG_S = 60.0


class RedisClient:
    """Commands to one Redis, from any number of tasks. Made by open_redis_client."""

    def __init__(
        self,
        address: RedisAddress,
        scripts: Sequence[Script],
        deadline_s: float,
        log: Log | None,
        latency: Histogram | None = None,
        name: str = "",
    ) -> None:
        self.round_trips = 0
        """Batches of commands sent so far."""
        self._address = address
        self._endpoint = parse_address(address)
        self._scripts = tuple(scripts)
        self._deadline_s = deadline_s
        self._log = log
        self._latency = latency
        self._fields = {"connection": name} if name else {}
        self._link: Link | None = None
        self._up = trio.Event()
        self._down_since = trio.current_time()
        self._down_reason: str | None = None
        self._hoping = 0
        self._next_refusal_log: dict[str, float] = {}

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link is not None

    @property
    def down_reason(self) -> str | None:
        """Return why there is no connection; None: there is one, or it was not tried yet."""
        return self._down_reason

    async def wait_connected(self) -> None:
        """Wait, for ever if need be, until there is a connection."""
        while self._link is None:
            await self._up.wait()
        await trio.lowlevel.checkpoint()

    async def command(self, *args: Argument) -> Any:
        """Run one command: str, int, None or a list. Raises: RedisDown, RedisError.

        Text that is not UTF-8 comes with surrogate escapes, and goes back as the same bytes.
        """
        return (await self._exchange(pack(args), 1, trio.current_time()))[0]

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip, nobody else's between them if they are in MULTI and EXEC.

        Raises: RedisDown, RedisError: the first of the replies that is an error, also within an
        array; the other commands may have run.
        """
        if not commands:
            return []
        data = b"".join(map(pack, commands))
        return await self._exchange(data, len(commands), trio.current_time())

    async def run_script(
        self, script: Script, keys: Sequence[str], args: Sequence[Argument] = ()
    ) -> Any:
        """Run a Lua script, loading it first if Redis has forgotten it.

        Raises: RedisDown, RedisError.
        """
        started = trio.current_time()
        call = pack(("EVALSHA", script.sha1, len(keys), *keys, *args))
        try:
            return (await self._exchange(call, 1, started))[0]
        except NoScriptError:
            load = pack(("SCRIPT", "LOAD", script.source))
        return (await self._exchange(load + call, 2, started))[1]

    async def _exchange(self, data: bytes, count: int, started: float) -> list[Any]:
        link = self._link or await self._hope_for_link(started)
        self.round_trips += 1
        replies = await link.exchange(data, count, started)
        if self._latency is not None:
            self._latency.observe(trio.current_time() - started, "redis")
        return replies

    async def _hope_for_link(self, now: float) -> Link:
        """Wait a moment for the connection to come back. Raises: RedisDown."""
        if self._hoping < MAX_OUTSTANDING:
            self._hoping += 1
            try:
                with trio.move_on_at(min(now + _GRACE_S, self._down_since + _SHORT_OUTAGE_S)):
                    await self.wait_connected()
            finally:
                self._hoping -= 1
        else:
            await trio.lowlevel.checkpoint()
        if self._link is None:
            raise RedisDown(f"not connected: {self._down_reason or 'connecting'}")
        return self._link

    async def _stay_connected(self) -> None:
        """Connect, serve, and connect again, for ever."""
        shortest, longest = _BACKOFF_S
        delay_s = shortest
        while True:
            try:
                wire = await connect(self._address, self._endpoint, self._scripts)
            except RedisDown as error:
                self._note_down(error.reason)
            else:
                up_at = self._note_up()
                self._link = Link(wire, self._deadline_s, self._note_refusal, self._note_lost)
                self._up.set()
                self._note_down(await self._link.run())
                if self._down_since - up_at >= _STEADY_S:
                    delay_s = shortest
                    continue
            await trio.sleep(delay_s)
            delay_s = min(2 * delay_s, longest)

    def _note_up(self) -> float:
        now = trio.current_time()
        if self._log is not None:
            if self._down_reason is None:
                self._log.info("redis_connected", **self._fields)
            else:
                down_s = round(now - self._down_since, 1)
                self._log.info("redis_recovered", down_s=down_s, **self._fields)
        self._down_reason = None
        return now

    def _note_lost(self) -> None:
        self._link = None
        self._up = trio.Event()
        self._down_since = trio.current_time()

    def _note_down(self, reason: str) -> None:
        """Log the loss once, not every attempt to get over it."""
        if self._log is not None and self._down_reason is None:
            self._log.warning("redis_lost", reason=reason, **self._fields)
        self._down_reason = reason

    def _note_refusal(self, error: RedisDown) -> None:
        now = trio.current_time()
        if self._log is not None and now >= self._next_refusal_log.get(error.reason, 0.0):
            self._next_refusal_log[error.reason] = now + _REFUSAL_LOG_S
            self._log.warning("redis_refuses", reason=error.reason, **self._fields)


@asynccontextmanager
async def open_redis_client(
    address: RedisAddress,
    *,
    scripts: Sequence[Script] = (),
    deadline_s: float = DEADLINE_S,
    log: Log | None = None,
    latency: Histogram | None = None,
    name: str = "",
) -> AsyncIterator[RedisClient]:
    """Open a client that connects, and reconnects, in the background.

    Does not wait for Redis: see `wait_connected`. A second client for slow commands keeps them
    from delaying the others; `name` tells them apart in the log.
    Raises: ValueError for a bad address, OSError for bad TLS files.
    """
    client = RedisClient(address, scripts, deadline_s, log, latency, name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client._stay_connected)
        try:
            yield client
        finally:
            nursery.cancel_scope.cancel()
