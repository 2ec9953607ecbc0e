"""Notifications of ended meetings, stored in Redis until the callback queue has them.

Each method is one round trip and raises StoreDown when Redis cannot be used. The rules are the
scripts end_meeting, claim_ended and drop_ended; `notify_later` in lib.lua adds notifications.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.callbacks.ended_rules import EndNotification, EndReport
from appliance.model import MeetingId
from appliance.redis.store import RedisStores

CLAIM_MS = 30_000
"""After this time another appliance may claim a notification that is not in the queue yet."""

LONGEST_DELAY_MS = CLAIM_MS + 60_000
"""A notification further ahead than this is due: the clock was set back. No delay is longer than
a claim, and the clocks of appliances may differ by a minute."""


@dataclass(frozen=True, slots=True)
class EndedStore:
    """The notifications of ended meetings."""

    redis: RedisStores

    async def end_meeting(self, call: EndReport, *, now_ms: int) -> bool:
        """Forget a meeting whose server reported its end; False: it was another run."""
        reply = await self.redis.foreground.run(
            "end_meeting",
            *(call.meeting_id, call.server_id, call.began_ms, call.marks or "", now_ms),
            int(call.named),
        )
        return bool(reply)

    async def claim(self, *, now_ms: int, at_most: int) -> list[EndNotification]:
        """Claim due notifications for CLAIM_MS and return them."""
        found = await self.redis.background.run(
            "claim_ended", now_ms, CLAIM_MS, at_most, LONGEST_DELAY_MS
        )
        return [_parse(key, json.loads(entry)) for key, entry in found]

    async def drop(self, keys: Sequence[str]) -> None:
        """Delete notifications that the callback queue has."""
        await self.redis.background.run("drop_ended", *keys)


def _parse(key: str, entry: dict[str, Any]) -> EndNotification:
    return EndNotification(
        key=key,
        meeting_id=MeetingId(entry["id"]),
        tenant_id=entry["tenant_id"] or None,
        url=entry["url"],
        marks=entry.get("marks"),
        named=bool(entry.get("named")),
    )
