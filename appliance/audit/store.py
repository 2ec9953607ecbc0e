"""The entries of the audit trail in Redis, where they wait, and in PostgreSQL (docs/stores.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from appliance.audit.rules import AuditEntry, AuditQuery, parse_entries, render_entry
from appliance.postgres.database import Connection, Database, Record
from appliance.redis.store import RedisStore

MAX_WAITING = 10_000
"""Entries in Redis: while the database is away, and without one. The oldest are dropped."""
CHUNK = 100
_PRUNE_ROWS = 5000

_ADD = """
INSERT INTO appliance.audit (id, time, who, call, object, before, after, result)
VALUES ($1, to_timestamp($2::float8 / 1000), $3, $4, $5, $6::jsonb, $7::jsonb, $8)
ON CONFLICT (id) DO NOTHING
"""
_FIND = """
SELECT id, (extract(epoch FROM time) * 1000)::bigint AS time_ms, who, call, object,
    before::text AS before, after::text AS after, result
FROM appliance.audit
WHERE ($1::float8 IS NULL OR time >= to_timestamp($1::float8 / 1000))
    AND position(lower($2) IN lower(object)) > 0 AND position(lower($3) IN lower(who)) > 0
ORDER BY time DESC, id LIMIT $4
"""
_PRUNE = """
DELETE FROM appliance.audit WHERE id IN (
    SELECT id FROM appliance.audit WHERE time < to_timestamp($1::float8 / 1000) LIMIT $2
)
"""


@dataclass(frozen=True, slots=True)
class WaitingEntries:
    """The entries in Redis, oldest first. Every method raises StoreDown."""

    redis: RedisStore

    @property
    def _key(self) -> str:
        return self.redis.own_key("audit")

    async def add(self, entries: Sequence[AuditEntry]) -> int:
        """Add entries; return how many were dropped because there are too many."""
        count = await self.redis.command("RPUSH", self._key, *map(render_entry, entries))
        if count <= MAX_WAITING:
            return 0
        await self.redis.command("LTRIM", self._key, -MAX_WAITING, -1)
        return int(count) - MAX_WAITING

    async def read(self, count: int = MAX_WAITING) -> list[str]:
        """Return the oldest entries as they are stored."""
        return list(await self.redis.command("LRANGE", self._key, 0, count - 1))

    async def remove(self, texts: Sequence[str]) -> None:
        """Remove entries; several appliances may do so at once."""
        await self.redis.pipeline([("LREM", self._key, 1, text) for text in texts])


@dataclass(frozen=True, slots=True)
class AuditTable:
    """The table `appliance.audit`. Every method raises DatabaseDown, DatabaseRefused."""

    database: Database

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        """Write entries, all or none; those that it has already are skipped."""
        rows = [_row_of(entry) for entry in entries]

        async def work(connection: Connection) -> None:
            await connection.executemany(_ADD, rows)

        await self.database.run(work, transaction=True)

    async def find(self, query: AuditQuery) -> list[AuditEntry]:
        """Return the entries of a search, newest first."""
        since_ms = None if query.since_ms is None else float(query.since_ms)
        rows = await self.database.fetch(_FIND, since_ms, query.object, query.who, query.limit)
        return [_entry_of(row) for row in rows]

    async def prune(self, before_ms: int) -> None:
        """Delete older entries, a batch at a time."""
        while await self.database.execute(_PRUNE, float(before_ms), _PRUNE_ROWS) != "DELETE 0":
            pass


def _row_of(entry: AuditEntry) -> tuple[Any, ...]:
    before, after = (
        None if values is None else json.dumps(values, ensure_ascii=False)
        for values in (entry.before, entry.after)
    )
    texts = (entry.who, entry.call, entry.object)
    return (UUID(entry.id), float(entry.time_ms), *texts, before, after, entry.result)


def _entry_of(row: Record) -> AuditEntry:
    before, after = (
        None if text is None else json.loads(text) for text in (row["before"], row["after"])
    )
    texts = (row["who"], row["call"], row["object"])
    return AuditEntry(str(row["id"]), row["time_ms"], *texts, before, after, row["result"])


def parse_waiting(texts: list[str], query: AuditQuery) -> list[AuditEntry]:
    """Return the waiting entries of a search, newest first."""
    found = [entry for entry in parse_entries(texts) if query.accepts(entry)]
    return sorted(found, key=lambda entry: entry.time_ms, reverse=True)
