"""The fleet in Redis: facts besides the servers' records, and events that hooks have accepted.

Every method is one round trip unless it says otherwise, and raises StoreDown when Redis cannot be
used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.fleet.capacity import FleetNote
from appliance.fleet.events import HookState
from appliance.model import ServerId
from appliance.pool.records import CHUNK
from appliance.redis.store import RedisStore
from appliance.system.threads import in_chunks

NOTES_CHUNK = 4 * CHUNK
"""Servers per round trip: Redis reads two values of each, and the server itself has eight times as
many."""
_USUAL = FleetNote(polled=True)
"""Of a server that read_fleet.lua does not mention."""


@dataclass(frozen=True, slots=True)
class FleetStore:
    """The keys of the fleet, on the connection for background work."""

    redis: RedisStore

    async def read_notes(self, server_ids: Sequence[ServerId]) -> dict[ServerId, FleetNote]:
        """Return the notes on these servers. Takes one round trip per NOTES_CHUNK servers."""
        notes = dict.fromkeys(server_ids, _USUAL)
        for some in in_chunks(server_ids, NOTES_CHUNK):
            found = await self.redis.run("read_fleet", *some)
            for index, pending, polled, maintained in found:
                notes[some[index - 1]] = FleetNote(pending, bool(polled), bool(maintained))
        return notes

    async def claim(self, instance: str, *, lease_ms: int) -> bool:
        """Claim or renew the right to call the hooks; False: another appliance has it."""
        return bool(await self.redis.run("lease_autoscale", instance, lease_ms))

    async def release(self, instance: str) -> None:
        """Give the right back, if this appliance has it."""
        await self.redis.run("lease_autoscale", instance, 0)

    async def read_hook_state(self, hook: str) -> HookState:
        """Return what a hook has accepted."""
        flat = await self.redis.command("HGETALL", self.redis.own_key(f"autoscale:{hook}"))
        found = dict(zip(flat[::2], flat[1::2], strict=True))
        return HookState(
            desired=int(found["desired"]) if found.get("desired") else None,
            safe=frozenset(json.loads(found.get("safe") or "[]")),
            online=frozenset(json.loads(found.get("online") or "[]")),
            accepted_ms=int(found.get("told_ms") or 0),
            failures=int(found.get("failures") or 0),
            error=found.get("error", ""),
        )

    async def save_hook_state(self, instance: str, hook: str, state: HookState) -> bool:
        """Record what a hook has accepted; False: another appliance has taken over."""
        fields = {
            "desired": "" if state.desired is None else state.desired,
            "safe": json.dumps(sorted(state.safe)),
            "online": json.dumps(sorted(state.online)),
            "told_ms": state.accepted_ms,
            "failures": state.failures,
            "error": state.error,
        }
        flat = [part for pair in fields.items() for part in pair]
        return bool(await self.redis.run("save_hook", instance, hook, *flat))
