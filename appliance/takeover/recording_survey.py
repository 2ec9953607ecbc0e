"""Read the schema and the recordings of Scalelite's database, in pages by row id.

Changes nothing, and does not require the schema of the appliance.
Source: PostgreSQL manual, "System Catalogs"; docs/stores.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.callbacks.attributes_yaml import MAX_TEXT
from appliance.postgres.database import Database
from appliance.takeover.recording_findings import COLUMNS, SchemaState, SurveyedRecording

DEADLINE_S = 60.0
"""For one page: only the operator waits for it."""

_COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = ANY($1::text[])
"""
_UNIQUE = """
SELECT t.relname AS name,
    (SELECT array_agg(a.attname::text ORDER BY k.place)
     FROM unnest(i.indkey::int[]) WITH ORDINALITY AS k (number, place)
     JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number) AS columns
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = 'public' AND t.relname = ANY($1::text[])
    AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
"""
_NOT_OWNED = """
SELECT t.relname AS name FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = 'public' AND t.relname = ANY($1::text[]) AND t.relkind = 'r'
    AND NOT pg_has_role(t.relowner, 'USAGE')
"""
_MAY_CREATE = """
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'appliance')
    OR has_database_privilege(current_database(), 'CREATE') AS may
"""
_PAGE = """
SELECT r.id, r.record_id, r.state, r.published, (
    SELECT array_agg(f.format::text ORDER BY f.format) FROM public.playback_formats f
    WHERE f.recording_id = r.id AND f.format IS NOT NULL
) AS formats
FROM public.recordings r WHERE r.id > $1 AND r.record_id IS NOT NULL ORDER BY r.id LIMIT $2
"""
# Older ones belong to meetings that were not recorded: Scalelite never deletes their rows.
_CALLBACKS = """
SELECT meeting_id, left(callback_attributes, $2) AS attributes FROM public.callback_data
WHERE recording_id IS NULL AND updated_at > (now() AT TIME ZONE 'UTC') - interval '14 days'
ORDER BY id DESC LIMIT $1
"""


@dataclass(frozen=True, slots=True)
class RecordingSurvey:
    """Reads one database. Every method raises DatabaseDown."""

    store: Database

    async def read_schema(self) -> SchemaState:
        """Return the state of Scalelite's tables."""
        tables = list(COLUMNS)
        columns: dict[str, set[str]] = {}
        for row in await self.store.fetch(_COLUMNS, tables):
            columns.setdefault(row["table_name"], set()).add(row["column_name"])
        unique = await self.store.fetch(_UNIQUE, tables)
        not_owned = await self.store.fetch(_NOT_OWNED, tables)
        may_create = await self.store.fetchrow(_MAY_CREATE)
        return SchemaState(
            columns={table: frozenset(names) for table, names in columns.items()},
            unique=frozenset((row["name"], tuple(row["columns"] or ())) for row in unique),
            migrations=frozenset(await self._migrations()),
            not_owned=tuple(sorted(row["name"] for row in not_owned)),
            may_create=may_create is not None and may_create["may"],
        )

    async def _migrations(self) -> list[str]:
        there = "SELECT to_regclass('public.schema_migrations') IS NOT NULL AS yes"
        row = await self.store.fetchrow(there)
        if row is None or not row["yes"]:
            return []
        rows = await self.store.fetch("SELECT version::text FROM public.schema_migrations")
        return [one["version"] for one in rows]

    async def count_by_state(self) -> dict[str, int]:
        """Return the number of recordings by state; an empty name stands for no state."""
        sql = "SELECT COALESCE(state, '') AS state, count(*) FROM public.recordings GROUP BY 1"
        rows = await self.store.fetch(sql, deadline_s=DEADLINE_S)
        return {row["state"]: row["count"] for row in rows}

    async def callbacks(self, limit: int) -> list[tuple[str, str | None]]:
        """Return the newest callbacks that are still due: meeting id and attributes."""
        rows = await self.store.fetch(_CALLBACKS, limit, MAX_TEXT + 1, deadline_s=DEADLINE_S)
        return [(row["meeting_id"] or "", row["attributes"]) for row in rows]

    async def page(self, after: int, limit: int) -> list[SurveyedRecording]:
        """Return the next recordings by row id, deleted ones included."""
        return [
            SurveyedRecording(
                row["id"],
                row["record_id"],
                row["state"],
                row["published"],
                tuple(row["formats"] or ()),
            )
            for row in await self.store.fetch(_PAGE, after, limit, deadline_s=DEADLINE_S)
        ]

    async def known(self, record_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that belong to recordings, deleted ones included."""
        sql = "SELECT record_id FROM public.recordings WHERE record_id = ANY($1::text[])"
        rows = await self.store.fetch(sql, list(record_ids), deadline_s=DEADLINE_S)
        return {row["record_id"] for row in rows}
