"""What Redis says about itself, for doctor: persistence, memory, role, clock, whether it writes.

Judges nothing (doctor/store_findings.py does). Truth: the INFO command's documentation.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.doctor.store_findings import RedisFacts
from appliance.faults import StoreDown
from appliance.redis.client import RedisClient, RedisDown, RedisError

_TRY_MS = 10_000
"""How long the key of the write test lives."""


class RedisFactFinder:
    """Asks one Redis."""

    def __init__(self, client: RedisClient, namespace: str, now_ms: Callable[[], int]) -> None:
        self._client = client
        self._key = f"{namespace}:appliance:doctor"
        self._now_ms = now_ms

    async def read(self) -> RedisFacts:
        """Ask. Raises StoreDown."""
        try:
            return await self._read()
        except (RedisDown, RedisError) as error:
            raise StoreDown(str(error)) from error

    async def _read(self) -> RedisFacts:
        client = self._client
        info = parse_info(str(await client.command("INFO")))
        began_ms = self._now_ms()
        seconds, micros = await client.command("TIME")
        # In the middle of the round trip, as far as we can know.
        ours_ms = (began_ms + self._now_ms()) / 2
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
            skew_s=int(seconds) + int(micros) / 1e6 - ours_ms / 1000,
            write_error=await self._try_to_write(),
        )

    async def _save_points(self) -> str | None:
        try:
            reply = await self._client.command("CONFIG", "GET", "save")
        except RedisError:  # renamed or forbidden, as managed services do
            return None
        return str(reply[1]) if isinstance(reply, list) and len(reply) == 2 else None

    async def _try_to_write(self) -> str:
        """Write a key that goes by itself; return why that failed."""
        try:
            await self._client.command("SET", self._key, "1", "PX", _TRY_MS)
        except (RedisDown, RedisError) as error:
            return str(error)
        return ""


def parse_info(text: str) -> dict[str, str]:
    """Parse the answer of INFO."""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}
