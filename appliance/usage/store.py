"""Usage in Redis: the state of each server, and rows for the database.

Every method is one round trip unless it says otherwise, and raises StoreDown when Redis cannot be
used. The rules are in lib.lua (save_usage) and lua/.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from appliance.model import ServerId
from appliance.pool.records import CHUNK
from appliance.redis.store import Argument, RedisStore
from appliance.system.threads import in_chunks
from appliance.usage.model import (
    Debts,
    EndedRun,
    EndNote,
    Finished,
    Gap,
    ServerMinute,
    ServerUsage,
)

RUNS, MINUTES = "usage_runs", "usage_minutes"
"""The lists of what the database is to get."""

ENDS = "usage_ended"
"""The list of runs that have ended (note_end in lib.lua)."""

_encode = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(ServerUsage).decode
_decode_entry = msgspec.json.Decoder(EndedRun | Gap).decode
_decode_minute = msgspec.json.Decoder(ServerMinute).decode


@dataclass(frozen=True, slots=True)
class Waiting:
    """Entries that wait for the database, oldest first."""

    name: str
    texts: list[str]
    """As they are stored."""

    def entries(self) -> list[EndedRun | Gap]:
        """Return the entries of RUNS."""
        return [_decode_entry(text) for text in self.texts]

    def minutes(self) -> list[ServerMinute]:
        """Return the entries of MINUTES."""
        return [_decode_minute(text) for text in self.texts]


def usage_arguments(version: int, state: ServerUsage | None, finished: Finished) -> list[Argument]:
    """Return the arguments of save_usage in lib.lua; without a state it is deleted."""
    return [
        version,
        "" if state is None else _encode(state).decode(),
        len(finished.entries),
        _encode(finished.debts).decode() if finished.debts else "",
        *(_encode(one).decode() for one in finished.entries),
        *(_encode(one).decode() for one in finished.minutes),
    ]


@dataclass(frozen=True, slots=True)
class UsageStore:
    """Reads and writes usage in Redis."""

    redis: RedisStore

    async def read(self, server_id: ServerId) -> tuple[int, ServerUsage]:
        """Return the version and the state of a server; 0 and an empty one: nothing is known."""
        return (await self.read_all([server_id]))[server_id]

    async def read_all(
        self, server_ids: Sequence[ServerId]
    ) -> dict[ServerId, tuple[int, ServerUsage]]:
        """Return versions and states of servers. Takes one round trip per CHUNK servers."""
        found: dict[ServerId, tuple[int, ServerUsage]] = {}
        for some in in_chunks(server_ids, CHUNK):
            keys = [self.redis.own_key(f"usage_of:{server_id}") for server_id in some]
            replies = await self.redis.pipeline(
                [("HMGET", key, "version", "state") for key in keys]
            )
            for server_id, (version, state) in zip(some, replies, strict=True):
                known = _decode_state(state) if state else ServerUsage()
                found[server_id] = int(version or 0), known
        return found

    async def known_servers(self) -> list[ServerId]:
        """Return the servers that have a state, also removed ones."""
        found = await self.redis.command("SMEMBERS", self.redis.own_key("usage_servers"))
        return [ServerId(one) for one in found]

    async def save(self, server_id: ServerId, arguments: Sequence[Argument]) -> bool:
        """Write a state; False: another appliance has written since it was read."""
        return bool(await self.redis.run("save_usage", server_id, *arguments))

    async def claim(self, instance: str, *, lease_ms: int) -> bool:
        """Claim or renew the right to write to the database."""
        return bool(await self.redis.run("lease_usage", instance, lease_ms))

    async def read_waiting(self, name: str, limit: int) -> Waiting:
        """Return the oldest entries of RUNS or MINUTES."""
        return Waiting(
            name, await self.redis.command("LRANGE", self.redis.own_key(name), 0, limit - 1)
        )

    async def drop(self, waiting: Waiting) -> None:
        """Remove entries that the database has."""
        if waiting.texts:
            await self.redis.run("drop_usage", waiting.name, len(waiting.texts), waiting.texts[0])

    async def read_ends(self, limit: int) -> list[EndNote]:
        """Return the oldest notes of ended runs."""
        found = await self.redis.command("LRANGE", self.redis.own_key(ENDS), 0, limit - 1)
        return [_parse_end(json.loads(text)) for text in found]

    async def drop_ends(self, number: int) -> None:
        """Remove the oldest notes. A note that is handled twice has no effect."""
        await self.redis.command("LTRIM", self.redis.own_key(ENDS), number, -1)

    async def read_dropped(self) -> list[Gap]:
        """Return the times of servers whose entries were dropped, as there were too many."""
        found = await self.redis.command("HGETALL", self.redis.own_key("usage_dropped"))
        pairs = zip(found[::2], found[1::2], strict=True)
        return [Gap(server_id, *map(int, json.loads(text))) for server_id, text in pairs]

    async def forget_dropped(self, gaps: Sequence[Gap]) -> None:
        """Remove these times."""
        key = self.redis.own_key("usage_dropped")
        await self.redis.command("HDEL", key, *(gap.server for gap in gaps))

    async def read_removed_tenants(self) -> dict[str, str]:
        """Return the names of tenants by id that were removed lately."""
        key = self.redis.own_key("usage_removed_tenants")
        found = await self.redis.command("HGETALL", key)
        return dict(zip(found[::2], found[1::2], strict=True))

    async def forget_removed_tenants(self, tenant_ids: Iterable[str]) -> None:
        """Remove these names, which are in the database."""
        await self.redis.command("HDEL", self.redis.own_key("usage_removed_tenants"), *tenant_ids)

    async def read_debts(self) -> Debts:
        """Return the recordings that servers owe. Two round trips."""
        servers = await self.redis.command("SMEMBERS", self.redis.own_key("owed"))
        commands = [("ZRANGE", self._owed(one), 0, -1, "WITHSCORES") for one in map(str, servers)]
        replies = await self.redis.pipeline(commands) if commands else []
        return {
            ServerId(server): dict(zip(found[::2], map(int, found[1::2]), strict=True))
            for server, found in zip(servers, replies, strict=True)
        }

    async def count_debts(
        self, server_ids: Sequence[ServerId], *, since_ms: int
    ) -> dict[ServerId, tuple[int, int]]:
        """Return how many recordings servers owe, and of how many since `since_ms`.

        Only of those that owe any. Two round trips.
        """
        owing = set(await self.redis.command("SMEMBERS", self.redis.own_key("owed")))
        owing &= set(server_ids)
        commands: list[Sequence[Argument]] = []
        for server_id in owing:
            key = self._owed(server_id)
            commands += ("ZCARD", key), ("ZCOUNT", key, max(0, since_ms), "+inf")
        found = await self.redis.pipeline(commands) if commands else []
        counts = zip(found[::2], found[1::2], strict=True)
        return dict(zip(map(ServerId, owing), counts, strict=True))

    async def change_debts(self, changes: Debts) -> None:
        """Change what servers owe, as `Finished.debts` does."""
        await self.redis.run("change_debts", _encode(changes).decode())

    async def dismiss_debts(
        self, server_id: ServerId, internal_ids: Sequence[str], *, now_ms: int
    ) -> None:
        """Forget recordings that a server owes; read_settled brings it to the database."""
        await self.redis.run("dismiss_debts", server_id, now_ms, *internal_ids)

    async def read_settled(self) -> list[str]:
        """Return the runs that turned out to owe nothing: JSON of server and internal id."""
        found = await self.redis.command("SMEMBERS", self.redis.own_key("usage_settled"))
        return [str(one) for one in found]

    async def drop_settled(self, entries: Sequence[str]) -> None:
        """Remove runs of which the database knows that."""
        await self.redis.command("SREM", self.redis.own_key("usage_settled"), *entries)

    def _owed(self, server_id: str) -> str:
        return self.redis.own_key(f"owed:{server_id}")

    async def known_to_pool(self) -> set[ServerId]:
        """Return the servers of the pool, and the retired ones."""
        keys = self.redis.key("servers"), self.redis.own_key("retired")
        here, retired = await self.redis.pipeline([["SMEMBERS", keys[0]], ["HKEYS", keys[1]]])
        return {ServerId(one) for one in (*here, *retired)}


def _parse_end(note: list[str]) -> EndNote:
    server_id, meeting_id, tenant, run_ms, created, marks, recorded = note
    known = int(created) if created.isdecimal() else 0
    run = ServerId(server_id), meeting_id, tenant, int(run_ms), known
    return EndNote(*run, marks=marks, recorded=recorded == "1")
