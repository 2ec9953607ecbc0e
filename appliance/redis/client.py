"""The Redis client: commands of all tasks, pipelined over one connection (link.py).

Reconnects when the connection is lost. A command whose bytes may have been sent is never sent
again. Knows no key names. WATCH, SUBSCRIBE, SELECT and blocking commands must not be sent, because
all tasks share the connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from appliance.instruments import Counter, Histogram
from appliance.log import Log
from appliance.redis.connection import (
    Argument,
    Command,
    RedisAddress,
    Script,
    ask_sentinel,
    connect,
    follow_sentinel,
    pack,
    parse_address,
)
from appliance.redis.errors import WRITES_REFUSED, NoScriptError, RedisDown, RedisError
from appliance.redis.link import MAX_OUTSTANDING, RedisLink
from appliance.redis.sentinel import find_master, wait_for_another_master

__all__ = [
    "RedisAddress",
    "RedisClient",
    "RedisDown",
    "RedisError",
    "Script",
    "open_redis_client",
]

DEADLINE_S = 0.9
"""An API call must be answered within a second when Redis is down (docs/stores.md)."""
_GRACE_S = 0.3
"""Time that a command waits for a reconnect after a short outage."""
_SHORT_OUTAGE_S = 2.0
"""After this time without a connection, commands fail at once."""
_BACKOFF_S = (0.05, 1.0)
_STEADY_S = 1.0
"""A connection that lasted for less does not reset the back-off."""
_REFUSAL_LOG_S = 60.0
SLOW_S = 0.2
"""A round trip that takes longer delays calls noticeably. The usual one takes under 1 ms."""
_SLOW_LOG_S = 60.0


class RedisClient:
    """Runs commands of any number of tasks on one Redis. Made by open_redis_client."""

    def __init__(
        self,
        address: RedisAddress,
        scripts: Sequence[Script],
        deadline_s: float,
        log: Log | None,
        latency: Histogram | None = None,
        slow: Counter | None = None,
        name: str = "",
    ) -> None:
        self.round_trips = 0
        """Batches of commands sent so far."""
        self.refuses_writes = False
        """Whether Redis has refused a write; RedisStores.ping resets it."""
        self._address = address
        self._endpoint = parse_address(address)
        self._scripts = tuple(scripts)
        self._deadline_s = deadline_s
        self._log = log
        self._latency = latency
        self._slow = slow
        self._slow_trips = 0
        """Slow round trips since they were last logged."""
        self._slow_logged_s = -_SLOW_LOG_S
        self._fields = {"connection": name} if name else {}
        self._link: RedisLink | None = None
        self._master: tuple[str, int] | None = None
        self._moving = False
        self.term = 0
        """Counts up when a failover begins, and with each new master."""
        self._up = trio.Event()
        self._down_since = trio.current_time()
        self._down_reason: str | None = None
        self._waiting_for_link = 0
        self._next_refusal_log: dict[str, float] = {}

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._link is not None

    @property
    def master(self) -> tuple[str, int] | None:
        """Return the address that it is connected to; None: none, or a failover is under way."""
        return None if self._moving or self._link is None else self._master

    @property
    def down_reason(self) -> str | None:
        """Return why there is no connection; None: there is one, or none was tried yet."""
        return self._down_reason

    async def is_master_staying(self) -> bool | None:
        """Ask the Sentinels whether this master stays: none knows another, or of a failover.

        None: one did not answer, and it may be the one that leads a failover.
        """
        sentinels = self._address.sentinels
        if not sentinels:
            return True
        name = self._address.sentinel_master or ""
        master = await find_master(ask_sentinel, sentinels, name, self._master)
        if master is None:
            return None
        if master.moving or master.address != self._master:
            return False
        return True if master.unanimous else None

    async def wait_connected(self) -> None:
        """Wait until there is a connection, without a time limit."""
        while self._link is None:
            await self._up.wait()
        await trio.lowlevel.checkpoint()

    async def command(self, *args: Argument) -> Any:
        """Run one command and return a str, an int, None or a list.

        Bytes that are not UTF-8 are returned as surrogate escapes, which can be sent back.
        Raises RedisDown, RedisError.
        """
        return (await self._exchange(pack(args), 1, trio.current_time()))[0]

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip; only MULTI and EXEC make them atomic.

        Raises RedisDown, RedisError: the first error reply, also one within an array; the other
        commands may have run.
        """
        if not commands:
            return []
        data = b"".join(map(pack, commands))
        return await self._exchange(data, len(commands), trio.current_time())

    async def run_script(
        self, script: Script, keys: Sequence[str], args: Sequence[Argument] = ()
    ) -> Any:
        """Run a Lua script; load it first if Redis does not have it.

        Raises RedisDown, RedisError.
        """
        started = trio.current_time()
        call = pack(("EVALSHA", script.sha1, len(keys), *keys, *args))
        try:
            return (await self._exchange(call, 1, started))[0]
        except NoScriptError:
            load = pack(("SCRIPT", "LOAD", script.source))
        return (await self._exchange(load + call, 2, started))[1]

    async def _exchange(self, data: bytes, count: int, started: float) -> list[Any]:
        link = self._link or await self._wait_for_link(started)
        self.round_trips += 1
        replies = await link.exchange(data, count, started)
        now_s = trio.current_time()
        if self._latency is not None:
            self._latency.observe(now_s - started, "redis")
        if now_s - started > SLOW_S:
            self._note_slow(now_s - started, now_s)
        return replies

    def _note_slow(self, took_s: float, now_s: float) -> None:
        """Count a slow round trip, and log it once a minute."""
        if self._slow is not None:
            self._slow.add(*self._fields.values())
        self._slow_trips += 1
        if self._log is not None and now_s - self._slow_logged_s >= _SLOW_LOG_S:
            ms, trips = round(took_s * 1000), self._slow_trips
            self._log.warning("redis_slow", ms=ms, round_trips=trips, **self._fields)
            self._slow_logged_s, self._slow_trips = now_s, 0

    async def _wait_for_link(self, now: float) -> RedisLink:
        """Wait briefly for a reconnect. Raises RedisDown."""
        if self._waiting_for_link < MAX_OUTSTANDING:
            self._waiting_for_link += 1
            try:
                with trio.move_on_at(min(now + _GRACE_S, self._down_since + _SHORT_OUTAGE_S)):
                    await self.wait_connected()
            finally:
                self._waiting_for_link -= 1
        else:
            await trio.lowlevel.checkpoint()
        if self._link is None:
            raise RedisDown(f"not connected: {self._down_reason or 'connecting'}")
        return self._link

    async def _stay_connected(self) -> None:
        """Connect, serve the connection until it is lost, and repeat, until cancelled."""
        shortest, longest = _BACKOFF_S
        delay_s = shortest
        while True:
            try:
                wire, master = await connect(
                    self._address, self._endpoint, self._scripts, avoid=self._master
                )
            except RedisDown as error:
                self._note_down(error.reason)
            else:
                up_at = self._note_up()
                self.term += master != self._master
                self._master, self._moving = master, False
                link = RedisLink(wire, self._deadline_s, self._note_refusal, self._note_lost)
                self._link = link
                self._up.set()
                self._note_down(await self._run(link, master))
                if self._down_since - up_at >= _STEADY_S:
                    delay_s = shortest
                    continue
            await trio.sleep(delay_s)
            delay_s = min(2 * delay_s, longest)

    async def _run(self, link: RedisLink, master: tuple[str, int]) -> str:
        """Serve a connection until it is lost or the Sentinels name another master."""
        if not self._address.sentinels:
            return await link.run()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._drop_when_master_moves, link, master)
            reason = await link.run()
            nursery.cancel_scope.cancel()
        return reason

    async def _drop_when_master_moves(self, link: RedisLink, master: tuple[str, int]) -> None:
        sentinels, name = self._address.sentinels, self._address.sentinel_master or ""
        moved = await wait_for_another_master(
            ask_sentinel, follow_sentinel, sentinels, name, master, self._note_moving
        )
        self._moving = False
        link.drop(f"the master is now {moved.host}:{moved.port}")

    def _note_moving(self, moving: bool) -> None:
        self.term += moving and not self._moving
        self._moving = moving

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
        """Log the loss, but not the failed attempts to reconnect."""
        if self._log is not None and self._down_reason is None:
            self._log.warning("redis_lost", reason=reason, **self._fields)
        self._down_reason = reason

    def _note_refusal(self, error: RedisDown) -> None:
        self.refuses_writes |= error.reason in WRITES_REFUSED
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
    slow: Counter | None = None,
    name: str = "",
) -> AsyncIterator[RedisClient]:
    """Open a client that connects and reconnects in the background.

    Does not wait for Redis: see `wait_connected`. A second client for slow commands keeps them
    from delaying the others; `name` distinguishes the clients in the log and in `slow`, which
    counts round trips over SLOW_S.
    Raises ValueError: a bad address; OSError: TLS files cannot be read.
    """
    client = RedisClient(address, scripts, deadline_s, log, latency, slow, name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client._stay_connected)
        try:
            yield client
        finally:
            nursery.cancel_scope.cancel()
