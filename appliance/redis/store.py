"""The connections to Redis with the Lua scripts, on which the stores of the features build.

A script is one atomic rule and one round trip. Translates RedisDown to StoreDown for all features.
Knows no key, only the namespace.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import trio

from appliance.faults import StoreDown
from appliance.instruments import Counter, Histogram
from appliance.log import Log
from appliance.redis.client import (
    RedisAddress,
    RedisClient,
    RedisDown,
    Script,
    open_redis_client,
)
from appliance.redis.sentinel import UNSURE_S
from appliance.settings import StoreSettings

SCAN_CHUNK = 500
"""Entries per round trip of `RedisStore.scan`."""
BACKGROUND_DEADLINE_S = 10.0
REPLICATED_MS = 1000
"""How long a create waits for replicas."""
_WRITTEN_MS = 10_000
"""How long what `RedisStores.ping` writes stays."""

Argument = str | int | float

# Created once: with options, json.dumps creates an encoder for each call.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def to_script_json(arguments: Mapping[str, Any]) -> str:
    """Return JSON for a script, without None values: cjson reads null as a value that is true.

    Not escaped: records of other programs may hold bytes that are not UTF-8 (here lone surrogates),
    which cjson cannot read as escapes.
    Raises: ValueError (a number that is not finite, which msgspec would write as null).
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    for value in given.values():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value} is not JSON compliant")
    try:
        return msgspec.json.encode(given).decode()  # ten times as fast
    except UnicodeEncodeError:
        return _encode(given)


@dataclass(frozen=True, slots=True)
class RedisStore:
    """One connection to Redis. Every method raises StoreDown when Redis cannot be used."""

    client: RedisClient
    namespace: str
    scripts: Mapping[str, Script]

    async def run(self, script: str, *args: Argument) -> Any:
        """Run the script of this name; its first key is the namespace."""
        try:
            return await self.client.run_script(self.scripts[script], [f"{self.namespace}:"], args)
        except RedisDown as error:
            raise StoreDown(str(error), sent=error.sent) from error

    async def command(self, *args: Argument) -> Any:
        """Run one command."""
        try:
            return await self.client.command(*args)
        except RedisDown as error:
            raise StoreDown(str(error), sent=error.sent) from error

    async def pipeline(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Run several commands in one round trip; not atomic."""
        try:
            return await self.client.pipeline(commands)
        except RedisDown as error:
            raise StoreDown(str(error), sent=error.sent) from error

    async def scan(self, command: str, key: str) -> AsyncIterator[list[str]]:
        """Yield a collection in chunks with SSCAN or HSCAN; an entry may occur twice."""
        cursor = "0"
        while True:
            cursor, chunk = await self.command(command, key, cursor, "COUNT", SCAN_CHUNK)
            if chunk:
                yield chunk
            if cursor == "0":
                return

    def key(self, name: str) -> str:
        """Return the full key of a name that Scalelite uses, too."""
        return f"{self.namespace}:{name}"

    def own_key(self, name: str) -> str:
        """Return the full key of a name that only the appliance uses."""
        return f"{self.namespace}:appliance:{name}"


class ReplicaCheck:
    """Waits until what was written is on the replicas, of which one may take over at any moment."""

    def __init__(self, foreground: RedisStore, confirmation: RedisStore, minimum: int) -> None:
        """Wait on `confirmation` for what `foreground` has written."""
        self._foreground = foreground
        self._confirmation = confirmation
        self._minimum = minimum
        self._expected = minimum
        """Replicas that confirmed last time: one that hangs is waited for only once."""
        self._connected = 0
        """Replicas that were connected last time."""
        self._term = -1
        self._left_s = -math.inf
        """When replicas were first missed while a Sentinel was silent."""

    async def wait(self, term: int) -> None:
        """Wait for all connected replicas, `minimum` at least; the writes began in `term`.

        In a planned failover the master lives on with the other replicas, which may confirm what
        the one that takes over has not received. So if one has left or is late, the Sentinels are
        asked. Raises StoreDown: too few within REPLICATED_MS, or the master is being replaced or
        has been since the writes began, which may then be on the old one.
        """
        client = self._confirmation.client
        if client.term != self._term:
            self._term, self._expected, self._connected = client.term, self._minimum, 0
        # WAIT is about the writes of its own connection, so that needs one: all earlier writes,
        # of any connection, come before it in the stream of replication.
        mark = ("INCR", self._confirmation.own_key("replicated"))
        wait = ("WAIT", self._expected, REPLICATED_MS)
        _, confirmed, role = await self._confirmation.pipeline([mark, wait, ("ROLE",)])
        if confirmed < self._minimum:
            raise StoreDown(f"fewer than {self._minimum} replicas have confirmed the write")
        connected = len(role[2]) if role[0] == "master" else 0
        if confirmed >= connected >= self._connected:
            self._left_s = -math.inf
        elif not await self._is_master_staying():
            raise StoreDown("the master is being replaced")
        if client.master is None or client.master != self._foreground.client.master:
            raise StoreDown("the master is being replaced")
        if self._foreground.client.term != term:
            raise StoreDown("the master was replaced since the write began")
        self._expected, self._connected = max(self._minimum, min(confirmed, connected)), connected

    async def _is_master_staying(self) -> bool:
        """Ask the Sentinels. One that does not answer may lead a failover, for UNSURE_S at most."""
        staying, now_s = await self._confirmation.client.is_master_staying(), trio.current_time()
        if staying is not None:
            self._left_s = -math.inf
            return staying
        if self._left_s == -math.inf:
            self._left_s = now_s
        return now_s - self._left_s > UNSURE_S


@dataclass(frozen=True, slots=True)
class RedisStores:
    """Both connections to the Redis that all appliances of a pool share."""

    foreground: RedisStore
    """For API calls: short commands only."""
    background: RedisStore
    """For polls, sweeps and administration, so that a long script delays no API call."""

    replicas: ReplicaCheck | None = None
    """With a connection for WAIT, which blocks the connection that sends it."""

    @property
    def term(self) -> int:
        """Return what `wait_replicated` wants to know: read it before the first write."""
        return self.foreground.client.term

    async def wait_replicated(self, term: int) -> None:
        """Wait until replicas have everything that was written since `term`, if that is wanted.

        Raises StoreDown: see ReplicaCheck.
        """
        if self.replicas is not None:
            await self.replicas.wait(term)

    async def ping(self) -> None:
        """Check that Redis answers, and lets us at our keys. Raises StoreDown.

        After it has refused a write, until it takes one again: this writes.
        """
        store, clients = self.foreground, (self.foreground.client, self.background.client)
        if not any(client.refuses_writes for client in clients):
            await store.command("EXISTS", store.key("servers"))
            return
        await store.command("SET", store.own_key("doctor"), "1", "PX", _WRITTEN_MS)
        for client in clients:
            client.refuses_writes = False


def redis_address(stores: StoreSettings, embedded_url: str | None = None) -> RedisAddress:
    """Return the address by the settings, else that of the embedded Redis."""
    return RedisAddress(
        stores.redis_url or embedded_url or "redis://",
        stores.redis_sentinels,
        stores.redis_sentinel_master,
    )


@asynccontextmanager
async def open_redis_stores(
    address: RedisAddress,
    *,
    namespace: str,
    scripts: Mapping[str, Script],
    log: Log,
    latency: Histogram | None = None,
    slow: Counter | None = None,
    min_replicas: int = 0,
) -> AsyncIterator[RedisStores]:
    """Open both clients, which connect and reconnect by themselves.

    Does not wait for Redis: see `client.wait_connected`. `latency` records round trips,
    `slow` counts those over 0.2 s.
    """
    opened = partial(
        open_redis_client,
        address,
        scripts=tuple(scripts.values()),
        log=log,
        latency=latency,
        slow=slow,
    )
    patient = partial(opened, name="background", deadline_s=BACKGROUND_DEADLINE_S)
    confirming = partial(opened, name="replication", deadline_s=2 * REPLICATED_MS / 1000)
    async with AsyncExitStack() as stack:
        foreground = await stack.enter_async_context(opened(name="calls"))
        background = await stack.enter_async_context(patient())
        calls, replicas = RedisStore(foreground, namespace, scripts), None
        if min_replicas:
            client = await stack.enter_async_context(confirming())
            replicas = ReplicaCheck(calls, RedisStore(client, namespace, scripts), min_replicas)
        yield RedisStores(calls, RedisStore(background, namespace, scripts), replicas)
