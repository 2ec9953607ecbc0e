"""The SQL that reads recordings, and the conversion of rows to recordings.

Builds statements and arguments, and runs none. One statement reads recordings with their metadata,
formats and thumbnails, which come as arrays through the indexes, so rows can be streamed.

Source: Scalelite's tables (postgres/schema/0002_scalelite.sql) and the indexes of 0003.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from appliance.postgres.database import Record
from appliance.recordings.filter import RecordingFilter
from appliance.recordings.recording import PlaybackFormat, Recording, Thumbnail
from appliance.tenants.params import TENANT_KEY

_EPOCH = datetime(1970, 1, 1)
_MS = timedelta(milliseconds=1)
_LAST_CHAR = 0x10FFFF

# OFFSET 0 prevents the planner from flattening a subquery: the recordings are selected first, in
# the order of an index, and the other tables are read for these only.
_READ = """
SELECT r.id, r.record_id, r.meeting_id, r.name, r.published, r.state, r.participants, r.starttime,
    r.endtime, r.protected, r.publish_updated, m.pairs, f.formats, t.thumbnails
FROM ({chosen}) r
LEFT JOIN LATERAL (
    SELECT array_agg(ARRAY[key, value]) AS pairs
    FROM (SELECT key, value FROM public.metadata WHERE recording_id = r.id ORDER BY key OFFSET 0) x
) m ON true
LEFT JOIN LATERAL (
    SELECT array_agg(ARRAY[id::text, format, url, length::text, processing_time::text]) AS formats
    FROM (
        SELECT * FROM public.playback_formats WHERE recording_id = r.id ORDER BY format OFFSET 0
    ) x
) f ON true
LEFT JOIN LATERAL (
    SELECT array_agg(
        ARRAY[playback_format_id::text, width::text, height::text, alt, url, sequence::text]
    ) AS thumbnails
    FROM (
        SELECT i.* FROM public.playback_formats p
        JOIN public.thumbnails i ON i.playback_format_id = p.id
        WHERE p.recording_id = r.id ORDER BY i.sequence, i.id OFFSET 0
    ) x
) t ON true
ORDER BY {order}
"""
_NEWEST, _OLDEST = "{0}starttime DESC, {0}id DESC", "{0}starttime, {0}id"
FAR = 1_000
"""From so many recordings before a page on, they are not read as a whole."""

READ_ONE = _READ.format(
    chosen="SELECT * FROM public.recordings WHERE record_id = $1 OFFSET 0", order="r.id"
)
READ_SOME = _READ.format(
    chosen="SELECT * FROM public.recordings WHERE id = ANY($1::bigint[]) OFFSET 0", order="r.id"
)


By: TypeAlias = Literal["names", "metadata", "tenant", "time"]
"""How recordings are found: by their ids, by the matching or the tenant's metadata, or by reading
them from the newest on, whose other conditions are checked one recording at a time."""
Place: TypeAlias = tuple[datetime, int]
"""The start and the row id of a recording, behind which the next page begins."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading a page begins."""

    place: Place | None
    """None: at the newest recording."""
    skip: int
    """Recordings between there and the page, which are read and dropped."""
    backward: bool = False
    """Read towards the newest, beginning with the recording at `place` itself."""


FEW = 2_000
"""Matches up to which recordings are found by their metadata."""
_SAMPLE = 2_000
"""Recordings of which is estimated how many match."""


def listing_sql(
    wanted: RecordingFilter,
    most: int | None = None,
    *,
    by: By,
    start: Start | None = None,
    examined: int | None = None,
) -> tuple[str, list[object]]:
    """Return the statement that lists recordings, newest first, and its arguments.

    `most` limits the result without changing the query plan. `start`: instead of the offset.
    `examined`: at most so many recordings are looked at.
    """
    where, args = _where(wanted, by)
    start = start or Start(None, wanted.offset)

    def argument(value: object) -> str:
        args.append(value)
        return f"${len(args)}"

    order = (_OLDEST if start.backward else _NEWEST).format("c.")
    place = ""
    if start.place is not None:
        at, id = argument(start.place[0]), argument(start.place[1])
        behind = ">=" if start.backward else "<"
        place = f"(c.starttime, c.id) {behind} ({at}::timestamp, {id}::bigint)"
    table = "public.recordings c"
    if examined is not None:
        begin = f"WHERE {place}" if place else ""
        table = f"(SELECT * FROM {table} {begin} ORDER BY {order} LIMIT {argument(examined)}) c"
    elif place:
        where = f"{where} AND {place}" if where else f"WHERE {place}"
    limit = "" if wanted.limit is None else f"LIMIT {argument(wanted.limit)}"
    offset = f"OFFSET {argument(start.skip)}" if start.skip else "OFFSET 0"
    far = start.skip >= FAR and wanted.limit is not None
    chosen = f"SELECT {'c.id' if far else 'c.*'} FROM {table} {where} ORDER BY {order}"
    chosen = f"{chosen} {limit} {offset}"
    if far:  # what is skipped is read in the index alone
        chosen = f"SELECT * FROM public.recordings WHERE id = ANY(ARRAY({chosen})) OFFSET 0"
    sql = _READ.format(chosen=chosen, order=_NEWEST.format("r."))
    return (sql if most is None else f"{sql} LIMIT {most:d}"), args


def count_sql(wanted: RecordingFilter, by: By) -> tuple[str, list[object]]:
    """Return the statement that counts the recordings of all pages, and its arguments."""
    where, args = _where(wanted, by)
    return f"SELECT count(*) FROM public.recordings c {where}", args


def probe_sql(wanted: RecordingFilter) -> tuple[str, list[object]]:
    """Return the statement that counts what the metadata and the tenant match, up to FEW + 1."""
    pairs = wanted.metadata or ()
    args: list[object] = [[key for key, _ in pairs], [value for _, value in pairs]]
    args += [
        [TENANT_KEY] if wanted.tenant_id else [],
        [wanted.tenant_id] if wanted.tenant_id else [],
    ]
    columns = [
        f"(SELECT count(*) FROM ({_FOUND.format(keys=f'${keys}', values=f'${keys + 1}')}"
        f" LIMIT {FEW + 1}) x) AS {name}"
        for keys, name in ((1, "metadata"), (3, "tenant"))
    ]
    return f"SELECT {', '.join(columns)}", args


def estimate_sql(wanted: RecordingFilter) -> tuple[str, list[object]]:
    """Return the statement that looks at a sample of the table, and its arguments.

    The sample is the same as long as the table is, so that all pages say the same.
    """
    where, args = _where(wanted, "time")
    return (
        "SELECT s.total, count(c.id) AS sampled,"
        f" count(c.id) FILTER ({where}) AS found"
        f" FROM (SELECT {_TABLE_ROWS} AS total) s CROSS JOIN public.recordings c TABLESAMPLE"
        f" SYSTEM ((SELECT least(100.0, 100.0 * {_SAMPLE} / greatest({_TABLE_ROWS}, 1))))"
        " REPEATABLE (1) GROUP BY s.total",
        args,
    )


# As of the last ANALYZE, which comes by itself; -1 before the first.
_TABLE_ROWS = "(SELECT reltuples::bigint FROM pg_class WHERE oid = 'public.recordings'::regclass)"


def _where(wanted: RecordingFilter, by: By) -> tuple[str, list[object]]:
    args: list[object] = []
    conditions = []

    def argument(value: object) -> str:
        args.append(value)
        return f"${len(args)}"

    if wanted.states is not None:
        conditions.append(f"c.state = ANY({argument(list(wanted.states))}::text[])")
    if wanted.meeting_ids is not None:
        conditions.append(f"c.meeting_id = ANY({argument(list(wanted.meeting_ids))}::text[])")
    if wanted.record_id_prefixes is not None:
        ranges = [prefix_range(prefix) for prefix in wanted.record_id_prefixes]
        low, high = argument([low for low, _ in ranges]), argument([high for _, high in ranges])
        conditions.append(_RECORD_IDS.format(low=low, high=high))
    if wanted.metadata is not None:
        keys = argument([key for key, _ in wanted.metadata])
        values = argument([value for _, value in wanted.metadata])
        conditions.append(_metadata(keys, values, found=by == "metadata"))
    if wanted.tenant_id is not None:
        keys, values = argument([TENANT_KEY]), argument([wanted.tenant_id])
        conditions.append(_metadata(keys, values, found=by == "tenant"))
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), args


def _metadata(keys: str, values: str, *, found: bool) -> str:
    """Return the condition that one of these pairs matches; `found`: by the index of the pairs."""
    condition = f"c.id IN ({_FOUND})" if found else _HAS
    return condition.format(keys=keys, values=values)


# The range of each prefix is read separately from the index on `record_id text_pattern_ops`. With
# LIKE and a parameter as prefix the planner does not use the index and reads the whole table.
_RECORD_IDS = """c.id IN (
    SELECT found.id FROM unnest({low}::text[], {high}::text[]) AS wanted (low, high)
    CROSS JOIN LATERAL (
        SELECT id FROM public.recordings
        WHERE record_id ~>=~ wanted.low AND record_id ~<~ wanted.high OFFSET 0
    ) found
)"""

# Compare the hash, which is indexed, and the value, since hashes can collide.
_FOUND = """
    SELECT found.recording_id FROM unnest({keys}::text[], {values}::text[]) AS wanted (key, value)
    CROSS JOIN LATERAL (
        SELECT recording_id FROM public.metadata
        WHERE key = wanted.key AND md5(value) = md5(wanted.value) AND value = wanted.value OFFSET 0
    ) found
"""

# OFFSET 0: one look-up for each recording that comes by, never a join with all that match.
_HAS = """EXISTS (
    SELECT FROM public.metadata WHERE recording_id = c.id AND key = ANY({keys}::text[])
        AND (key, value) IN (SELECT * FROM unnest({keys}::text[], {values}::text[])) OFFSET 0
)"""


def prefix_range(prefix: str) -> tuple[str, str]:
    """Return the half-open range, in byte order, of the texts that begin with a prefix."""
    head = prefix
    while head:
        next_char = ord(head[-1]) + 1
        if next_char <= _LAST_CHAR:
            # Skip the surrogates, which no text contains.
            next_char = 0xE000 if 0xD800 <= next_char < 0xE000 else next_char
            return prefix, head[:-1] + chr(next_char)
        head = head[:-1]
    return prefix, prefix  # only last characters: an empty range, since no recordID begins so


def recording_of(row: Record) -> Recording:
    """Return the recording of a row of READ_ONE, READ_SOME or a listing."""
    return Recording(
        record_id=row["record_id"] or "",
        meeting_id=row["meeting_id"],
        name=row["name"],
        published=row["published"],
        state=row["state"],
        participants=row["participants"],
        start_ms=ms_of(row["starttime"]),
        end_ms=ms_of(row["endtime"]),
        protected=row["protected"],
        publish_updated=row["publish_updated"],
        metadata=tuple(
            [(key, value) for key, value in row["pairs"] or () if key and value is not None]
        ),
        formats=_formats(row["formats"] or (), row["thumbnails"] or ()),
        id=row["id"],
    )


def timestamp_of(ms: int | None) -> datetime | None:
    """Return milliseconds since the epoch as a PostgreSQL timestamp without time zone, in UTC."""
    if ms is None:
        return None
    return datetime.fromtimestamp(0, UTC).replace(tzinfo=None) + ms * _MS


def ms_of(time: datetime | None) -> int | None:
    """Return a PostgreSQL timestamp without time zone as milliseconds since the epoch."""
    return None if time is None else (time - _EPOCH) // _MS


def _formats(
    formats: Sequence[Sequence[Any]], thumbnails: Sequence[Sequence[Any]]
) -> tuple[PlaybackFormat, ...]:
    images: dict[str, list[Thumbnail]] = {}
    for format_id, width, height, alt, url, sequence in thumbnails:
        image = Thumbnail(_int(width), _int(height), alt, url or "", _int(sequence) or 0)
        images.setdefault(format_id, []).append(image)
    return tuple(
        [
            PlaybackFormat(
                name or "", url or "", _int(length), _int(time), tuple(images.get(id, ()))
            )
            for id, name, url, length, time in formats
        ]
    )


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)
