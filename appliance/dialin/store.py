"""Looks PINs up in Redis, and counts the wrong ones."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.dialin.dialplan import CALL_WINDOW_MS, WRONG_PINS_WINDOW_MS, WrongPins
from appliance.model import Meeting
from appliance.pool.records import parse_meeting
from appliance.redis.store import RedisStore


@dataclass(frozen=True, slots=True)
class GuessCounters:
    """Names of the counters that a wrong PIN adds to; empty: it adds to none of the kind."""

    call: str
    number: str
    gateway: str


@dataclass(frozen=True, slots=True)
class FoundMeeting:
    """The meeting of a PIN, and how its server wants to be called."""

    meeting: Meeting
    dial_in: str = ""
    """Template of dial strings; empty: the server has none of its own."""
    port: int = 0
    """0: not set."""


@dataclass(frozen=True, slots=True)
class VoiceBridges:
    """Finds meetings by their voice bridge numbers."""

    redis: RedisStore

    async def find_voice_bridge(
        self, pin: str, parent: str | None, *, counters: GuessCounters, now_ms: int
    ) -> FoundMeeting | WrongPins:
        """Return the meeting of a PIN, or of its parent's, or count a wrong PIN.

        See find_voice_bridge.lua. Raises StoreDown.
        """
        reply = await self.redis.run(
            "find_voice_bridge",
            *(pin, parent or "", now_ms),
            *(counters.call, CALL_WINDOW_MS),
            *(counters.number, WRONG_PINS_WINDOW_MS),
            *(counters.gateway, WRONG_PINS_WINDOW_MS),
        )
        if reply[0] == "found":
            return FoundMeeting(parse_meeting(reply[3:]), reply[1], int(reply[2] or 0))
        return WrongPins(*(int(count) for count in reply[1:]))
