"""The rows of PostgreSQL that belong to a backup: their sections, and the SQL for them.

Rows are read and written as JSON by PostgreSQL itself, all columns of them, so that a new column
needs no change here. Numbers that only these stores know (`id`, `pair`) are left out: rows refer
to each other by names. Source of the tables: postgres/schema/.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.backup.keys import SECRET
from appliance.backup.plan import Count
from appliance.postgres.database import Connection
from appliance.redaction import is_secret_name

CHUNK_ROWS = 2000
OTHER = "table "
"""Begins the name of the section of a table that is not in TABLES: `table maintenance`."""


@dataclass(frozen=True, slots=True)
class Table:
    """A section with the rows of one table."""

    section: str
    name: str
    key: tuple[str, ...]
    """Columns that tell rows apart."""
    left_out: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    where: str = ""
    paired: bool = False
    """It refers to usage_pairs."""
    unique: bool = True
    """False: the database does not enforce the key."""
    final: bool = False
    """A row never changes, so that one that is there is as good."""


_CLAIMS = ("id", "claimed_by", "claimed_until")
TABLES = (
    Table("recording_sizes", "appliance.recording_sizes", ("record_id", "format")),
    Table(
        *("callback_data", "public.callback_data", ("meeting_id",), ("id", "recording_id")),
        secrets=("callback_attributes",),
        unique=False,
    ),
    Table("callback_origins", "appliance.callback_origins", ("meeting_id",)),
    Table(
        *("queued_callbacks", "appliance.callbacks", ("dedup_key",), _CLAIMS, ("url", "body")),
        where="state IN ('pending', 'failed')",
    ),
    Table("usage_tenants", "appliance.usage_tenants", ("id",)),
    Table("usage_gaps", "appliance.usage_gaps", ("server", "began_at")),
    Table("usage_changed_hours", "appliance.usage_changed_hours", ("at",), final=True),
    Table("usage_hours", "appliance.usage_hours", ("pair", "at"), ("pair",), paired=True),
    Table("usage_runs", "appliance.meeting_runs", ("id",), ("pair",), paired=True, final=True),
    Table("usage_minutes", "appliance.usage_minutes", ("at", "pair"), ("pair",), paired=True),
)
_LEFT_OUT = (
    *("schema_version", "audit", "imports", "object_work", "object_uploads", "daily_work"),
    *("removed_metadata", "usage_pairs"),
)
"""Tables of the schema `appliance` that belong to these stores or this machine, or to others."""

RECORDINGS = "recordings"
_READ_RECORDINGS = """
SELECT ((to_jsonb(r) - 'id') || jsonb_build_object(
    'metadata', coalesce((SELECT jsonb_object_agg(m.key, m.value) FROM public.metadata m
        WHERE m.recording_id = r.id AND m.key IS NOT NULL), '{}'),
    'removed_metadata', coalesce((SELECT jsonb_agg(x.key) FROM appliance.removed_metadata x
        WHERE x.recording_id = r.id), '[]'),
    'formats', coalesce((SELECT jsonb_agg((to_jsonb(f) - 'id' - 'recording_id')
        || jsonb_build_object('thumbnails', coalesce((SELECT
            jsonb_agg(to_jsonb(t) - 'id' - 'playback_format_id' ORDER BY t.sequence, t.id)
            FROM public.thumbnails t WHERE t.playback_format_id = f.id), '[]')) ORDER BY f.id)
        FROM public.playback_formats f WHERE f.recording_id = r.id), '[]')))::text
FROM public.recordings r WHERE r.record_id IS NOT NULL ORDER BY r.id
"""
_WRITE_RECORDINGS = """
WITH docs AS (SELECT d FROM json_array_elements($1::json) d),
added AS (
    INSERT INTO public.recordings ({recordings})
    SELECT {r} FROM docs CROSS JOIN LATERAL json_populate_record(NULL::public.recordings, d) r
    WHERE NOT EXISTS (SELECT FROM public.recordings e WHERE e.record_id = r.record_id)
    ON CONFLICT DO NOTHING RETURNING id, record_id
),
found AS (SELECT added.id, docs.d FROM added JOIN docs ON docs.d->>'record_id' = added.record_id),
data AS (
    INSERT INTO public.metadata (recording_id, key, value)
    SELECT found.id, m.key, m.value FROM found, json_each_text(found.d->'metadata') m
),
removed AS (
    INSERT INTO appliance.removed_metadata (recording_id, key)
    SELECT found.id, x FROM found, json_array_elements_text(found.d->'removed_metadata') x
    ON CONFLICT DO NOTHING
),
formats AS (
    INSERT INTO public.playback_formats (recording_id, {formats})
    SELECT found.id, {f} FROM found, json_populate_recordset(
        NULL::public.playback_formats, found.d->'formats') f
    RETURNING id, recording_id, format
),
pictures AS (
    INSERT INTO public.thumbnails (playback_format_id, {thumbnails})
    SELECT formats.id, {t} FROM found
    CROSS JOIN LATERAL json_array_elements(found.d->'formats') each
    JOIN formats ON formats.recording_id = found.id AND formats.format = each->>'format'
    CROSS JOIN LATERAL json_populate_recordset(NULL::public.thumbnails, each->'thumbnails') t
)
SELECT count(*) FROM added
"""
_OLD = "SELECT id FROM public.recordings WHERE record_id = ANY ($1::text[])"
_DELETE_RECORDINGS = (
    f"""DELETE FROM public.thumbnails WHERE playback_format_id IN (
        SELECT id FROM public.playback_formats WHERE recording_id IN ({_OLD}))""",
    f"DELETE FROM public.playback_formats WHERE recording_id IN ({_OLD})",
    f"DELETE FROM public.metadata WHERE recording_id IN ({_OLD})",
    f"DELETE FROM appliance.removed_metadata WHERE recording_id IN ({_OLD})",
    "DELETE FROM public.recordings WHERE record_id = ANY ($1::text[])",
)
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_OTHER_TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'appliance' AND tablename <> ALL ($1::text[])
ORDER BY tablename
"""
_KEY = """
SELECT a.attname FROM pg_index i JOIN pg_attribute a
    ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = to_regclass($1) AND i.indisprimary
"""
_ADD_PAIRS = """
INSERT INTO appliance.usage_pairs (scope, tenant, server)
SELECT DISTINCT x.scope, x.tenant, x.server
FROM json_to_recordset($1::json) AS x (scope smallint, tenant text, server text)
WHERE NOT EXISTS (SELECT FROM appliance.usage_pairs p
    WHERE (p.scope, p.tenant, p.server) = (x.scope, x.tenant, x.server))
ON CONFLICT DO NOTHING
"""
_PAIR = """JOIN appliance.usage_pairs p
    ON (p.scope, p.tenant, p.server) = (x.scope, x.tenant, x.server)"""


async def list_tables(connection: Connection) -> list[Table]:
    """Return all sections of one table each, in the order in which they are written."""
    known = [table.name.partition(".")[2] for table in TABLES]
    rows = await connection.fetch(_OTHER_TABLES, [*known, *_LEFT_OUT])
    return [*TABLES, *[await _other_table(connection, row[0]) for row in rows]]


async def find_table(connection: Connection, section: str) -> Table | None:
    """Return the table of a section; None: this database has none."""
    return next((one for one in await list_tables(connection) if one.section == section), None)


async def _other_table(connection: Connection, name: str) -> Table:
    full = f'appliance."{name}"'
    columns = [row[0] for row in await connection.fetch(_COLUMNS, full)]
    key = tuple(row[0] for row in await connection.fetch(_KEY, full))
    secrets = tuple(one for one in columns if is_secret_name(one))
    return Table(f"{OTHER}{name}", full, key, secrets=secrets)


async def reading_sql(connection: Connection, table: Table) -> str:
    """Return the statement that yields each row of a table as JSON."""
    rows = await connection.fetch(_COLUMNS, table.name)
    columns = [
        f'CASE WHEN x."{name}" IS NOT NULL THEN json_build_object(\'{SECRET}\', x."{name}"::text)'
        f' END AS "{name}"'
        if name in table.secrets
        else f'x."{name}"'
        for name, _ in rows
        if name not in table.left_out
    ]
    pairs = "JOIN appliance.usage_pairs p ON p.id = x.pair" if table.paired else ""
    columns += ["p.scope", "p.tenant", "p.server"] if table.paired else []
    where = f"WHERE {table.where}" if table.where else ""
    inner = f"SELECT {', '.join(columns)} FROM {table.name} x {pairs} {where}"
    return f"SELECT row_to_json(y)::text FROM ({inner}) y"


def recordings_sql() -> str:
    """Return the statement that yields each recording, with all that belongs to it, as JSON."""
    return _READ_RECORDINGS


class TableWriter:
    """Writes the rows of one section of the table's own."""

    def __init__(self, table: Table, replace: bool) -> None:
        self._table = table
        self._replace = replace and not table.final and table.unique and bool(table.key)
        self._sql = ""

    async def write(self, connection: Connection, lines: Sequence[bytes], count: Count) -> None:
        """Write a chunk of rows, each as JSON."""
        text = _join(lines)
        if not self._sql:
            self._sql = await self._prepare(connection, set(json.loads(lines[0])))
        if self._table.paired:
            await connection.execute(_ADD_PAIRS, text)
        kept = len(lines) if self._replace else 0
        done = await connection.fetch(self._sql, text)
        added = sum(1 for row in done if row[0])
        count.total += len(lines)
        count.added += added
        if kept:
            count.replaced += len(done) - added
        else:
            count.kept += len(lines) - added

    async def _prepare(self, connection: Connection, given: set[str]) -> str:
        table = self._table
        rows = await connection.fetch(_COLUMNS, table.name)
        left_out = set(table.left_out)
        types = {name: type_ for name, type_ in rows if name in given and name not in left_out}
        names, values = [_quote(name) for name in types], [f"x.{_quote(name)}" for name in types]
        if table.paired:
            names, values = [*names, "pair"], [*values, "p.id"]
            types |= {"scope": "smallint", "tenant": "text", "server": "text"}
        record = ", ".join(f"{_quote(name)} {type_}" for name, type_ in types.items())
        missing = ""
        if not table.unique:
            same = " AND ".join(f"e.{name} = x.{name}" for name in table.key)
            missing = f"WHERE NOT EXISTS (SELECT FROM {table.name} e WHERE {same})"
        conflict = "DO NOTHING"
        if self._replace:
            changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in names)
            conflict = f"({', '.join(map(_quote, table.key))}) DO UPDATE SET {changes}"
        return f"""INSERT INTO {table.name} ({", ".join(names)}) SELECT {", ".join(values)}
            FROM json_to_recordset($1::json) AS x ({record}) {_PAIR if table.paired else ""}
            {missing} ON CONFLICT {conflict} RETURNING xmax = 0"""


class RecordingRestorer:
    """Writes recordings with their metadata, formats and thumbnails."""

    def __init__(self, replace: bool) -> None:
        self._replace = replace
        self._sql = ""

    async def write(self, connection: Connection, lines: Sequence[bytes], count: Count) -> None:
        """Write a chunk of recordings, each as JSON."""
        if not self._sql:
            self._sql = await self._prepare(connection)
        replaced = 0
        if self._replace:
            ids = [json.loads(line)["record_id"] for line in lines]
            for statement in _DELETE_RECORDINGS:
                done = await connection.execute(statement, ids)
            replaced = int(done.rpartition(" ")[2])
        added = await connection.fetchval(self._sql, _join(lines))
        count.total += len(lines)
        count.added += added - replaced
        count.replaced += replaced
        count.kept += len(lines) - added

    async def _prepare(self, connection: Connection) -> str:
        parts: dict[str, str] = {}
        for table, letter, reference in (
            ("recordings", "r", "id"),
            ("playback_formats", "f", "recording_id"),
            ("thumbnails", "t", "playback_format_id"),
        ):
            rows = await connection.fetch(_COLUMNS, f"public.{table}")
            names = [_quote(row[0]) for row in rows if row[0] not in ("id", reference)]
            parts[table] = parts[table.removeprefix("playback_")] = ", ".join(names)
            parts[letter] = ", ".join(f"{letter}.{name}" for name in names)
        return _WRITE_RECORDINGS.format(**parts)


def _join(lines: Sequence[bytes]) -> str:
    # PostgreSQL's texts hold no NUL.
    return (b"[" + b",".join(lines) + b"]").decode().replace("\\u0000", "")


def _quote(name: str) -> str:
    return f'"{name}"'


async def advance_sequences(connection: Connection, table: Table) -> None:
    """Let the numbers of a table go on after those that were written."""
    rows = await connection.fetch(
        "SELECT attname, pg_get_serial_sequence($1, attname) FROM pg_attribute"
        " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
        table.name,
    )
    for name, sequence in rows:
        if sequence is not None and name not in table.left_out:
            await connection.execute(
                f"SELECT setval($1::text::regclass, max({_quote(name)})) FROM {table.name}"
                f" HAVING max({_quote(name)}) IS NOT NULL",
                sequence,
            )
