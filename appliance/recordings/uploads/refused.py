"""Uploads of recordings that were refused, so that an operator sees what would be lost.

Kept in Redis for all appliances: the last of each recording, of the latest MAX_REFUSED recordings;
one that is accepted later is no more among them. Each method raises StoreDown. Source:
docs/fleet.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec

from appliance.redis.store import RedisStore

MAX_REFUSED = 500
KEEP_MS = 14 * 86_400_000


class RefusedUpload(msgspec.Struct, frozen=True):
    """An upload that was refused."""

    record_id: str
    server: str
    """As the sender names it; empty: it does not."""
    client: str
    """The sender's address."""
    reason: str
    status: int
    """Of the answer."""
    at: int
    """The last time, in milliseconds since the epoch."""
    first: int = 0
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class RefusedUploads:
    """The refused uploads in Redis."""

    redis: RedisStore

    async def note(self, refused: RefusedUpload) -> None:
        """Remember a refusal."""
        text = msgspec.json.encode(refused).decode()
        await self.redis.run("note_refused_upload", refused.record_id, text, MAX_REFUSED, KEEP_MS)

    async def drop(self, record_id: str) -> None:
        """Forget a recording that has been accepted."""
        await self.redis.command("HDEL", self.redis.own_key("refused_uploads"), record_id)

    async def read_all(self, *, now_ms: int) -> list[RefusedUpload]:
        """Return the refused uploads, the latest first."""
        texts = await self.redis.command("HVALS", self.redis.own_key("refused_uploads"))
        found = [msgspec.convert(json.loads(text), RefusedUpload) for text in texts]
        kept = [one for one in found if one.at > now_ms - KEEP_MS]
        return sorted(kept, key=lambda one: (-one.at, one.record_id))
