"""The callback queue in PostgreSQL (table `appliance.callbacks`).

rules.py decides what is retried. A claim is a lease: if its appliance dies, it expires, and another
appliance sends the same callback, so a receiver may get a callback twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

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
from appliance.model import TenantId
from appliance.postgres.database import Connection, Database, Record

_MAX_ERROR = 500
_MAX_KEY = 1000
"""In bytes; an entry of a PostgreSQL index can have 2.7 kB."""
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
# Materialised: if the planner ran the subquery twice, it would lock different rows each time.
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
_RECORD_RESULT = """
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
# $3: the delays after 0, 1, 2… attempts, of which the last holds for all others.
_MAKE_POSTPONED_DUE = """
UPDATE appliance.callbacks SET next_at = now(), claimed_by = NULL, claimed_until = NULL
WHERE state = 'pending' AND (
    claimed_until > now() + ($1::float8 + $2::float8) * interval '1 second'
    OR next_at > now() + interval '1 second'
        * ($1::float8 + ($3::float8[])[LEAST(attempts + 1, cardinality($3::float8[]))])
)
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
    """Insert a callback in the transaction of the caller's connection.

    False: one with this key exists.
    """
    found = await connection.fetchval(_INSERT, _key_of(dedup_key), *_values_of(callback))
    return found is not None


class PostgresQueue:
    """The queue. Every method raises DatabaseDown, and DatabaseRefused for a defect."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def add(self, callback: Callback, dedup_key: str) -> bool:
        """Add a callback; False: its key exists."""

        async def work(connection: Connection) -> bool:
            return await insert_callback(connection, callback, dedup_key)

        return await self._store.run(work)

    async def claim(
        self, owner: str, limit: int, lease_s: float, *, full: Sequence[str], retries: bool
    ) -> list[QueuedCallback]:
        """Claim callbacks that are due."""
        rows = await self._store.fetch(_CLAIM, owner, lease_s, list(full), retries, limit)
        return sorted(map(_queued_of, rows), key=lambda one: int(one.id))

    async def renew(self, owner: str, ids: Sequence[str], lease_s: float) -> None:
        """Extend claims."""
        await self._store.execute(_RENEW, owner, _numbers(ids), lease_s)

    async def record_result(
        self, owner: str, queued: QueuedCallback, result: AttemptResult
    ) -> bool:
        """Record the result of an attempt; False: the claim has expired and was taken over."""
        error = None if result.error is None else storable(result.error)[:_MAX_ERROR]
        values = (result.state, result.status, error, result.wait_s)
        return (
            await self._store.fetchrow(_RECORD_RESULT, owner, int(queued.id), *values) is not None
        )

    async def make_due(self) -> int:
        """Make all waiting callbacks due now; return their number."""
        return len(await self._store.fetch(_MAKE_DUE))

    async def make_postponed_due(self, lease_s: float) -> int:
        """Make callbacks due that only a clock that was set back delays; return their number."""
        limits = (CLOCK_TOLERANCE_S, lease_s, list(longest_delays_s()))
        return len(await self._store.fetch(_MAKE_POSTPONED_DUE, *limits))

    async def prune(self, older_than_s: float) -> int:
        """Delete callbacks that were finished that long ago; return their number."""
        return len(await self._store.fetch(_PRUNE, older_than_s))

    async def show(self, state: CallbackState | None, limit: int) -> list[QueuedCallback]:
        """Return the newest callbacks, newest first, without their bodies."""
        return [_queued_of(row) for row in await self._store.fetch(_SHOW, state, limit)]

    async def count(self) -> dict[CallbackState, int]:
        """Return the numbers of pending and failed callbacks."""
        rows = await self._store.fetch(_COUNT)
        return {CallbackState(row["state"]): row["number"] for row in rows}

    async def retry(self, ids: Sequence[str] | None) -> list[str]:
        """Restart the attempts of callbacks; None: of all failed ones."""
        numbers = None if ids is None else _numbers(ids)
        return [str(row["id"]) for row in await self._store.fetch(_RETRY, numbers)]

    async def drop(self, ids: Sequence[str]) -> list[str]:
        """Drop callbacks."""
        return [str(row["id"]) for row in await self._store.fetch(_DROP, _numbers(ids))]


def _key_of(dedup_key: str) -> str:
    """Return a key that fits into an index of PostgreSQL."""
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
    """Return the ids that can be rows of the table."""
    plain = (text for text in ids if text.isascii() and text.isdecimal() and len(text) < 20)
    return [number for number in map(int, plain) if number < _MAX_ID]


def storable(text: str) -> str:
    """Return a text that PostgreSQL accepts: without NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
