"""Whether the pool is about to be handed back to Scalelite, which knows no URLs of the appliance.

While it is, the servers get the front-end's own meetingEndedURL. Source: docs/migration.md.
"""

from __future__ import annotations

from appliance.redis.store import RedisStore


class Handback:
    """The switch in Redis, as last read: a create must not need a round trip for it."""

    def __init__(self, redis: RedisStore) -> None:
        self._redis = redis
        self._prepared = False

    @property
    def prepared(self) -> bool:
        """Whether servers get the front-ends' own URLs."""
        return self._prepared

    async def refresh(self) -> None:
        """Read the switch, which another appliance may have changed. Raises StoreDown."""
        self.note(prepared=await self._redis.command("GET", self._key) is not None)

    def note(self, *, prepared: bool) -> None:
        """Take the switch as it was just read."""
        self._prepared = prepared

    async def prepare(self, on: bool) -> None:
        """Set the switch, for other appliances on the same stores as well. Raises StoreDown."""
        if on:
            await self._redis.command("SET", self._key, "1")
        else:
            await self._redis.command("DEL", self._key)
        self._prepared = on

    @property
    def _key(self) -> str:
        return self._redis.own_key("handback")
