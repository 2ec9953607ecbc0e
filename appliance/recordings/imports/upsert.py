"""Writes the rows of an imported recording and keeps changes by users.

Runs in a transaction of the caller, so that the import journal is written in the same one. The
other rules of merging are in merge.py.
"""

from __future__ import annotations

from appliance.postgres.database import Connection, Record
from appliance.recordings.imports.merge import (
    ImportOutcome,
    ImportResult,
    ImportRules,
    published_after_import,
    state_of,
)
from appliance.recordings.recording import PlaybackFormat, Recording, is_deleted
from appliance.recordings.rows import READ_SOME, recording_of, timestamp_of

# ON CONFLICT locks the row: of two concurrent imports, one waits for the other. `xmax` is 0 in a
# row that this statement inserted.
_CLAIM = """
INSERT INTO public.recordings (record_id, published, protected) VALUES ($1, false, $2)
ON CONFLICT (record_id) DO UPDATE SET record_id = EXCLUDED.record_id
RETURNING id, xmax = 0 AS is_new
"""
_UPDATE = """
UPDATE public.recordings SET meeting_id = COALESCE($2, meeting_id), name = COALESCE($3, name),
    published = $4, state = $5, participants = COALESCE($6, participants),
    starttime = COALESCE($7, starttime), endtime = COALESCE($8, endtime),
    publish_updated = publish_updated AND NOT $9, deleted_at = NULL
WHERE id = $1
"""
_ADD_METADATA = """
INSERT INTO public.metadata (recording_id, key, value)
SELECT $1, pair.key, pair.value FROM unnest($2::text[], $3::text[]) AS pair (key, value)
WHERE NOT EXISTS (
    SELECT FROM appliance.removed_metadata gone
    WHERE gone.recording_id = $1 AND gone.key = pair.key
)
ON CONFLICT (recording_id, key) DO NOTHING
"""
_SET_FORMAT = """
INSERT INTO public.playback_formats (recording_id, format, url, length, processing_time)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (recording_id, format) DO UPDATE SET url = EXCLUDED.url, length = EXCLUDED.length,
    processing_time = EXCLUDED.processing_time
RETURNING id
"""
_ADD_THUMBNAIL = """
INSERT INTO public.thumbnails (playback_format_id, width, height, alt, url, sequence)
VALUES ($1, $2, $3, $4, $5, $6)
"""


async def upsert_recording(
    connection: Connection, recording: Recording, rules: ImportRules
) -> ImportResult:
    """Write a recording's rows; formats that are not part of this import stay.

    Must run in a transaction; the row stays locked until its end. A deleted recording is not
    changed unless `rules.undelete`.
    """
    claimed = await connection.fetchrow(_CLAIM, recording.record_id, rules.protected)
    assert claimed is not None
    row_id, known = claimed["id"], None
    if not claimed["is_new"]:
        known = recording_of(await _read(connection, row_id))
        if is_deleted(known) and not rules.undelete:
            return ImportResult(ImportOutcome.DELETED, known.published, row_id)
    published = published_after_import(known, recording, rules)
    await connection.execute(
        _UPDATE,
        row_id,
        recording.meeting_id,
        recording.name,
        published,
        state_of(published),
        recording.participants,
        timestamp_of(recording.start_ms),
        timestamp_of(recording.end_ms),
        is_deleted(known),
    )
    keys = [key for key, _ in recording.metadata]
    values = [value for _, value in recording.metadata]
    await connection.execute(_ADD_METADATA, row_id, keys, values)
    for shown in recording.formats:
        await _write_format(connection, row_id, shown)
    outcome = ImportOutcome.NEW if known is None else ImportOutcome.UPDATED
    had = {shown.format for shown in known.formats} if known else set()
    new = tuple(shown.format for shown in recording.formats if shown.format not in had)
    return ImportResult(outcome, published, row_id, new)


async def _read(connection: Connection, row_id: int) -> Record:
    row = await connection.fetchrow(READ_SOME, [row_id])
    assert row is not None
    return row


async def _write_format(connection: Connection, row_id: int, shown: PlaybackFormat) -> None:
    format_id = await connection.fetchval(
        _SET_FORMAT, row_id, shown.format, shown.url, shown.length_min, shown.processing_time_ms
    )
    await connection.execute(
        "DELETE FROM public.thumbnails WHERE playback_format_id = $1", format_id
    )
    await connection.executemany(
        _ADD_THUMBNAIL,
        [
            (format_id, image.width, image.height, image.alt, image.url, image.sequence)
            for image in shown.thumbnails
        ],
    )
