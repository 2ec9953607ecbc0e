"""The queue of callbacks in Redis, for what PostgreSQL cannot take: it is down or disabled.

Holds no rule about what is sent again. Truth: the keys `appliance:callback…` (docs/stores.md). A
claim is a lease, as in PostgreSQL; ids begin with `r`, so that no two stores have the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

from appliance.callbacks.rules import (
    Callback,
    CallbackKind,
    CallbackState,
    QueuedCallback,
    Settlement,
    Signing,
    host_of_url,
)
from appliance.redis.store import RedisStore

KEEP_S = 7 * 86400
"""How long a callback that failed or was dropped is kept."""
DONE_KEEP_S = 86400
"""One that is done: a large pool ends many meetings a day, and this is memory."""
PENDING_KEEP_S = 30 * 86400
"""No key of ours stays for ever, even if no appliance ever comes back for it."""
_MAX_ERROR = 500
_CHUNK = 200


class RedisQueue:
    """The queue; every method raises StoreDown."""

    def __init__(self, redis: RedisStore, now_ms: Callable[[], int]) -> None:
        self._redis = redis
        self._now_ms = now_ms

    async def add(self, callback: Callback, dedup_key: str) -> bool:
        """Keep a callback; False: its key is known."""
        digest = hashlib.sha256(dedup_key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        reply = await self._redis.run(
            "add_callback",
            f"r{digest}",
            self._now_ms(),
            PENDING_KEEP_S,
            host_of_url(callback.url),
            _render(callback),
        )
        return bool(reply)

    async def claim(
        self, who: str, limit: int, lease_s: float, *, full: Sequence[str], retries: bool
    ) -> list[QueuedCallback]:
        """Take callbacks that are due."""
        about = (self._now_ms(), int(lease_s * 1000), limit, int(retries))
        found = await self._redis.run("claim_callbacks", who, *about, *full)
        return [self._queued_of(callback_id, flat) for callback_id, flat in found]

    async def renew(self, who: str, ids: Sequence[str], lease_s: float) -> None:
        """Keep claims for longer."""
        await self._change("renew", who, int(lease_s * 1000), ids)

    async def settle(self, who: str, queued: QueuedCallback, settlement: Settlement) -> bool:
        """Write what became of a claimed callback; False: it is somebody else's by now."""
        values = (
            settlement.state.value,
            settlement.status or "",
            (settlement.error or "")[:_MAX_ERROR],
            int(settlement.wait_s * 1000),
            DONE_KEEP_S if settlement.state is CallbackState.DONE else KEEP_S,
        )
        now_ms = self._now_ms()
        return bool(await self._redis.run("settle_callback", who, queued.id, now_ms, *values))

    async def make_due(self) -> int:
        """Let everything that waits be tried now."""
        return len(await self._change("due", "", 0, await self._ids("callbacks_due")))

    async def prune(self, older_than_s: float) -> int:
        """Forget the ids of what has expired; Redis itself removes the rest."""
        return len(await self._change("prune", "", 0, await self._ids("callbacks")))

    async def show(self, state: CallbackState | None, limit: int) -> list[QueuedCallback]:
        """Return the newest callbacks, newest first."""
        ids = await self._redis.command("ZREVRANGE", self._redis.own_key("callbacks"), 0, -1)
        found: list[QueuedCallback] = []
        for chunk in _chunks(ids):
            commands = [("HGETALL", self._redis.own_key(f"callback:{one}")) for one in chunk]
            for one, flat in zip(chunk, await self._redis.pipeline(commands), strict=True):
                queued = self._queued_of(one, flat) if flat else None
                if queued is not None and state in (None, queued.state):
                    found.append(queued)
            if len(found) >= limit:
                break
        return found[:limit]

    async def count(self) -> dict[CallbackState, int]:
        """Return how many are pending, and how many failed."""
        ids = await self._ids("callbacks")
        states = await self._redis.pipeline(
            [("HGET", self._redis.own_key(f"callback:{one}"), "state") for one in ids]
        )
        wanted = (CallbackState.PENDING, CallbackState.FAILED)
        return {state: states.count(state.value) for state in wanted if state.value in states}

    async def retry(self, ids: Sequence[str] | None) -> list[str]:
        """Give callbacks a new day; None: all that failed."""
        if ids is None:
            known = await self._ids("callbacks")
            return await self._change("retry_failed", "", PENDING_KEEP_S, known)
        return await self._change("retry", "", PENDING_KEEP_S, _ours(ids))

    async def drop(self, ids: Sequence[str]) -> list[str]:
        """Take callbacks out of the queue."""
        return await self._change("drop", "", KEEP_S, _ours(ids))

    async def _change(self, what: str, who: str, time: int, ids: Sequence[str]) -> list[str]:
        """Change callbacks, few at a time: Redis does nothing else while a script runs."""
        changed = list[str]()
        for chunk in _chunks(ids):
            changed += await self._redis.run(
                "change_callbacks", what, who, self._now_ms(), time, *chunk
            )
        return changed

    async def _ids(self, name: str) -> list[str]:
        ids: list[str] = await self._redis.command("ZRANGE", self._redis.own_key(name), 0, -1)
        return ids

    def _queued_of(self, callback_id: str, flat: Sequence[str]) -> QueuedCallback:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        now_ms = self._now_ms()
        status = fields.get("status")
        return QueuedCallback(
            id=callback_id,
            callback=_parse(fields["data"]),
            state=CallbackState(fields["state"]),
            attempts=int(fields["attempts"]),
            age_s=(now_ms - int(fields["since"])) / 1000,
            wait_s=max(0, int(fields["due"]) - now_ms) / 1000,
            created_ms=int(fields["created"]),
            last_status=int(status) if status else None,
            last_error=fields.get("error") or None,
            sending=int(fields.get("till", 0)) > now_ms,
        )


def _render(callback: Callback) -> str:
    return json.dumps(
        {
            "kind": callback.kind.value,
            "url": callback.url,
            "meeting_id": callback.meeting_id,
            "tenant_id": callback.tenant_id,
            "record_id": callback.record_id,
            "method": callback.method,
            "content_type": callback.content_type,
            "body": base64.b64encode(callback.body).decode("ascii"),
            "signing": callback.signing.value,
            "secret_id": callback.secret_id,
        }
    )


def _parse(text: str) -> Callback:
    fields = json.loads(text)
    return Callback(
        **{
            **fields,
            "kind": CallbackKind(fields["kind"]),
            "signing": Signing(fields["signing"]),
            "body": base64.b64decode(fields["body"]),
        }
    )


def _ours(ids: Sequence[str]) -> list[str]:
    return [one for one in ids if one.startswith("r")]


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
