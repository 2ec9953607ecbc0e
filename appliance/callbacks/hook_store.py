"""Web hooks in Redis: the hooks of front-ends, and their registrations on each server.

Not in PostgreSQL, so that the poller can synchronise them while that is down or disabled. Each
method is one round trip and raises StoreDown when Redis cannot be used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.callbacks.hook_rules import MAX_HOOKS, Hook, Registration, ServerHooks
from appliance.model import MeetingId, ServerId, TenantId
from appliance.redis.store import RedisStore


@dataclass(frozen=True, slots=True)
class HookStore:
    """The web hooks."""

    redis: RedisStore

    async def add(self, hook: Hook) -> tuple[str, bool] | None:
        """Add a hook; return its id and whether it is new; None: there are too many."""
        document = json.dumps(
            {
                "callback_url": hook.callback_url,
                "tenant_id": hook.tenant_id or "",
                "raw": hook.raw,
                **({} if hook.meeting_id is None else {"meeting_id": hook.meeting_id}),
                **({"bound_to": hook.bound_to} if hook.bound_to else {}),
                **({} if hook.event_ids is None else {"event_ids": hook.event_ids}),
            },
            ensure_ascii=False,
        )
        hook_id, new = await self.redis.run(
            "add_hook",
            *(hook.tenant_id or "", hook.callback_url, document, MAX_HOOKS),
        )
        return (hook_id, bool(new)) if hook_id else None

    async def remove(self, hook_id: str, tenant_id: TenantId | None) -> bool:
        """Remove a tenant's hook; False: it does not exist."""
        return bool(await self.redis.run("remove_hook", hook_id, tenant_id or ""))

    async def version(self) -> str:
        """Return a value that changes whenever a hook is added or removed."""
        return str(await self.redis.command("GET", self.redis.own_key("hook_ids")) or "")

    async def all(self) -> tuple[Hook, ...]:
        """Return every hook."""
        return _hooks(await self.redis.command("HGETALL", self.redis.own_key("hooks")))

    async def read(self, server_id: ServerId) -> ServerHooks:
        """Return all hooks, and the registrations and meetings of a server."""
        hooks, registered, meetings = await self.redis.run("read_hooks", server_id)
        return ServerHooks(
            _hooks(hooks),
            tuple(_registration(url, text) for url, text in _pairs(registered)),
            tuple((MeetingId(one), tenant or None) for one, tenant in _pairs(meetings)),
        )

    async def record(self, server_id: ServerId, registration: Registration) -> None:
        """Record a registration on a server."""
        document = json.dumps(
            {
                "hook": registration.hook_id,
                "meeting": registration.meeting_id or "",
                "id": registration.server_hook_id,
            },
            ensure_ascii=False,
        )
        await self.redis.run("record_hook", server_id, registration.url, document)

    async def forget(self, server_id: ServerId, registration: Registration) -> None:
        """Delete the record of a registration on a server."""
        await self.redis.run("record_hook", server_id, registration.url, "")


def _pairs(flat: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _hooks(flat: Sequence[str]) -> tuple[Hook, ...]:
    return tuple(_hook(hook_id, json.loads(text)) for hook_id, text in _pairs(flat))


def _hook(hook_id: str, found: dict[str, Any]) -> Hook:
    return Hook(
        id=hook_id,
        callback_url=found["callback_url"],
        meeting_id=found.get("meeting_id"),
        event_ids=found.get("event_ids"),
        raw=found["raw"],
        tenant_id=TenantId(found["tenant_id"]) if found["tenant_id"] else None,
    )


def _registration(url: str, text: str) -> Registration:
    found = json.loads(text)
    meeting_id = MeetingId(found["meeting"]) if found["meeting"] else None
    return Registration(url, found["hook"], meeting_id, found["id"])
