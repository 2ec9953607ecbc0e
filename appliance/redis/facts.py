"""Inspect a Redis server: version, role, persistence, memory, clock, whether it accepts writes.

Judges nothing: doctor/store_findings.py does.
Source: documentation of the Redis command INFO.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.faults import StoreDown
from appliance.redis.client import RedisClient, RedisDown, RedisError

_KEY_TTL_MS = 10_000


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """State of a Redis server."""

    version: str
    role: str
    aof: bool
    aof_failed: bool
    save_points: str | None
    """Its `save` setting; None: CONFIG is not available, as in managed services."""
    snapshot_failed: bool
    max_memory: int
    """Bytes; 0: no limit."""
    used_memory: int
    """Bytes."""
    policy: str
    """Its `maxmemory-policy`."""
    skew_s: float
    """Time of its clock minus that of this host."""
    write_error: str = ""


class RedisFactFinder:
    """Inspects one Redis server."""

    def __init__(self, client: RedisClient, namespace: str, now_ms: Callable[[], int]) -> None:
        self._client = client
        self._key = f"{namespace}:appliance:doctor"
        self._now_ms = now_ms

    async def read(self) -> RedisFacts:
        """Inspect the server. Raises StoreDown."""
        try:
            return await self._read()
        except (RedisDown, RedisError) as error:
            raise StoreDown(str(error)) from error

    async def _read(self) -> RedisFacts:
        client = self._client
        info = parse_info(str(await client.command("INFO")))
        began_ms = self._now_ms()
        seconds, micros = await client.command("TIME")
        # The middle of the round trip is the best estimate of when TIME ran.
        local_ms = (began_ms + self._now_ms()) / 2
        return RedisFacts(
            version=info.get("redis_version", "?"),
            role=info.get("role", "?"),
            aof=info.get("aof_enabled") == "1",
            aof_failed=info.get("aof_last_write_status", "ok") != "ok",
            save_points=await self._save_points(),
            snapshot_failed=info.get("rdb_last_bgsave_status", "ok") != "ok",
            max_memory=int(info.get("maxmemory", "0")),
            used_memory=int(info.get("used_memory", "0")),
            policy=info.get("maxmemory_policy", "noeviction"),
            skew_s=int(seconds) + int(micros) / 1e6 - local_ms / 1000,
            write_error=await self._try_to_write(),
        )

    async def _save_points(self) -> str | None:
        try:
            reply = await self._client.command("CONFIG", "GET", "save")
        except (RedisDown, RedisError):  # forbidden or renamed, as in managed services
            return None
        return str(reply[1]) if isinstance(reply, list) and len(reply) == 2 else None

    async def _try_to_write(self) -> str:
        """Write a key that expires; return why that failed, empty: it did not."""
        try:
            await self._client.command("SET", self._key, "1", "PX", _KEY_TTL_MS)
        except (RedisDown, RedisError) as error:
            return str(error)
        return ""


def parse_info(text: str) -> dict[str, str]:
    """Parse the reply of INFO."""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}
