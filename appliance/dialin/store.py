"""Looks pins up in Redis, and counts wrong pins of each caller."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.dialin.dialplan import WRONG_PINS_WINDOW_MS, PinLookup, PinOutcome
from appliance.pool.records import parse_meeting
from appliance.redis.store import RedisStore


@dataclass(frozen=True, slots=True)
class VoiceBridges:
    """Finds meetings by their voice bridge numbers. Raises StoreDown."""

    redis: RedisStore

    async def find_voice_bridge(
        self, pin: str, parent: str | None, *, caller: str, max_wrong: int, now_ms: int
    ) -> PinLookup:
        """Return the meeting of a pin, or of its parent; see find_voice_bridge.lua."""
        reply = await self.redis.run(
            "find_voice_bridge",
            *(pin, parent or "", caller, max_wrong, WRONG_PINS_WINDOW_MS, now_ms),
        )
        meeting = parse_meeting(reply[2:]) if len(reply) > 2 else None
        return PinLookup(PinOutcome(reply[0]), int(reply[1]), meeting)
