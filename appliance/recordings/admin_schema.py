"""What the admin calls about recordings take and answer (admin_recording_calls.py).

Pure. Truth: admin_recording_json.py, which makes the answers.
"""

from __future__ import annotations

from typing import Any

from appliance.admin_calls.schema import (
    GIVEN_TEXT,
    ID,
    MAYBE_FLAG,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    MAYBE_TEXTS,
    MAYBE_WHOLE,
    TEXT,
    TEXT_OR_NULL,
    TRUTH,
    WHOLE,
    WHOLE_OR_NULL,
    About,
    Named,
    Schema,
    fields,
    limit,
    list_of,
    record,
    told,
)
from appliance.recordings.admin_json import DEFAULT_LIMIT, MAX_LIMIT

_RECORDINGS = "recordings"
_NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
_TIME = told("In UTC, as 2026-11-25T10:40:07Z.", TEXT_OR_NULL)
_TEXTS = list_of(TEXT)
_NO_RECORDING = {404: "There is no recording with this id."}
_LIMIT = limit(DEFAULT_LIMIT, MAX_LIMIT)
_AFTER = told("The `next_after` of the answer before; none for the first step.", MAYBE_WHOLE)
_NEXT = told("For the next step; null: that was the last.", WHOLE_OR_NULL)
_DAYS = told("In place of RECORDING_RETENTION_DAYS; a tenant's own goes before it.", MAYBE_NUMBER)
_IDS = told("The recordIDs.", {"type": "array", "items": GIVEN_TEXT, "minItems": 1})

_ID_EXAMPLE = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"
_FILE_EXAMPLE = f"{_ID_EXAMPLE}.tar"
_TENANT_EXAMPLE = "6d1f7c0e-8f43-4d6b-9a55-0c2f5a1b7e21"

_COMMON: dict[str, Schema] = {
    "record_id": TEXT,
    "meeting_id": TEXT_OR_NULL,
    "name": TEXT_OR_NULL,
    "state": TEXT_OR_NULL,
    "published": TRUTH,
    "protected": TRUTH,
    "tenant_id": TEXT_OR_NULL,
    "start_time": _TIME,
    "end_time": _TIME,
}
_COMMON_EXAMPLE: dict[str, Any] = {
    "record_id": _ID_EXAMPLE,
    "meeting_id": "math-101",
    "name": "Maths",
    "state": "published",
    "published": True,
    "protected": False,
    "tenant_id": None,
    "start_time": "2023-11-14T22:13:20Z",
    "end_time": "2023-11-14T23:13:20Z",
}

SUMMARY = Named("RecordingSummary", record(**_COMMON, formats=_TEXTS))
_SUMMARY_EXAMPLE = {**_COMMON_EXAMPLE, "formats": ["presentation"]}

_FORMAT = record(
    format=TEXT,
    url=told("Path and query.", TEXT),
    length_min=WHOLE_OR_NULL,
    processing_time_ms=WHOLE_OR_NULL,
    thumbnails=WHOLE,
)
_ROWS: dict[str, Schema] = {
    **_COMMON,
    "participants": WHOLE_OR_NULL,
    "metadata": {"type": "object", "additionalProperties": TEXT},
    "formats": list_of(_FORMAT),
}
_ROWS_EXAMPLE: dict[str, Any] = {
    **_COMMON_EXAMPLE,
    "participants": 7,
    "metadata": {"course": "Physics"},
    "formats": [
        {
            "format": "presentation",
            "url": f"/playback/presentation/2.3/{_ID_EXAMPLE}",
            "length_min": 60,
            "processing_time_ms": 4882,
            "thumbnails": 3,
        }
    ],
}
RECORDING = Named("Recording", record(**_ROWS))

IMPORT = Named(
    "Import",
    {
        **record(
            id=WHOLE,
            file=told("Its name in the spool; a path for one that was imported by hand.", TEXT),
            size=told("Bytes.", WHOLE),
            state=told(
                "waiting, extracting, placing, done, failed; interrupted: nobody is at it now.",
                TEXT,
            ),
            running=told("Whether an appliance is at it.", TRUTH),
            attempts=WHOLE,
            error=TEXT_OR_NULL,
            undelete=TRUTH,
            recordings=told("The recordIDs that it brought.", _TEXTS),
            created=_TIME,
            started=_TIME,
            finished=_TIME,
            next_try=_TIME,
        )
    },
)
IMPORT["properties"]["unpacked"] = told("Bytes so far, of one by hand under way here.", WHOLE)
_IMPORT_EXAMPLE: dict[str, Any] = {
    "id": 1,
    "file": _FILE_EXAMPLE,
    "size": 85_143_552,
    "state": "done",
    "running": False,
    "attempts": 0,
    "error": None,
    "undelete": False,
    "recordings": [_ID_EXAMPLE],
    "created": "2026-11-25T10:40:07Z",
    "started": "2026-11-25T10:40:07Z",
    "finished": "2026-11-25T10:40:19Z",
    "next_try": None,
}
_TAR: dict[str, Schema] = {"file": TEXT, "size": WHOLE, "modified": _TIME}
_RULES = record(
    days=_NUMBER_OR_NULL,
    tenants=told(
        "Days by tenant id; null: for ever.",
        {"type": "object", "additionalProperties": _NUMBER_OR_NULL},
    ),
    unreadable=told(
        "Settings that are no number of days: nothing of these tenants is deleted.",
        {"type": "object", "additionalProperties": TEXT},
    ),
)
_RULES_EXAMPLE: dict[str, Any] = {"days": 365.0, "tenants": {}, "unreadable": {}}

LIST = About(
    _RECORDINGS,
    "The newest recordings, and how many there are in all.",
    record(recordings=list_of(SUMMARY), count=WHOLE),
    {"recordings": [_SUMMARY_EXAMPLE], "count": 1},
    query={
        "meeting_id": MAYBE_TEXT,
        "state": told("One state, or `any`; default: all but the deleted.", MAYBE_TEXT),
        "tenant_id": MAYBE_TEXT,
        "limit": _LIMIT,
    },
    optional=("meeting_id", "state", "tenant_id", "limit"),
    query_example={"meeting_id": "math-101", "state": "published", "tenant_id": "", "limit": "50"},
)
SHOW = About(
    _RECORDINGS,
    "One recording: its rows, where its files are, what users changed, its imports.",
    record(
        **_ROWS,
        files=list_of(
            record(format=TEXT, path=TEXT, published=TRUTH, files=WHOLE, size=told("Bytes.", WHOLE))
        ),
        size=told("Bytes of all files.", WHOLE),
        changed_by_users=record(published=TRUTH, removed_metadata=_TEXTS),
        imports=list_of(IMPORT),
    ),
    {
        **_ROWS_EXAMPLE,
        "files": [
            {
                "format": "presentation",
                "path": f"/var/bigbluebutton/published/presentation/{_ID_EXAMPLE}",
                "published": True,
                "files": 214,
                "size": 84_912_773,
            }
        ],
        "size": 84_912_773,
        "changed_by_users": {"published": False, "removed_metadata": []},
        "imports": [_IMPORT_EXAMPLE],
    },
    query={"id": told("The recordID.", ID)},
    query_example={"id": _ID_EXAMPLE},
    refusals=_NO_RECORDING,
)
UPDATE = About(
    _RECORDINGS,
    "Changes all recordings named, or none, as users do: no import undoes it.",
    list_of(RECORDING),
    [_ROWS_EXAMPLE],
    body=fields(
        "ids",
        ids=_IDS,
        publish=MAYBE_FLAG,
        protect=MAYBE_FLAG,
        metadata=told(
            "Keys and values; an empty value removes the key.",
            {"type": ["object", "null"], "additionalProperties": TEXT},
        ),
    ),
    body_example={"ids": [_ID_EXAMPLE], "metadata": {"course": "Physics", "draft": ""}},
    refusals=_NO_RECORDING,
    logs="recordings_changed",
)
REPAIR = About(
    _RECORDINGS,
    "Moves files that lie in the wrong directory, step by step: ask again with `next_after`.",
    {
        **record(
            checked=told("Recordings looked at in this step.", WHOLE),
            moved=told("recordID/format; with dry_run, what would be moved.", _TEXTS),
            missing=told("recordID/format of what has no files anywhere.", _TEXTS),
            failed=told("What could not be moved, and why.", _TEXTS),
            next_after=_NEXT,
        )
    },
    {
        "checked": 1,
        "moved": [f"{_ID_EXAMPLE}/presentation"],
        "missing": [],
        "failed": [],
        "next_after": None,
    },
    body=fields(ids=told("Only these recordIDs.", MAYBE_TEXTS), after=_AFTER, dry_run=MAYBE_FLAG),
    body_example={"dry_run": False},
    refusals=_NO_RECORDING,
    logs="recordings_repaired",
)
REPAIR.answer["properties"]["count"] = told("Recordings in all, with the first step.", WHOLE)
ASSIGN = About(
    _RECORDINGS,
    "Gives recordings to a tenant: those named, or all that are nobody's.",
    record(count=told("How many it got.", WHOLE)),
    {"count": 1},
    body=fields(
        "tenant_id",
        tenant_id=GIVEN_TEXT,
        ids=told("Only these recordIDs.", MAYBE_TEXTS),
        force=told("Even another tenant's, even to an unknown tenant.", MAYBE_FLAG),
    ),
    body_example={"tenant_id": _TENANT_EXAMPLE},
    refusals={404: "There is no such tenant or recording."},
    logs="recordings_assigned",
)
GET_IMPORTS = About(
    _RECORDINGS,
    "The newest imports, what is in the spool, and what lies in failed/ and why.",
    record(
        imports=list_of(IMPORT),
        count=told("Of imports in all.", WHOLE),
        spool=list_of(record(**_TAR)),
        failed=list_of(record(**_TAR, reason=TEXT_OR_NULL)),
    ),
    {
        "imports": [_IMPORT_EXAMPLE],
        "count": 1,
        "spool": [],
        "failed": [
            {
                "file": _FILE_EXAMPLE,
                "size": 85_143_552,
                "modified": "2026-11-25T10:40:07Z",
                "reason": "the archive is cut off",
            }
        ],
    },
    query={"failed": told("Only imports that failed.", MAYBE_FLAG), "limit": _LIMIT},
    optional=("failed", "limit"),
    query_example={"failed": "false", "limit": "50"},
)
GET_IMPORT = About(
    _RECORDINGS,
    "One import.",
    IMPORT,
    _IMPORT_EXAMPLE,
    query={"id": told("The number of the import.", ID)},
    query_example={"id": "1"},
    refusals={404: "There is no import with this id."},
)
IMPORT_FILE = About(
    _RECORDINGS,
    "Begins to import a tar of the appliance's machine; getImport tells how far it is.",
    IMPORT,
    {
        **_IMPORT_EXAMPLE,
        "file": f"/srv/recordings/{_FILE_EXAMPLE}",
        "state": "waiting",
        "recordings": [],
        "started": None,
        "finished": None,
        "unpacked": 0,
    },
    status=202,
    body=fields(
        "path",
        path=told("Absolute. A file outside of the spool is left alone.", GIVEN_TEXT),
        undelete=told("Bring recordings back that were deleted.", MAYBE_FLAG),
    ),
    body_example={"path": f"/srv/recordings/{_FILE_EXAMPLE}"},
    refusals={404: "There is no such file."},
    logs="import_by_hand",
)
RETRY = About(
    _RECORDINGS,
    "Puts tars of failed/ back into the spool with new tries: those named, or all.",
    list_of(record(file=TEXT, problem=told("Null: it is back in the spool.", TEXT_OR_NULL))),
    [{"file": _FILE_EXAMPLE, "problem": None}],
    body=fields(files=told("Their names in failed/.", MAYBE_TEXTS)),
    body_example={"files": [_FILE_EXAMPLE]},
    logs="imports_retried",
)
GET_EXPIRED = About(
    _RECORDINGS,
    "The recordings that are too old, step by step: ask again with `next_after`.",
    record(recordings=list_of(SUMMARY), next_after=_NEXT, retention=_RULES),
    {"recordings": [_SUMMARY_EXAMPLE], "next_after": None, "retention": _RULES_EXAMPLE},
    query={"days": _DAYS, "after": _AFTER},
    optional=("days", "after"),
    query_example={"days": "365", "after": "0"},
)
PRUNE = About(
    _RECORDINGS,
    "Deletes the next recordings that are too old: ask again with `next_after`.",
    record(
        deleted=told("recordIDs.", _TEXTS),
        failed=told("Those whose files could not be moved; the log says why.", _TEXTS),
        next_after=_NEXT,
        retention=_RULES,
    ),
    {"deleted": [_ID_EXAMPLE], "failed": [], "next_after": None, "retention": _RULES_EXAMPLE},
    body=fields(days=_DAYS, after=_AFTER),
    body_example={"days": 365},
    logs="recordings_expired",
)
