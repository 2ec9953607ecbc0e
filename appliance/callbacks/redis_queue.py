"""The callback queue in Redis, used while PostgreSQL is down or disabled.

rules.py decides what is retried. A claim is a lease, as in PostgreSQL; ids begin with `r`, so that
the stores have no id in common. Source: docs/stores.md (keys `appliance:callback…`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence

from appliance.callbacks.rules import (
    CLOCK_TOLERANCE_S,
    AttemptResult,
    Callback,
    CallbackKind,
    CallbackState,
    QueuedCallback,
    Signing,
    host_of_url,
    longest_delays_s,
)
from appliance.redis.store import RedisStore
from appliance.system.threads import in_chunks

KEEP_S = 7 * 86400
"""How long a failed or dropped callback is kept."""
DONE_KEEP_S = 86400
"""How long a sent one is kept: a large pool ends many meetings a day, and Redis is memory."""
PENDING_KEEP_S = 30 * 86400
"""Keys expire even if no appliance ever runs again."""
_MAX_ERROR = 500
_CHUNK = 200


class RedisQueue:
    """The queue. Every method raises StoreDown."""

    def __init__(self, redis: RedisStore, now_ms: Callable[[], int]) -> None:
        self._redis = redis
        self._now_ms = now_ms

    async def add(self, callback: Callback, dedup_key: str) -> bool:
        """Add a callback; False: its key exists."""
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
        self, owner: str, limit: int, lease_s: float, *, full: Sequence[str], retries: bool
    ) -> list[QueuedCallback]:
        """Claim callbacks that are due."""
        about = (self._now_ms(), int(lease_s * 1000), limit, int(retries))
        found = await self._redis.run("claim_callbacks", owner, *about, *full)
        return [self._queued_of(callback_id, flat) for callback_id, flat in found]

    async def renew(self, owner: str, ids: Sequence[str], lease_s: float) -> None:
        """Extend claims."""
        await self._change("renew", owner, int(lease_s * 1000), ids)

    async def record_result(
        self, owner: str, queued: QueuedCallback, result: AttemptResult
    ) -> bool:
        """Record the result of an attempt; False: the claim has expired and was taken over."""
        values = (
            result.state.value,
            result.status or "",
            (result.error or "")[:_MAX_ERROR],
            int(result.wait_s * 1000),
            DONE_KEEP_S if result.state is CallbackState.DONE else KEEP_S,
        )
        now_ms = self._now_ms()
        return bool(
            await self._redis.run("record_callback_result", owner, queued.id, now_ms, *values)
        )

    async def make_due(self) -> int:
        """Make all waiting callbacks due now; return their number."""
        return len(await self._change("due", "", 0, await self._ids("callbacks_due")))

    async def make_postponed_due(self, lease_s: float) -> int:
        """Make callbacks due that only a clock that was set back delays; return their number."""
        now_ms = self._now_ms()
        tolerance_ms = int(CLOCK_TOLERANCE_S * 1000)
        limits_ms = [int(one * 1000) + tolerance_ms for one in (lease_s, *longest_delays_s())]
        key = self._redis.own_key("callbacks_due")
        later = await self._redis.command("ZRANGEBYSCORE", key, f"({now_ms + tolerance_ms}", "+inf")
        changed = 0
        for chunk in in_chunks(later, _CHUNK):
            changed += await self._redis.run(
                "advance_callbacks", now_ms, len(limits_ms), *limits_ms, *chunk
            )
        return changed

    async def prune(self, older_than_s: float) -> int:
        """Delete the ids of expired callbacks; the callbacks themselves expire in Redis."""
        return len(await self._change("prune", "", 0, await self._ids("callbacks")))

    async def show(self, state: CallbackState | None, limit: int) -> list[QueuedCallback]:
        """Return the newest callbacks, newest first."""
        ids = await self._redis.command("ZREVRANGE", self._redis.own_key("callbacks"), 0, -1)
        found: list[QueuedCallback] = []
        for chunk in in_chunks(ids, _CHUNK):
            commands = [("HGETALL", self._redis.own_key(f"callback:{one}")) for one in chunk]
            for one, flat in zip(chunk, await self._redis.pipeline(commands), strict=True):
                queued = self._queued_of(one, flat) if flat else None
                if queued is not None and state in (None, queued.state):
                    found.append(queued)
            if len(found) >= limit:
                break
        return found[:limit]

    async def count(self) -> dict[CallbackState, int]:
        """Return the numbers of pending and failed callbacks."""
        ids = await self._ids("callbacks")
        states = await self._redis.pipeline(
            [("HGET", self._redis.own_key(f"callback:{one}"), "state") for one in ids]
        )
        wanted = (CallbackState.PENDING, CallbackState.FAILED)
        return {state: states.count(state.value) for state in wanted if state.value in states}

    async def retry(self, ids: Sequence[str] | None) -> list[str]:
        """Restart the attempts of callbacks; None: of all failed ones."""
        if ids is None:
            known = await self._ids("callbacks")
            return await self._change("retry_failed", "", PENDING_KEEP_S, known)
        return await self._change("retry", "", PENDING_KEEP_S, _ours(ids))

    async def drop(self, ids: Sequence[str]) -> list[str]:
        """Drop callbacks."""
        return await self._change("drop", "", KEEP_S, _ours(ids))

    async def _change(self, what: str, owner: str, time: int, ids: Sequence[str]) -> list[str]:
        """Change callbacks in small chunks, since a script blocks Redis while it runs."""
        changed = list[str]()
        for chunk in in_chunks(ids, _CHUNK):
            changed += await self._redis.run(
                "change_callbacks", what, owner, self._now_ms(), time, *chunk
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
