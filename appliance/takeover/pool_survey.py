"""Read all keys of the namespace in Redis. Changes nothing.

Reads in chunks, so that a large pool delays no call, and without lock or script: concurrent changes
of a Scalelite may be seen or not.
Source: docs/stores.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.faults import StoreDown
from appliance.redis.client import RedisClient, RedisDown, RedisError
from appliance.system.threads import in_chunks
from appliance.takeover.pool_findings import (
    APPLIANCE_PREFIX,
    CLAIM_PREFIX,
    RECORD_KEYS,
    SINGLE_KEYS,
    PoolState,
    Record,
    expected_type,
)

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class PoolSurvey:
    """Reads one namespace."""

    client: RedisClient
    namespace: str

    async def read_pool(self) -> PoolState:
        """Return the state of the pool. Raises StoreDown."""
        try:
            return await self._read()
        except (RedisDown, RedisError) as error:  # the type of a key changed meanwhile
            raise StoreDown(str(error)) from error

    async def _read(self) -> PoolState:
        types = await self._types()
        wrong = {key for key, type_ in types.items() if expected_type(key) not in (None, type_)}
        keys = types.keys() - wrong
        of = {
            beginning: {key.removeprefix(beginning) for key in keys if key.startswith(beginning)}
            for beginning in (*RECORD_KEYS, CLAIM_PREFIX)
        }
        sets = {key: await self._members(key, types[key]) for key in SINGLE_KEYS.keys() & keys}
        bridges = sets.get("voice_bridges", [])
        servers = await self._records("server:", sets.get("servers", []), of["server:"])
        settings, strays = await self._settings(of["tenant_settings:"], of["tenant_setting:"])
        names = await self._records("tenant_name:", of["tenant_name:"], of["tenant_name:"])
        return PoolState(
            servers=servers,
            enabled=frozenset(sets.get("server_enabled", ())),
            loads=frozenset(sets.get("server_load", ())),
            cordoned_loads=frozenset(sets.get("cordoned_server_load", ())),
            meetings=await self._records("meeting:", sets.get("meetings", []), of["meeting:"]),
            voice_bridges=dict(zip(bridges[::2], bridges[1::2], strict=True)),
            claimed=frozenset(of[CLAIM_PREFIX]),
            tenants=await self._records("tenant:", sets.get("tenants", []), of["tenant:"]),
            tenant_names={name: (record or {}).get("id", "") for name, record in names.items()},
            settings=settings,
            stray_servers=frozenset(of["server:"] - servers.keys()),
            stray_settings=frozenset(strays),
            wrong_types=tuple(sorted(wrong)),
            others=sum(_is_unknown(key, servers) for key in keys),
        )

    async def _types(self) -> dict[str, str]:
        """Return the type of every key by its name without the prefix; "" for the appliance's."""
        prefix = f"{self.namespace}:"
        pattern = "".join(f"\\{char}" if char in "*?[]\\" else char for char in prefix) + "*"
        names: set[str] = set()
        cursor = "0"
        while True:
            cursor, chunk = await self.client.command(
                "SCAN", cursor, "MATCH", pattern, "COUNT", 2 * _CHUNK
            )
            names.update(key.removeprefix(prefix) for key in chunk)
            if cursor == "0":
                break
        own = {name for name in names if name.startswith(APPLIANCE_PREFIX)}
        listed = sorted(names - own)
        types = dict(zip(listed, await self._ask("TYPE", listed), strict=True))
        return types | dict.fromkeys(own, "")

    async def _members(self, key: str, type_: str) -> list[str]:
        """Return the members of a set, or the names and values of a hash."""
        command = {"set": "SSCAN", "zset": "ZSCAN", "hash": "HSCAN"}[type_]
        found: list[str] = []
        cursor = "0"
        while True:
            cursor, chunk = await self.client.command(
                command, f"{self.namespace}:{key}", cursor, "COUNT", _CHUNK
            )
            found += chunk[::2] if type_ == "zset" else chunk
            if cursor == "0":
                return found

    async def _records(
        self, beginning: str, names: Iterable[str], known: set[str]
    ) -> dict[str, Record | None]:
        """Return the hashes of these names; None for a missing one."""
        wanted = sorted(set(names))
        there = [name for name in wanted if name in known]
        replies = await self._ask("HGETALL", [beginning + name for name in there])
        found = {
            name: dict(zip(flat[::2], flat[1::2], strict=True))
            for name, flat in zip(there, replies, strict=True)
        }
        return {name: found.get(name) or None for name in wanted}

    async def _settings(
        self, tenant_ids: Iterable[str], known: set[str]
    ) -> tuple[dict[str, Record | None], set[str]]:
        """Return the settings of all tenants, and the ids of settings that are in no set."""
        members: set[str] = set()
        for tenant_id in sorted(tenant_ids):
            members.update(await self._members(f"tenant_settings:{tenant_id}", "set"))
        return await self._records("tenant_setting:", members, known), known - members

    async def _ask(self, command: str, names: Sequence[str]) -> list[Any]:
        """Run a command on many keys."""
        replies: list[Any] = []
        for chunk in in_chunks(names, _CHUNK):
            asked = [[command, f"{self.namespace}:{name}"] for name in chunk]
            replies += await self.client.pipeline(asked)
        return replies


def _is_unknown(key: str, servers: dict[str, Record | None]) -> bool:
    # Scalelite keeps the counters of a server under its bare id, also after its removal.
    known = key in servers or key.startswith(APPLIANCE_PREFIX)
    return not known and expected_type(key) is None
