"""What a Scalelite left of recordings, judged: the tables, the directories, rows against files.

Pure. Truth: docs/stores.md (the tables) and spec/recordings.md (where files belong).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from appliance.callbacks.attributes_yaml import InvalidCallbackData, parse_callback_attributes
from appliance.recordings.recording import RecordingStates, is_record_id
from appliance.takeover.findings import Finding, Verdict, found

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
"""What no two rows of a table may share; imports count on it."""
MIGRATIONS = (
    *("20181123180008", "20210425184558", "20210630205630"),
    *("20210725200414", "20221111194252", "20230627141045"),
)
"""All of Scalelite 1.x up to the schema that we know."""
OLD_TAR_S = 24 * 3600.0
_MIGRATE_FIRST = "run `bin/rake db:migrate` of the newest Scalelite 1.x first"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What of Scalelite's tables is there."""

    columns: Mapping[str, frozenset[str]]
    """Of the tables that are there."""
    unique: frozenset[tuple[str, tuple[str, ...]]]
    migrations: frozenset[str]
    """Rails' bookkeeping."""
    not_owned: tuple[str, ...] = ()
    """Tables on which we may make no index."""
    may_create: bool = True
    """Whether we may make a schema of our own, or have one."""

    @property
    def readable(self) -> bool:
        """Whether the recordings can be looked at."""
        wanted = ("recordings", "playback_formats")
        return all(COLUMNS[table] <= self.columns.get(table, frozenset()) for table in wanted)


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """A directory as the process that looks sees it."""

    purpose: str
    """The variable that names it."""
    path: str
    exists: bool
    writable: bool = False
    device: int = 0
    owner: str = ""
    """`uid:gid`."""


@dataclass(frozen=True, slots=True)
class SurveyedRecording:
    """Of a row what decides where its files belong."""

    id: int
    record_id: str
    state: str | None
    published: bool
    formats: tuple[str, ...]

    @property
    def deleted(self) -> bool:
        """Whether a user has deleted it."""
        return self.state == RecordingStates.DELETED


Places = Mapping[str, tuple[bool, bool]]
"""Of the files of a recording by format: whether published, and whether unpublished ones exist."""


def check_schema(schema: SchemaState) -> Iterator[Finding]:
    """Judge the tables."""
    there = schema.columns.keys()
    if not there:
        text = "tables of a Scalelite"
        advice = "there are none: is this its database? On an empty one the appliance makes them"
        yield Finding(Verdict.PERSON, text, advice=advice)
        return
    missing = [table for table in COLUMNS if table not in there]
    missing += [
        f"{table}.{name}" for table in there for name in COLUMNS[table] - schema.columns[table]
    ]
    if not missing:
        yield Finding(Verdict.FINE, "tables of a Scalelite", count=len(there))
    yield from found(
        Verdict.PERSON,
        "tables or columns that an older Scalelite did not have",
        missing,
        _MIGRATE_FIRST,
    )
    yield from found(
        Verdict.FINE,
        "columns that we do not know, which are left alone",
        (f"{table}.{name}" for table in there for name in schema.columns[table] - COLUMNS[table]),
    )
    yield from found(
        Verdict.PERSON,
        "unique indexes that are missing, without which no recording can be imported",
        (f"{table} ({', '.join(cols)})" for table, cols in set(UNIQUE) - schema.unique),
        "CREATE UNIQUE INDEX on these columns; rows that are there twice must go first",
    )
    yield from _check_rights(schema)


def _check_rights(schema: SchemaState) -> Iterator[Finding]:
    """Judge who has made the tables, and what we may do with them."""
    yield from found(
        Verdict.PERSON,
        "migrations that Rails has not run",
        set(MIGRATIONS) - schema.migrations,
        _MIGRATE_FIRST,
    )
    yield from found(
        Verdict.PERSON,
        "migrations of a Scalelite that is newer than we know",
        schema.migrations - set(MIGRATIONS),
        "look in the release notes of the appliance for this version",
    )
    yield from found(
        Verdict.PERSON,
        "tables that belong to another database user",
        schema.not_owned,
        "use the user of Scalelite's DATABASE_URL, or ALTER TABLE … OWNER TO it",
    )
    if not schema.may_create:
        text = "permission to make the schema `appliance`"
        advice = "GRANT CREATE ON DATABASE … TO the user of DATABASE_URL"
        yield Finding(Verdict.PERSON, text, advice=advice)


def check_directories(directories: Sequence[DirectoryState]) -> Iterator[Finding]:
    """Judge the directories; the first is the one that the others are moved to."""
    there = [one for one in directories if one.exists]
    usable = [one for one in there if one.writable]
    yield Finding(Verdict.FINE, "directories that can be written", count=len(usable))
    yield from found(
        Verdict.PERSON,
        "directories that are missing",
        (f"{one.path} ({one.purpose})" for one in directories if not one.exists),
        "is the volume mounted? The appliance would begin with empty ones",
    )
    yield from found(
        Verdict.PERSON,
        "directories that we may not write",
        (f"{one.path} ({one.purpose}, owned by {one.owner})" for one in there if not one.writable),
        "let the user of the appliance write there: see Files in docs/migration.md",
    )
    yield from found(
        Verdict.FINE,
        "directories on another file system, so that recordings are copied instead of renamed",
        (one.path for one in there if one.device != there[0].device),
    )


def check_tars(waiting: Mapping[str, float], failed: Collection[str]) -> Iterator[Finding]:
    """Judge the tars in the spool, by name with their age in seconds, and those that failed."""
    old = [name for name, age_s in waiting.items() if age_s > OLD_TAR_S]
    yield Finding(Verdict.FINE, "tars that wait for their import", count=len(waiting) - len(old))
    yield from found(
        Verdict.PERSON,
        "tars that wait for more than a day",
        old,
        "Scalelite could not import them; the appliance tries three times and says why",
    )
    yield from found(
        Verdict.PERSON,
        "tars that could not be imported",
        failed,
        "the .error beside each says why; `ctl recordings retry`",
    )


def check_callbacks(rows: Sequence[tuple[str, str | None]]) -> Iterator[Finding]:
    """Judge the callbacks that are still to come: (meeting id, text of the attributes)."""
    unreadable = []
    for meeting_id, text in rows:
        try:
            parse_callback_attributes(text or "")
        except InvalidCallbackData as error:
            unreadable.append(f"{meeting_id}: {error}")
    yield Finding(
        Verdict.FINE,
        "meetings whose front-ends wait for a recording",
        count=len(rows) - len(unreadable),
    )
    yield from found(
        Verdict.PERSON,
        "meetings whose callback addresses cannot be read",
        unreadable,
        "their front-ends will not be told; see their rows in callback_data",
    )


class _Heap:
    """Names by what they are."""

    def __init__(self) -> None:
        self._names: dict[tuple[Verdict, str, str], list[str]] = defaultdict(list)

    def add(self, verdict: Verdict, text: str, name: str, advice: str = "") -> None:
        self._names[verdict, text, advice].append(name)

    def findings(self) -> list[Finding]:
        return [
            Finding(verdict, text, tuple(names), 0, advice)
            for (verdict, text, advice), names in self._names.items()
        ]


WRONG_PLACE = "formats in the wrong directory"
DELETED_FILES = "formats of deleted recordings whose files are still there"


def check_recordings(
    rows: Sequence[SurveyedRecording],
    files: Mapping[str, Places],
    tars: Collection[str],
) -> list[Finding]:
    """Judge recordings against their files, by recordID; `tars`: the ids that wait in the spool."""
    heap = _Heap()
    for row in rows:
        if not is_record_id(row.record_id):
            heap.add(
                *(Verdict.PERSON, "recordings whose id can be no directory's name", row.record_id),
                "nobody can play them: delete their rows",
            )
        elif row.deleted:
            for name in files.get(row.record_id, ()):
                heap.add(Verdict.HEAL, DELETED_FILES, f"{row.record_id}/{name}")
        else:
            _check_formats(heap, row, files.get(row.record_id, {}), row.record_id in tars)
    return heap.findings()


def _check_formats(heap: _Heap, row: SurveyedRecording, places: Places, waits: bool) -> None:
    missing = [name for name in row.formats if name not in places]
    for name in wrong_places(row, places):
        heap.add(Verdict.HEAL, WRONG_PLACE, f"{row.record_id}/{name}")
    for name in missing:
        shown = f"{row.record_id}/{name}"
        if waits:
            heap.add(Verdict.SELF, "formats whose files may come with a tar in the spool", shown)
        else:
            advice = "restore the files, import the tar again, or delete the recording"
            heap.add(Verdict.PERSON, "formats without files", shown, advice)
    for name in places.keys() - set(row.formats):
        advice = "import the tar again, or remove the directory"
        text = "formats with files that the database does not know"
        heap.add(Verdict.PERSON, text, f"{row.record_id}/{name}", advice)
    if not row.formats:
        advice = "import the tar again, or delete the recording"
        heap.add(Verdict.PERSON, "recordings without a format", row.record_id, advice)
    if row.state is None:
        heap.add(
            Verdict.FINE,
            "recordings without a state, which are listed with state=any",
            row.record_id,
        )
    elif row.published != (row.state == RecordingStates.PUBLISHED):
        text = "recordings listed in another state than they are in; their flag decides"
        heap.add(Verdict.FINE, text, row.record_id)


def wrong_places(row: SurveyedRecording, places: Places) -> list[str]:
    """Return the formats whose files are not, or not only, where they belong."""
    right = (row.published, not row.published)
    return sorted(name for name, is_where in places.items() if is_where != right)


def check_strangers(
    folder: str, names: Collection[str], known: Collection[str], tars: Collection[str]
) -> Iterator[Finding]:
    """Judge the directories of a format whose recordings the database does not have."""
    strangers = [name for name in names if name not in known]
    yield from found(
        Verdict.SELF,
        "directories of recordings that are just being imported",
        (f"{folder}/{name}" for name in strangers if name in tars),
    )
    yield from found(
        Verdict.PERSON,
        "directories of recordings that the database does not have",
        (f"{folder}/{name}" for name in strangers if name not in tars),
        "nobody can play them: import their tars again, or remove them",
    )
