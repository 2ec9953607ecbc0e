"""The callback URLs of meetings: Scalelite's table `callback_data`, with Redis as write buffer.

A create stores its URLs in Redis, which is fast and required by the create anyway; a background
task writes them to PostgreSQL. `appliance.callback_origins` records the tenant of each row: two
tenants may use the same meetingID, and the second one's row has the scoped id. Entries in Redis are
newer than the table.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import trio

from appliance.callbacks.attributes_yaml import (
    InvalidCallbackData,
    KeptUrls,
    parse_callback_attributes,
    render_callback_attributes,
)
from appliance.callbacks.postgres_queue import storable
from appliance.faults import DatabaseDown, StoreDown
from appliance.log import Log
from appliance.model import TenantId
from appliance.postgres.database import Connection, Database
from appliance.postgres.errors import DatabaseRefused
from appliance.redis.store import RedisStore
from appliance.tenants.scoped_id import scoped_id

REDIS_ONLY_KEEP_S = 7 * 86400
"""How long the URLs of a meeting are kept in Redis if there is no database."""
LOCK_CLASS = 0xCA11
"""First half of the key of the advisory locks on a meeting's URLs; the other is a hash of the
meetingID."""
WRITE_DEADLINE_S = 1.0
PRUNE_DEADLINE_S = 60.0
_CHUNK = 100

_LOCK = "SELECT pg_advisory_xact_lock($1::int, hashtext($2))"
_ORIGIN = "SELECT tenant_id, secret_id FROM appliance.callback_origins WHERE meeting_id = $1"
_SET_ORIGIN = """
INSERT INTO appliance.callback_origins (meeting_id, tenant_id, secret_id) VALUES ($1, $2, $3)
ON CONFLICT (meeting_id) DO UPDATE SET tenant_id = EXCLUDED.tenant_id,
    secret_id = EXCLUDED.secret_id, updated_at = now()
"""
# Scalelite's schema has no unique constraint on meetings; Scalelite uses the first row.
_ROW = """
SELECT id, callback_attributes FROM public.callback_data WHERE meeting_id = $1
ORDER BY id LIMIT 1
"""
_ADD_ROW = """
INSERT INTO public.callback_data (meeting_id, callback_attributes, created_at, updated_at)
VALUES ($1, $2, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')
"""
_SET_ROW = """
UPDATE public.callback_data SET callback_attributes = $2, updated_at = now() AT TIME ZONE 'UTC'
WHERE id = $1
"""


# Deletes origins and rows together, since a row without origin belongs to any tenant. Rows that a
# Scalelite wrote have no origin and stay, as do rows that it has changed since.
_PRUNE = """
WITH old AS (
    DELETE FROM appliance.callback_origins AS origin
    WHERE updated_at < now() - $1::float8 * interval '1 second' AND NOT EXISTS (
        SELECT FROM public.callback_data AS row
        WHERE row.meeting_id = origin.meeting_id
            AND row.updated_at >= now() AT TIME ZONE 'UTC' - $1::float8 * interval '1 second'
    ) RETURNING meeting_id
), removed AS (
    DELETE FROM public.callback_data AS row USING old
    WHERE row.meeting_id = old.meeting_id
        AND row.updated_at < now() AT TIME ZONE 'UTC' - $1::float8 * interval '1 second'
)
SELECT count(*) FROM old
"""


@dataclass(frozen=True, slots=True)
class UrlRow:
    """A row of callback_data."""

    row_id: int
    kept: KeptUrls


async def find_urls(
    connection: Connection, meeting_id: str, tenant_id: str | None, log: Log
) -> UrlRow | None:
    """Return the row of a tenant's meeting, None if there is none of this tenant."""
    if tenant_id:
        scoped = scoped_id(meeting_id, tenant_id)
        found = await _read(connection, scoped, tenant_id, log)
        if found is not None:
            return found
    return await _read(connection, meeting_id, tenant_id, log)


async def _read(
    connection: Connection, kept_id: str, tenant_id: str | None, log: Log
) -> UrlRow | None:
    row = await connection.fetchrow(_ROW, kept_id)
    if row is None:
        return None
    origin = await connection.fetchrow(_ORIGIN, kept_id)
    # Scalelite writes no origin and has one row for all tenants with this meetingID.
    if origin is not None and origin["tenant_id"] != tenant_id:
        return None
    urls = _attributes_of(row["callback_attributes"], kept_id, log)
    return UrlRow(row["id"], KeptUrls(urls, origin["secret_id"] if origin else None))


def _attributes_of(text: str | None, kept_id: str, log: Log) -> dict[str, str]:
    try:
        return parse_callback_attributes(text or "")
    except InvalidCallbackData as error:
        log.warning("callback_data_refused", meeting=kept_id, reason=str(error))
        return {}


@dataclass(frozen=True, slots=True)
class CallbackUrls:
    """The callback URLs of meetings."""

    database: Database | None
    """None: DB_DISABLED or RECORDING_DISABLED."""
    redis: RedisStore
    log: Log
    _flushing: trio.Lock = field(default_factory=trio.Lock)

    async def keep(self, meeting_id: str, tenant_id: TenantId | None, kept: KeptUrls) -> None:
        """Store URLs of a meeting. Raises StoreDown: no store accepted them."""
        entry = json.dumps(
            {
                "meeting_id": meeting_id,
                "tenant_id": tenant_id,
                "secret_id": kept.secret_id,
                "urls": dict(kept.urls),
            }
        )
        if self.database is None:
            await self.redis.command(
                "SET", self._redis_only_key(meeting_id, tenant_id), entry, "EX", REDIS_ONLY_KEEP_S
            )
            return
        try:
            await self.redis.command("RPUSH", self._pending_key, entry)
        except StoreDown:
            try:
                await self._write(json.loads(entry), WRITE_DEADLINE_S)
            except (DatabaseDown, DatabaseRefused) as error:
                raise StoreDown(str(error)) from error

    async def flush(self) -> int:
        """Write the entries in Redis to the database; return their number.

        An entry is deleted after it was written, so at worst it is written twice. Raises
        DatabaseDown, StoreDown.
        """
        async with self._flushing:
            return await self._flush()

    async def flush_soon(self) -> None:
        """Flush unless another task is flushing, which continues until nothing is left.

        Raises DatabaseDown, StoreDown.
        """
        if not self._flushing.locked():
            await self.flush()

    async def _flush(self) -> int:
        moved = 0
        while self.database is not None:
            waiting = await self.redis.command("LRANGE", self._pending_key, 0, _CHUNK - 1)
            if not waiting:
                break
            for entry in waiting:
                await self._write_entry(entry)
                moved += 1
        return moved

    async def prune(self, older_than_s: float) -> int:
        """Delete the URLs of meetings whose last create is that long ago; return their number."""
        if self.database is None:
            return 0
        row = await self.database.fetchrow(_PRUNE, older_than_s, deadline_s=PRUNE_DEADLINE_S)
        return int(row["count"]) if row else 0

    async def find(self, meeting_id: str, tenant_id: TenantId | None) -> KeptUrls | None:
        """Return the URLs of a meeting, None if there are none. Raises DatabaseDown, StoreDown."""
        if self.database is None:
            entry = await self.redis.command("GET", self._redis_only_key(meeting_id, tenant_id))
            return None if entry is None else _kept_of(json.loads(entry))
        with suppress(StoreDown):  # the database may have them already
            await self.flush()

        async def work(connection: Connection) -> UrlRow | None:
            return await find_urls(connection, meeting_id, tenant_id, self.log)

        found = await self.database.run(work)
        return None if found is None else found.kept

    async def _write_entry(self, entry: str) -> None:
        try:
            await self._write(json.loads(entry))
        except (DatabaseRefused, ValueError, KeyError, TypeError) as error:
            # Retrying would fail again and block the following entries.
            self.log.error("callback_url_lost", reason=f"{type(error).__name__}: {error}")
        await self.redis.command("LREM", self._pending_key, 1, entry)

    async def _write(self, entry: dict[str, Any], deadline_s: float = 5.0) -> None:
        assert self.database is not None
        meeting_id, tenant_id = storable(entry["meeting_id"]), entry["tenant_id"]
        urls = {name: storable(url) for name, url in entry["urls"].items()}

        async def work(connection: Connection) -> None:
            await connection.execute(_LOCK, LOCK_CLASS, meeting_id)
            kept_id = meeting_id
            origin = await connection.fetchrow(_ORIGIN, meeting_id)
            if tenant_id and origin and origin["tenant_id"] not in (None, tenant_id):
                kept_id = scoped_id(meeting_id, tenant_id)
            # Before the row is read: from now on `prune` does not delete it.
            await connection.execute(_SET_ORIGIN, kept_id, tenant_id, entry["secret_id"])
            row = await connection.fetchrow(_ROW, kept_id)
            if row is None:
                await connection.execute(_ADD_ROW, kept_id, render_callback_attributes(urls))
            else:
                known = _attributes_of(row["callback_attributes"], kept_id, self.log)
                text = render_callback_attributes(known | urls)
                await connection.execute(_SET_ROW, row["id"], text)

        await self.database.run(work, deadline_s=deadline_s, transaction=True)

    @property
    def _pending_key(self) -> str:
        return self.redis.own_key("callback_urls")

    def _redis_only_key(self, meeting_id: str, tenant_id: str | None) -> str:
        kept_id = scoped_id(meeting_id, tenant_id) if tenant_id else meeting_id
        return self.redis.own_key(f"callback_urls_of:{kept_id}")


def _kept_of(entry: dict[str, Any]) -> KeptUrls:
    return KeptUrls(entry["urls"], entry["secret_id"])
