"""Judge the recordings of a Scalelite: tables, directories, rows compared with files. Pure.

Source: docs/stores.md (tables); docs/recordings.md (places of files).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from appliance.callbacks.attributes_yaml import InvalidCallbackData, parse_callback_attributes
from appliance.recordings.recording import RecordingStates, is_record_id
from appliance.takeover.findings import TakeoverFinding, Verdict, found

COLUMNS: dict[str, frozenset[str]] = {
    "recordings": frozenset(
        {
            *("id", "record_id", "meeting_id", "name", "published", "participants", "state"),
            *("starttime", "endtime", "deleted_at", "protected", "publish_updated"),
        }
    ),
    "metadata": frozenset({"id", "recording_id", "key", "value"}),
    "playback_formats": frozenset(
        {"id", "recording_id", "format", "url", "length", "processing_time"}
    ),
    "thumbnails": frozenset(
        {"id", "playback_format_id", "width", "height", "alt", "url", "sequence"}
    ),
    "callback_data": frozenset(
        {"id", "meeting_id", "recording_id", "callback_attributes", "created_at", "updated_at"}
    ),
}
"""Scalelite's tables."""
UNIQUE = (
    ("recordings", ("record_id",)),
    ("metadata", ("recording_id", "key")),
    ("playback_formats", ("recording_id", "format")),
)
"""Unique columns of the tables, on which imports rely."""
MIGRATIONS = (
    *("20181123180008", "20210425184558", "20210630205630"),
    *("20210725200414", "20221111194252", "20230627141045"),
)
"""All migrations of Scalelite 1.x up to the last known schema."""
OLD_TAR_S = 24 * 3600.0
_TABLES = "tables of Scalelite"
_MIGRATE_FIRST = "run `bin/rake db:migrate` of the newest Scalelite 1.x first"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """State of Scalelite's tables."""

    columns: Mapping[str, frozenset[str]]
    """By existing table."""
    unique: frozenset[tuple[str, tuple[str, ...]]]
    migrations: frozenset[str]
    """Versions that Rails has recorded."""
    not_owned: tuple[str, ...] = ()
    """Tables that another role owns, so that no index can be created."""
    may_create: bool = True
    """Whether the schema `appliance` exists or can be created."""

    @property
    def readable(self) -> bool:
        """Whether the recordings can be inspected."""
        wanted = ("recordings", "playback_formats")
        return all(COLUMNS[table] <= self.columns.get(table, frozenset()) for table in wanted)


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """A directory as this process sees it."""

    purpose: str
    """The setting that names it."""
    path: str
    exists: bool
    writable: bool = False
    device: int = 0
    owner: str = ""
    """`uid:gid`."""


@dataclass(frozen=True, slots=True)
class SurveyedRecording:
    """The columns that determine where the files of a recording belong."""

    id: int
    record_id: str
    state: str | None
    published: bool
    formats: tuple[str, ...]

    @property
    def deleted(self) -> bool:
        """Whether it was deleted."""
        return self.state == RecordingStates.DELETED


Places = Mapping[str, tuple[bool, bool]]
"""Files of a recording by format: whether published ones and whether unpublished ones exist."""


def judge_schema(schema: SchemaState) -> Iterator[TakeoverFinding]:
    """Judge the tables."""
    tables = schema.columns.keys()
    if not tables:
        advice = "there are none: is this its database? In an empty one the appliance makes them"
        yield TakeoverFinding(Verdict.PERSON, _TABLES, advice=advice)
        return
    missing = [table for table in COLUMNS if table not in tables]
    missing += [
        f"{table}.{name}" for table in tables for name in COLUMNS[table] - schema.columns[table]
    ]
    if not missing:
        yield TakeoverFinding(Verdict.FINE, _TABLES, count=len(tables))
    yield from found(
        Verdict.PERSON,
        "missing tables or columns, which an older Scalelite did not have",
        missing,
        _MIGRATE_FIRST,
    )
    yield from found(
        Verdict.FINE,
        "unknown columns, which are not changed",
        (f"{table}.{name}" for table in tables for name in schema.columns[table] - COLUMNS[table]),
    )
    yield from found(
        Verdict.PERSON,
        "missing unique indexes, without which no recording can be imported",
        (f"{table} ({', '.join(cols)})" for table, cols in set(UNIQUE) - schema.unique),
        "CREATE UNIQUE INDEX on these columns, after duplicate rows were removed",
    )
    yield from _judge_rights(schema)


def _judge_rights(schema: SchemaState) -> Iterator[TakeoverFinding]:
    """Judge migrations and permissions."""
    yield from found(
        Verdict.PERSON,
        "migrations that Rails has not run",
        set(MIGRATIONS) - schema.migrations,
        _MIGRATE_FIRST,
    )
    yield from found(
        Verdict.PERSON,
        "migrations of a newer, unknown version of Scalelite",
        schema.migrations - set(MIGRATIONS),
        "see the release notes of the appliance about this version",
    )
    yield from found(
        Verdict.PERSON,
        "tables that belong to another database user",
        schema.not_owned,
        "use the user of Scalelite's DATABASE_URL, or ALTER TABLE … OWNER TO it",
    )
    if not schema.may_create:
        text = "missing permission to create the schema `appliance`"
        advice = "GRANT CREATE ON DATABASE … TO the user of DATABASE_URL"
        yield TakeoverFinding(Verdict.PERSON, text, advice=advice)


def judge_directories(directories: Sequence[DirectoryState]) -> Iterator[TakeoverFinding]:
    """Judge the directories; the others must be on the file system of the first."""
    there = [one for one in directories if one.exists]
    usable = [one for one in there if one.writable]
    yield TakeoverFinding(Verdict.FINE, "writable directories", count=len(usable))
    yield from found(
        Verdict.PERSON,
        "missing directories",
        (f"{one.path} ({one.purpose})" for one in directories if not one.exists),
        "is the volume mounted? The appliance would start with empty ones",
    )
    yield from found(
        Verdict.PERSON,
        "directories that are not writable",
        (f"{one.path} ({one.purpose}, owned by {one.owner})" for one in there if not one.writable),
        "give the user of the appliance write access: see Files in docs/migration.md",
    )
    yield from found(
        Verdict.FINE,
        "directories on another file system, so that recordings are copied instead of renamed",
        (one.path for one in there if one.device != there[0].device),
    )


def judge_tars(waiting: Mapping[str, float], failed: Collection[str]) -> Iterator[TakeoverFinding]:
    """Judge the tars in the spool, by name with their age in seconds, and the failed ones."""
    old = [name for name, age_s in waiting.items() if age_s > OLD_TAR_S]
    yield TakeoverFinding(Verdict.FINE, "tars that wait for import", count=len(waiting) - len(old))
    yield from found(
        Verdict.PERSON,
        "tars that have waited for more than a day",
        old,
        "Scalelite could not import them; the appliance tries three times and reports why",
    )
    yield from found(
        Verdict.PERSON,
        "tars that could not be imported",
        failed,
        "the .error file beside each says why; `ctl recordings retry` tries again",
    )


def judge_callbacks(rows: Sequence[tuple[str, str | None]]) -> Iterator[TakeoverFinding]:
    """Judge the callbacks that are still due: (meeting id, text of the attributes)."""
    unreadable = []
    for meeting_id, text in rows:
        try:
            parse_callback_attributes(text or "")
        except InvalidCallbackData as error:
            unreadable.append(f"{meeting_id}: {error}")
    yield TakeoverFinding(
        Verdict.FINE,
        "meetings whose front-ends wait for a recording",
        count=len(rows) - len(unreadable),
    )
    yield from found(
        Verdict.PERSON,
        "meetings whose callback URLs cannot be read",
        unreadable,
        "their front-ends will not be notified; see their rows in callback_data",
    )


class _Groups:
    """Names grouped by finding."""

    def __init__(self) -> None:
        self._names: dict[tuple[Verdict, str, str], list[str]] = defaultdict(list)

    def add(self, verdict: Verdict, text: str, name: str, advice: str = "") -> None:
        self._names[verdict, text, advice].append(name)

    def findings(self) -> list[TakeoverFinding]:
        return [
            TakeoverFinding(verdict, text, tuple(names), 0, advice)
            for (verdict, text, advice), names in self._names.items()
        ]


WRONG_PLACE = "formats in the wrong directory"
DELETED_FILES = "formats of deleted recordings whose files still exist"


def judge_recordings(
    rows: Sequence[SurveyedRecording],
    files: Mapping[str, Places],
    tars: Collection[str],
) -> list[TakeoverFinding]:
    """Compare recordings with their files; `tars`: recordings whose tar waits in the spool."""
    groups = _Groups()
    for row in rows:
        if not is_record_id(row.record_id):
            advice = "they cannot be played: delete their rows"
            text = "recordings whose id is not a valid directory name"
            groups.add(Verdict.PERSON, text, row.record_id, advice)
        elif row.deleted:
            for name in files.get(row.record_id, ()):
                groups.add(Verdict.HEAL, DELETED_FILES, f"{row.record_id}/{name}")
        else:
            _judge_formats(groups, row, files.get(row.record_id, {}), row.record_id in tars)
    return groups.findings()


def _judge_formats(groups: _Groups, row: SurveyedRecording, places: Places, waits: bool) -> None:
    missing = [name for name in row.formats if name not in places]
    for name in wrong_places(row, places):
        groups.add(Verdict.HEAL, WRONG_PLACE, f"{row.record_id}/{name}")
    for name in missing:
        shown = f"{row.record_id}/{name}"
        if waits:
            groups.add(Verdict.SELF, "formats whose files may be in a tar in the spool", shown)
        else:
            advice = "restore the files, import the tar again, or delete the recording"
            groups.add(Verdict.PERSON, "formats without files", shown, advice)
    for name in places.keys() - set(row.formats):
        advice = "import the tar again, or remove the directory"
        text = "formats with files that are not in the database"
        groups.add(Verdict.PERSON, text, f"{row.record_id}/{name}", advice)
    if not row.formats:
        advice = "import the tar again, or delete the recording"
        groups.add(Verdict.PERSON, "recordings without a format", row.record_id, advice)
    if row.state is None:
        text = "recordings without a state, which are listed with state=any"
        groups.add(Verdict.FINE, text, row.record_id)
    elif row.published != (row.state == RecordingStates.PUBLISHED):
        text = "recordings whose state contradicts their published flag; the flag applies"
        groups.add(Verdict.FINE, text, row.record_id)


def wrong_places(row: SurveyedRecording, places: Places) -> list[str]:
    """Return the formats whose files are not, or not only, where they belong."""
    right = (row.published, not row.published)
    return sorted(name for name, place in places.items() if place != right)


def judge_strangers(
    folder: str, names: Collection[str], known: Collection[str], tars: Collection[str]
) -> Iterator[TakeoverFinding]:
    """Judge the directories of recordings that are not in the database."""
    strangers = [name for name in names if name not in known]
    yield from found(
        Verdict.SELF,
        "directories of recordings that are being imported",
        (f"{folder}/{name}" for name in strangers if name in tars),
    )
    yield from found(
        Verdict.PERSON,
        "directories of recordings that are not in the database",
        (f"{folder}/{name}" for name in strangers if name not in tars),
        "they cannot be played: import their tars again, or remove them",
    )
