"""Retired servers: removed from the pool, while what their programs still send is accepted.

Recordings, analytics and ends of meetings arrive for hours after a server has left. In a key of
its own, so that no Scalelite takes them for servers (docs/fleet.md). Each method raises StoreDown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import repeat

from appliance.bbb.endpoint import url_key
from appliance.model import Server, ServerId
from appliance.redis.store import RedisStore
from appliance.system.threads import run_counted


@dataclass(frozen=True, slots=True)
class RetiredServer:
    """A removed server."""

    server: Server
    """With id, URL and secret only."""
    retired_ms: int
    until_ms: int
    """When it is forgotten."""


@dataclass(frozen=True, slots=True)
class RetiredServers:
    """The retired servers in Redis: remove_server.lua adds, save_server.lua takes them back."""

    redis: RedisStore
    keep_ms: int
    """How long a server is kept."""

    async def read_all(self, *, now_ms: int) -> list[RetiredServer]:
        """Return the retired servers, the latest first."""
        found = await self.redis.command("HGETALL", self._key)

        def parse() -> list[RetiredServer]:
            servers = map(_parse, found[::2], found[1::2], repeat(self.keep_ms))
            kept = [one for one in servers if one.until_ms > now_ms]
            return sorted(kept, key=lambda one: (-one.retired_ms, one.server.id))

        return await run_counted(len(found), parse)

    async def of_url(self, url: str, *, now_ms: int) -> list[RetiredServer]:
        """Return the retired servers with this URL."""
        found = await self.read_all(now_ms=now_ms)
        return [one for one in found if url_key(one.server.url) == url_key(url)]

    async def ids_by_url(self, *, now_ms: int) -> dict[str, list[ServerId]]:
        """Return the ids of the retired servers by `url_key` of their URLs, the latest first."""
        ids: dict[str, list[ServerId]] = {}
        for one in await self.read_all(now_ms=now_ms):
            ids.setdefault(url_key(one.server.url), []).append(one.server.id)
        return ids

    async def forget(self, server_id: str) -> bool:
        """Forget a server; False: it is not retired."""
        return bool(await self.redis.command("HDEL", self._key, server_id))

    async def sweep(self, *, now_ms: int) -> int:
        """Forget the servers whose time is over; return their number."""
        found = await self.redis.command("HGETALL", self._key)
        pairs = zip(found[::2], found[1::2], strict=True)
        over = [id for id, text in pairs if _parse(id, text, self.keep_ms).until_ms <= now_ms]
        return int(await self.redis.command("HDEL", self._key, *over)) if over else 0

    @property
    def _key(self) -> str:
        return self.redis.own_key("retired")


def _parse(server_id: str, text: str, keep_ms: int) -> RetiredServer:
    entry = json.loads(text)
    at_ms = int(entry["at"])
    server = Server(ServerId(server_id), entry["url"], entry["secret"])
    return RetiredServer(server, at_ms, at_ms + keep_ms)
