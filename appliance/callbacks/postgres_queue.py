"""The queue of callbacks in PostgreSQL (`appliance.callbacks`).

Holds no rule about what is sent again. Truth: the table. A claim is a lease: it runs out by itself
when its appliance dies, and then another sends the same callback, so a receiver may get one twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from appliance.callbacks.rules import (
    Callback,
    CallbackKind,
    CallbackState,
    QueuedCallback,
    Settlement,
    Signing,
    host_of_url,
)
from appliance.model import TenantId
from appliance.postgres.database import Connection, Database, Record

_MAX_ERROR = 500
_MAX_KEY = 1000
"""In bytes; an entry of an index can have 2.7 kB."""
_MAX_ID = 2**63

_COLUMNS = """id, kind, url, method, content_type, signing, secret_id, tenant_id, meeting_id,
    record_id, state, attempts, last_status, last_error,
    extract(epoch FROM now() - since)::float8 AS age_s,
    GREATEST(0, extract(epoch FROM next_at - now()))::float8 AS wait_s,
    (extract(epoch FROM created_at) * 1000)::bigint AS created_ms,
    state = 'pending' AND claimed_until > now() AS sending"""
_INSERT = """
INSERT INTO appliance.callbacks (dedup_key, kind, url, host, method, content_type, body, signing,
    secret_id, tenant_id, meeting_id, record_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (dedup_key) DO NOTHING RETURNING id
"""
# Materialised: a subquery that the planner runs twice would lock, and take, other rows each time.
_CLAIM = f"""
WITH due AS MATERIALIZED (
    SELECT id AS due_id FROM appliance.callbacks
    WHERE state = 'pending' AND next_at <= now()
        AND (claimed_until IS NULL OR claimed_until <= now())
        AND host <> ALL ($3::text[]) AND (attempts = 0 OR $4)
    ORDER BY next_at LIMIT $5 FOR UPDATE SKIP LOCKED
)
UPDATE appliance.callbacks
SET claimed_by = $1, claimed_until = now() + $2::float8 * interval '1 second'
FROM due WHERE id = due_id
RETURNING {_COLUMNS}, body
"""
_RENEW = """
UPDATE appliance.callbacks SET claimed_until = now() + $3::float8 * interval '1 second'
WHERE id = ANY ($2::bigint[]) AND claimed_by = $1 AND state = 'pending'
"""
_SETTLE = """
UPDATE appliance.callbacks SET state = $3, last_status = $4, last_error = $5,
    attempts = attempts + 1, next_at = now() + $6::float8 * interval '1 second',
    finished_at = CASE WHEN $3 = 'pending' THEN NULL ELSE now() END,
    claimed_by = NULL, claimed_until = NULL
WHERE id = $2 AND claimed_by = $1 AND state = 'pending' RETURNING id
"""
_MAKE_DUE = """
UPDATE appliance.callbacks SET next_at = now() WHERE state = 'pending' AND next_at > now()
RETURNING id
"""
_PRUNE = """
DELETE FROM appliance.callbacks
WHERE state <> 'pending' AND finished_at < now() - $1::float8 * interval '1 second' RETURNING id
"""
_SHOW = f"""
SELECT {_COLUMNS}, ''::bytea AS body FROM appliance.callbacks WHERE $1::text IS NULL OR state = $1
ORDER BY created_at DESC, id DESC LIMIT $2
"""
_COUNT = """
SELECT state, count(*) AS number FROM appliance.callbacks
WHERE state IN ('pending', 'failed') GROUP BY state
"""
_RETRY = """
UPDATE appliance.callbacks SET state = 'pending', attempts = 0, since = now(), next_at = now(),
    finished_at = NULL, claimed_by = NULL, claimed_until = NULL
WHERE CASE WHEN $1::bigint[] IS NULL THEN state = 'failed' ELSE id = ANY ($1) END
    AND (claimed_until IS NULL OR claimed_until <= now())
RETURNING id
"""
_DROP = """
UPDATE appliance.callbacks SET state = 'dropped', finished_at = now(), claimed_by = NULL,
    claimed_until = NULL
WHERE id = ANY ($1::bigint[]) AND state IN ('pending', 'failed') RETURNING id
"""


async def insert_callback(connection: Connection, callback: Callback, dedup_key: str) -> bool:
    """Write a callback on a connection of the caller's, whose transaction decides about it too.

    False: one of this key is known.
    """
    found = await connection.fetchval(_INSERT, _key_of(dedup_key), *_values_of(callback))
    return found is not None


class PostgresQueue:
    """The queue; every method raises DatabaseDown, and DatabaseRefused for a fault of ours."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def add(self, callback: Callback, dedup_key: str) -> bool:
        """Keep a callback; False: its key is known."""

        async def work(connection: Connection) -> bool:
            return await insert_callback(connection, callback, dedup_key)

        return await self._store.run(work)

    async def claim(
        self, who: str, limit: int, lease_s: float, *, full: Sequence[str], retries: bool
    ) -> list[QueuedCallback]:
        """Take callbacks that are due."""
        rows = await self._store.fetch(_CLAIM, who, lease_s, list(full), retries, limit)
        return sorted(map(_queued_of, rows), key=lambda one: int(one.id))

    async def renew(self, who: str, ids: Sequence[str], lease_s: float) -> None:
        """Keep claims for longer."""
        await self._store.execute(_RENEW, who, _numbers(ids), lease_s)

    async def settle(self, who: str, queued: QueuedCallback, settlement: Settlement) -> bool:
        """Write what became of a claimed callback; False: it is somebody else's by now."""
        error = None if settlement.error is None else storable(settlement.error)[:_MAX_ERROR]
        values = (settlement.state, settlement.status, error, settlement.wait_s)
        return await self._store.fetchrow(_SETTLE, who, int(queued.id), *values) is not None

    async def make_due(self) -> int:
        """Let everything that waits be tried now."""
        return len(await self._store.fetch(_MAKE_DUE))

    async def prune(self, older_than_s: float) -> int:
        """Remove what was finished so long ago."""
        return len(await self._store.fetch(_PRUNE, older_than_s))

    async def show(self, state: CallbackState | None, limit: int) -> list[QueuedCallback]:
        """Return the newest callbacks, newest first, without their bodies."""
        return [_queued_of(row) for row in await self._store.fetch(_SHOW, state, limit)]

    async def count(self) -> dict[CallbackState, int]:
        """Return how many are pending, and how many failed."""
        rows = await self._store.fetch(_COUNT)
        return {CallbackState(row["state"]): row["number"] for row in rows}

    async def retry(self, ids: Sequence[str] | None) -> list[str]:
        """Give callbacks a new day; None: all that failed."""
        numbers = None if ids is None else _numbers(ids)
        return [str(row["id"]) for row in await self._store.fetch(_RETRY, numbers)]

    async def drop(self, ids: Sequence[str]) -> list[str]:
        """Take callbacks out of the queue."""
        return [str(row["id"]) for row in await self._store.fetch(_DROP, _numbers(ids))]


def _key_of(dedup_key: str) -> str:
    """Return a key that an index of PostgreSQL takes."""
    data = dedup_key.encode("utf-8", "surrogatepass")
    if len(data) > _MAX_KEY or storable(dedup_key) != dedup_key:
        return hashlib.sha256(data).hexdigest()
    return dedup_key


def _values_of(callback: Callback) -> tuple[object, ...]:
    return (
        callback.kind,
        storable(callback.url),
        host_of_url(callback.url),
        callback.method,
        callback.content_type,
        callback.body,
        callback.signing,
        callback.secret_id,
        callback.tenant_id,
        storable(callback.meeting_id),
        callback.record_id,
    )


def _queued_of(row: Record) -> QueuedCallback:
    tenant_id = row["tenant_id"]
    return QueuedCallback(
        id=str(row["id"]),
        callback=Callback(
            kind=CallbackKind(row["kind"]),
            url=row["url"],
            meeting_id=row["meeting_id"],
            tenant_id=None if tenant_id is None else TenantId(tenant_id),
            record_id=row["record_id"],
            method=row["method"],
            content_type=row["content_type"],
            body=row["body"],
            signing=Signing(row["signing"]),
            secret_id=row["secret_id"],
        ),
        state=CallbackState(row["state"]),
        attempts=row["attempts"],
        age_s=row["age_s"],
        wait_s=row["wait_s"],
        created_ms=row["created_ms"],
        last_status=row["last_status"],
        last_error=row["last_error"],
        sending=bool(row["sending"]),
    )


def _numbers(ids: Sequence[str]) -> list[int]:
    """Return the ids that can be ours."""
    plain = (text for text in ids if text.isascii() and text.isdecimal() and len(text) < 20)
    return [number for number in map(int, plain) if number < _MAX_ID]


def storable(text: str) -> str:
    """Return a text that PostgreSQL takes: no NUL, no half characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
