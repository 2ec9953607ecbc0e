"""Recordings for tests: values, thousands of rows, and a store on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import trio

from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import Database, open_postgres_store
from appliance.recordings.imports.merge import ImportRules
from appliance.recordings.recording import PlaybackFormat, Recording, Thumbnail
from appliance.recordings.store import RecordingStore

READY_S = 40.0
FILL_LIMIT_S = 1800.0
"""For `fill_statements` of a million."""
START_MS = 1_700_000_000_000


def make_recording(record_id: str = "rec-1", **changes: Any) -> Recording:
    """Return a published recording with one format and one thumbnail."""
    values: dict[str, Any] = {
        "record_id": record_id,
        "meeting_id": "math",
        "name": "Maths & more",
        "published": True,
        "state": "published",
        "participants": 7,
        "start_ms": START_MS + 123,
        "end_ms": START_MS + 3_600_000,
        "metadata": (("bbb-origin", "greenlight"), ("empty", "")),
        "formats": (make_format("presentation", record_id),),
    }
    return Recording(**(values | changes))


def make_format(name: str, record_id: str = "rec-1", *, thumbnails: int = 1) -> PlaybackFormat:
    """Return a format as described by BBB 3.0."""
    images = tuple(
        Thumbnail(176, 136, f"slide {n} & more", f"/presentation/{record_id}/thumb-{n}.png", n)
        for n in range(thumbnails)
    )
    return PlaybackFormat(name, f"/playback/{name}/2.3/{record_id}", 60, 4882, images)


@asynccontextmanager
async def open_recordings(
    database_url: str, *, prepared: bool = True
) -> AsyncIterator[tuple[Database, RecordingStore]]:
    """Give the connections and the store on a database of one's own."""
    async with (
        open_asyncio_loop(tuned=True),
        open_postgres_store(
            database_url, prepared_statements=prepared, log=structlog.get_logger()
        ) as postgres,
    ):
        with trio.fail_after(READY_S):
            await postgres.wait_ready()
        yield postgres, RecordingStore(postgres)


async def add(store: RecordingStore, *recordings: Recording, **rules: bool) -> None:
    """Import recordings."""
    for one in recordings:
        await store.upsert_recording(one, ImportRules(**rules))


async def fill(postgres: Database, count: int) -> None:
    """Make recordings by the thousand: 10 a meeting, 2 formats, 6 metadata, 3 thumbnails each.

    `rec-0000001` to `rec-…` with meetings `meeting-0` …, and the tenants `tenant-0` to `tenant-9`.
    """
    for sql in fill_statements(count):
        await postgres.execute(sql, deadline_s=120.0)


def fill_statements(count: int) -> list[str]:
    """Return the statements of `fill`."""
    return [sql.replace("$1", str(count)) for sql in _FILL]


_FILL = (
    """INSERT INTO recordings
        (record_id, meeting_id, name, published, participants, state, starttime, endtime)
    SELECT 'rec-' || lpad(n::text, 7, '0'), 'meeting-' || n / 10, 'Room & ' || n, true, 7,
        'published', timestamp '2023-11-14' + n * interval '1 minute',
        timestamp '2023-11-14' + n * interval '1 minute' + interval '50 minutes'
    FROM generate_series(1, $1::int) n""",
    """INSERT INTO metadata (recording_id, key, value)
    SELECT r.id, k.key, k.value FROM recordings r, LATERAL (VALUES
        ('bbb-origin', 'greenlight'), ('bbb-origin-version', '3.1.' || r.id % 50), ('empty', ''),
        ('course', 'course-' || r.id / 10), ('tenant-id', 'tenant-' || r.id % 1000),
        ('bbb-origin-server-name', 'greenlight.example.org')) k (key, value)""",
    """INSERT INTO playback_formats (recording_id, format, url, length, processing_time)
    SELECT r.id, f, '/playback/' || f || '/2.3/' || r.record_id, 60, 7177
    FROM recordings r, unnest(ARRAY['presentation', 'video']) f""",
    """INSERT INTO thumbnails (playback_format_id, width, height, alt, url, sequence)
    SELECT p.id, 176, 136, 'slide ' || s || ' & more',
        '/presentation/' || r.record_id || '/presentation/d' || s || '/thumbnails/thumb.png', s
    FROM playback_formats p JOIN recordings r ON r.id = p.recording_id, generate_series(0, 2) s
    WHERE p.format = 'presentation'""",
    "ANALYZE recordings",
    "ANALYZE metadata",
    "ANALYZE playback_formats",
    "ANALYZE thumbnails",
)
