"""Meetings that have ended, kept in Redis until the queue of callbacks has what is to be told.

One round trip a method; each raises StoreDown when Redis cannot be used. The rules are the scripts
end_meeting, claim_ended and drop_ended; what puts meetings there is lib.lua, `notify_later`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.callbacks.ended_rules import EndedCall, EndedMeeting
from appliance.model import MeetingId
from appliance.redis.store import RedisStores

CLAIM_MS = 30_000
"""So long has who took one on to put it into the queue; then another appliance may."""


@dataclass(frozen=True, slots=True)
class EndedStore:
    """The ended meetings."""

    redis: RedisStores

    async def end_meeting(self, call: EndedCall, *, now_ms: int) -> bool:
        """Forget a meeting whose server says that it has ended; False: not that run of it."""
        reply = await self.redis.foreground.run(
            "end_meeting",
            *(call.meeting_id, call.server_id, call.began_ms, call.marks or "", now_ms),
            int(call.named),
        )
        return bool(reply)

    async def claim(self, *, now_ms: int, at_most: int) -> list[EndedMeeting]:
        """Take on meetings whose front-ends are to be told now; nobody else does for a while."""
        found = await self.redis.background.run("claim_ended", now_ms, CLAIM_MS, at_most)
        return [_parse(key, json.loads(entry)) for key, entry in found]

    async def drop(self, keys: Sequence[str]) -> None:
        """Forget those that the queue of callbacks has."""
        await self.redis.background.run("drop_ended", *keys)


def _parse(key: str, entry: dict[str, Any]) -> EndedMeeting:
    return EndedMeeting(
        key=key,
        meeting_id=MeetingId(entry["id"]),
        tenant_id=entry["tenant_id"] or None,
        url=entry["url"],
        marks=entry.get("marks"),
        named=bool(entry.get("named")),
    )
