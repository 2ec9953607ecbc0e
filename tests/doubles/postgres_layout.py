"""Check that the tables shared with Scalelite have Rails' schema and rows that Scalelite can use.

Source: docs/stores.md, and a dump of a Scalelite database (tests/data/scalelite).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Ask = Callable[[str], str]
"""Run SQL and return the unaligned output (PostgresServer.sql for one database)."""

TABLES = ("recordings", "metadata", "playback_formats", "thumbnails", "callback_data")
STATES = {"processing", "processed", "published", "unpublished", "deleted", None}
PREFIX = "appliance_"
"""Prefix of the indexes that the appliance adds to Scalelite's tables."""

_COLUMNS = """
    SELECT table_name, ordinal_position, column_name, data_type, is_nullable, datetime_precision,
        character_maximum_length, replace(column_default, 'public.', '')
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
"""
_INDEXES = f"""
    SELECT indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND indexname NOT LIKE '{PREFIX}%' ORDER BY 1
"""
_CONSTRAINTS = """
    SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 2
"""
_OTHERS = """
    SELECT relkind, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind NOT IN ('i', 'I') ORDER BY 1, 2
"""
_TRIGGERS = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
_OWNED = """
    SELECT pg_get_serial_sequence('public.' || name, 'id') FROM
    unnest(ARRAY['recordings', 'metadata', 'playback_formats', 'thumbnails', 'callback_data']) name
"""
_MARK = "-- next --"
_SYMBOLS = re.compile(r"---\n(?::[a-z_]+: \S.*\n)+|--- \{\}\n").fullmatch


def schema_of(ask: Ask) -> dict[str, str]:
    """Return everything that Rails compares with its schema, without the appliance's indexes."""
    queries = {
        "columns": _COLUMNS,
        "indexes": _INDEXES,
        "constraints": _CONSTRAINTS,
        "relations": _OTHERS,
        "triggers": _TRIGGERS,
        "sequences": _OWNED,
        "migrations": "SELECT version FROM public.schema_migrations ORDER BY 1",
    }
    # One psql for all queries: it runs after each test.
    answer = ask(f"; SELECT '{_MARK}';".join(queries.values()))
    return dict(zip(queries, answer.split(_MARK), strict=True))


@dataclass(frozen=True, slots=True)
class Reference:
    """The state that must not change: the schema, and Rails' bookkeeping with its times."""

    schema: dict[str, str]
    bookkeeping: str

    @classmethod
    def take(cls, ask: Ask) -> Reference:
        """Read the state of a database made by Scalelite."""
        return cls(schema_of(ask), ask("SELECT * FROM public.ar_internal_metadata ORDER BY 1"))


def database_faults(ask: Ask, reference: Reference) -> list[str]:
    """Return the deviations from Scalelite's expectations."""
    now = Reference.take(ask)
    faults = [
        f"{name}: {now.schema[name]!r}, not {before!r}"
        for name, before in reference.schema.items()
        if now.schema[name] != before
    ]
    if now.bookkeeping != reference.bookkeeping:
        faults.append("ar_internal_metadata was changed")
    rows = _rows(ask)
    return [
        *faults,
        *_recordings(rows),
        *_parts(rows),
        *_thumbnails(rows),
        *_callbacks(rows),
        *_counters(ask, rows),
    ]


def _rows(ask: Ask) -> dict[str, list[dict[str, Any]]]:
    each = ", ".join(
        f"'{table}', (SELECT coalesce(json_agg(t ORDER BY id), '[]') FROM public.{table} t)"
        for table in TABLES
    )
    found: dict[str, list[dict[str, Any]]] = json.loads(ask(f"SELECT json_build_object({each})"))
    return found


def _recordings(rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for row in rows["recordings"]:
        name = f"recording {row['record_id']}"
        if row["state"] not in STATES:
            yield f"{name}: state {row['state']}"
        # Scalelite's model refuses to save a row without them.
        if not row["record_id"] or not row["meeting_id"]:
            yield f"{name}: no record_id or meeting_id"
        parts = [
            one["id"]
            for table in ("metadata", "playback_formats")
            for one in rows[table]
            # Of a deleted recording its tenant stays known, so that it may ask for it again.
            if one["recording_id"] == row["id"] and one.get("key") != "tenant-id"
        ]
        if row["state"] == "deleted" and parts:
            yield f"{name}: deleted, with {len(parts)} rows of formats and metadata"


def _parts(rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    recordings = {row["id"] for row in rows["recordings"]}
    for table in ("metadata", "playback_formats"):
        for row in rows[table]:
            if row["recording_id"] not in recordings:
                yield f"{table} {row['id']}: of no recording"
    for row in rows["metadata"]:
        if not row["key"] or row["value"] is None:
            yield f"metadata {row['id']}: {row['key']}={row['value']}"
    for row in rows["playback_formats"]:
        if not row["format"] or not str(row["url"]).startswith("/"):
            yield f"playback_formats {row['id']}: {row['format']} at {row['url']}"


def _thumbnails(rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    formats = {row["id"] for row in rows["playback_formats"]}
    for row in rows["thumbnails"]:
        if row["playback_format_id"] not in formats:
            yield f"thumbnails {row['id']}: of no format"
        if not str(row["url"]).startswith("/") or row["sequence"] is None:
            yield f"thumbnails {row['id']}: {row['url']}, sequence {row['sequence']}"


def _callbacks(rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    recordings = {row["id"] for row in rows["recordings"]}
    meetings = [row["meeting_id"] for row in rows["callback_data"]]
    for row in rows["callback_data"]:
        name = f"callback_data of {row['meeting_id']}"
        if row["recording_id"] is not None and row["recording_id"] not in recordings:
            yield f"{name}: of no recording"
        if meetings.count(row["meeting_id"]) > 1:
            yield f"{name}: twice, of which Scalelite sees one"
        text = row["callback_attributes"]
        if not (_SYMBOLS(text or "") or (text or "").startswith("--- !ruby/")):
            yield f"{name}: {text!r} is no mapping of symbols"


def _counters(ask: Ask, rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    each = ", ".join(f"(SELECT last_value FROM public.{table}_id_seq)" for table in TABLES)
    for table, last in zip(TABLES, ask(f"SELECT {each}").split("|"), strict=True):
        highest = max((row["id"] for row in rows[table]), default=0)
        if highest > int(last):
            yield f"{table}: id {highest} is above its sequence's {last}, so Rails would reuse it"
