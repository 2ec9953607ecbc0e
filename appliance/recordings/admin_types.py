"""The fields and the answers of the admin calls about recordings and their imports. Pure.

Times are ISO 8601 in UTC; ids and states are as the BBB API has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from appliance.admin_calls.call import Answer, Time, time_json
from appliance.admin_calls.fields import (
    NUMBER_VALUES,
    TEXTS_VALUES,
    BadRequest,
    Count,
    GivenText,
    number,
    reads,
    required,
    text,
    texts,
)
from appliance.admin_calls.secrets import SecretsByName
from appliance.bbb.xml_text import has_forbidden, is_xml_name
from appliance.recordings.changes import read_switch
from appliance.recordings.imports.model import ManualImport
from appliance.recordings.recording import PlaybackFormat, Recording
from appliance.recordings.summary import (
    FormatFiles,
    ImportRecord,
    RecordingDetails,
    RecordingSummary,
)
from appliance.tenants.params import TENANT_PREFIX
from appliance.tenants.retention import MAX_DAYS, RetentionRules

Number = Annotated[int, Meta(ge=0)]
Bytes = Annotated[int, Meta(ge=0, description="Bytes.")]


# --- fields of requests --------------------------------------------------------------------------


def _read_text(fields: Mapping[str, Any], name: str) -> str | None:
    """Read a text that the database can store; None if it is missing or empty."""
    found = text(fields, name)
    if found and has_forbidden(found):
        raise BadRequest(f"{name} holds characters that no text can have")
    return found or None


def _read_texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Read a list of such texts, each once."""
    found = texts(fields, name)
    if any(map(has_forbidden, found)):
        raise BadRequest(f"{name} holds characters that no text can have")
    return tuple(dict.fromkeys(found))


def _read_days(fields: Mapping[str, Any], name: str) -> float | None:
    try:
        days = number(fields, name)
    except BadRequest:
        days = 0.0
    if days is None or 0 < days <= MAX_DAYS:
        return days
    raise BadRequest(f"{name} must be a number greater than 0, at most {MAX_DAYS}")


def _read_switch(fields: Mapping[str, Any], name: str) -> bool | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    switch = value if isinstance(value, bool) else read_switch(str(value))
    if switch is None:
        raise BadRequest(f"{name} must be true or false")
    return switch


def _read_metadata(fields: Mapping[str, Any], name: str) -> dict[str, str]:
    pairs = fields.get(name) or {}
    if not isinstance(pairs, dict):
        raise BadRequest(f"{name} must be a JSON object")
    for key, value in pairs.items():
        if not isinstance(value, str) or "\0" in value:
            raise BadRequest(f"the value of {key} must be a text")
        if key.lower().startswith(TENANT_PREFIX):
            raise BadRequest(f"{key} is set by `recordings add-to-tenant` alone")
        if not is_xml_name(key.lower()):
            raise BadRequest(f"{key!r} cannot be a key: it is not a valid XML name")
    return pairs


StoredText = Annotated[str | None, reads(_read_text)]
RequiredStoredText = Annotated[str, Meta(min_length=1), reads(required(_read_text))]
RequestedTenant = Annotated[str | None, reads(_read_text, {"type": "string", "minLength": 1})]
"""None: it is missing; the operation refuses that."""
StoredTexts = Annotated[tuple[str, ...], reads(_read_texts, TEXTS_VALUES)]
RequiredStoredTexts = Annotated[
    tuple[GivenText, ...], Meta(min_length=1), reads(required(_read_texts))
]
Days = Annotated[
    float | None,
    Meta(description="Instead of RECORDING_RETENTION_DAYS; a tenant's own value precedes it."),
    reads(_read_days, NUMBER_VALUES),
]
After = Annotated[
    Count, Meta(description="The `next_after` of the previous answer; none for the first step.")
]
NextAfter = Annotated[int | None, Meta(description="For the next step; null: this was the last.")]
Switch = Annotated[
    bool | None, reads(_read_switch, {"enum": [True, False, None, "true", "false", ""]})
]
Metadata = Annotated[
    dict[str, str],
    Meta(description="Keys and values; an empty value removes the key."),
    reads(_read_metadata, {"type": ["object", "null"], "additionalProperties": {"type": "string"}}),
]


# --- answers -------------------------------------------------------------------------------------


class CommonJson(Answer, frozen=True):
    """The part of a recording that every answer has."""

    record_id: str
    meeting_id: str | None
    name: str | None
    state: str | None
    published: bool
    protected: bool
    tenant_id: str | None
    start_time: Time
    end_time: Time


class RecordingSummaryJson(CommonJson, frozen=True):
    """A line of a listing."""

    formats: list[str]
    size: Annotated[int | None, Meta(description="Bytes of all files; null: not measured yet.")]


class FormatJson(Answer, frozen=True):
    """A playback format."""

    format: str
    url: Annotated[str, Meta(description="Path and query.")]
    length_min: int | None
    processing_time_ms: int | None
    thumbnails: Number


class RecordingJson(CommonJson, frozen=True):
    """The rows of a recording."""

    participants: int | None
    metadata: SecretsByName
    formats: list[FormatJson]


class FormatFilesJson(Answer, frozen=True):
    """The files of a format."""

    format: str
    path: str
    published: bool
    files: Number
    size: Bytes


class UserChangesJson(Answer, frozen=True):
    """Changes by users, which no import reverts."""

    published: bool
    removed_metadata: list[str]


class ImportJson(Answer, frozen=True):
    """A line of the journal of imports."""

    id: Number
    file: Annotated[
        str, Meta(description="Its name in the spool; a path if it was imported by hand.")
    ]
    size: Bytes
    state: Annotated[
        str,
        Meta(
            description="waiting, extracting, placing, done, failed; interrupted: no appliance "
            "works on it now."
        ),
    ]
    running: Annotated[bool, Meta(description="Whether an appliance works on it.")]
    attempts: Number
    error: str | None
    undelete: bool
    recordings: Annotated[list[str], Meta(description="The recordIDs in the file.")]
    created: Time
    started: Time
    finished: Time
    next_try: Time
    wait_reason: Annotated[
        str | None,
        Meta(
            description="What it waits for: `disk`, or the error code of the object store, such as"
            " SlowDown; null: it does not."
        ),
    ]
    uploaded: Annotated[
        Number | None, Meta(description="Bytes in the bucket so far; null: no upload began.")
    ]
    upload_size: Annotated[Number | None, Meta(description="Bytes to be uploaded.")]
    unpacked: Annotated[
        Number | UnsetType,
        Meta(description="Bytes so far, while this appliance imports it by hand."),
    ] = UNSET


class RecordingDetailsJson(RecordingJson, frozen=True):
    """Everything about a recording."""

    files: list[FormatFilesJson]
    size: Annotated[int, Meta(ge=0, description="Bytes of all files.")]
    changed_by_users: UserChangesJson
    imports: list[ImportJson]


class RetentionJson(Answer, frozen=True):
    """How long recordings are kept."""

    days: float | None
    tenants: Annotated[
        dict[str, float | None], Meta(description="Days by tenant id; null: without a limit.")
    ]
    unreadable: Annotated[
        dict[str, str],
        Meta(
            description="Settings that are no number of days: nothing of these tenants is deleted."
        ),
    ]


def _common(one: RecordingSummary | Recording) -> Mapping[str, Any]:
    return {
        "record_id": one.record_id,
        "meeting_id": one.meeting_id,
        "name": one.name,
        "state": one.state,
        "published": one.published,
        "protected": one.protected,
        "tenant_id": one.tenant_id,
        "start_time": time_json(one.start_ms),
        "end_time": time_json(one.end_ms),
    }


def summary_json(one: RecordingSummary) -> RecordingSummaryJson:
    """Render a line of a listing."""
    return RecordingSummaryJson(**_common(one), formats=list(one.formats), size=one.size)


def recording_json(one: Recording) -> RecordingJson:
    """Render the rows of a recording."""
    return RecordingJson(**_rows(one))


def _rows(one: Recording) -> Mapping[str, Any]:
    return {
        **_common(one),
        "participants": one.participants,
        "metadata": dict(one.metadata),
        "formats": list(map(_format_json, one.formats)),
    }


def _format_json(one: PlaybackFormat) -> FormatJson:
    return FormatJson(
        format=one.format,
        url=one.url,
        length_min=one.length_min,
        processing_time_ms=one.processing_time_ms,
        thumbnails=len(one.thumbnails),
    )


def details_json(details: RecordingDetails) -> RecordingDetailsJson:
    """Render everything about a recording."""
    return RecordingDetailsJson(
        **_rows(details.recording),
        files=list(map(_files_json, details.files)),
        size=sum(one.size for one in details.files),
        changed_by_users=UserChangesJson(
            published=details.recording.publish_updated,
            removed_metadata=list(details.removed_metadata),
        ),
        imports=list(map(import_json, details.imports)),
    )


def _files_json(one: FormatFiles) -> FormatFilesJson:
    return FormatFilesJson(
        format=one.format, path=one.path, published=one.published, files=one.files, size=one.size
    )


def import_json(one: ImportRecord, by_hand: ManualImport | None = None) -> ImportJson:
    """Render a line of the journal; `by_hand`: its progress, if this appliance imports it so."""
    return ImportJson(
        id=one.id,
        file=one.tar.name,
        size=one.tar.size,
        state="interrupted" if one.interrupted and by_hand is None else one.state.value,
        running=one.running,
        attempts=one.attempts,
        error=one.error,
        undelete=one.undelete,
        recordings=list(one.record_ids),
        created=time_json(one.created_ms),
        started=time_json(one.started_ms),
        finished=time_json(one.finished_ms),
        next_try=time_json(one.next_try_ms),
        wait_reason=one.wait_reason,
        uploaded=one.uploaded,
        upload_size=one.upload_size,
        unpacked=UNSET if by_hand is None else by_hand.unpacked,
    )


def rules_json(rules: RetentionRules) -> RetentionJson:
    """Render how long recordings are kept."""
    return RetentionJson(
        days=rules.default_days, tenants=dict(rules.own_days), unreadable=dict(rules.faulty)
    )


# --- examples ------------------------------------------------------------------------------------

RECORD_ID = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"
FILE_EXAMPLE = f"{RECORD_ID}.tar"
_COMMON_EXAMPLE: dict[str, Any] = {
    "record_id": RECORD_ID,
    "meeting_id": "math-101",
    "name": "Maths",
    "state": "published",
    "published": True,
    "protected": False,
    "tenant_id": None,
    "start_time": "2023-11-14T22:13:20Z",
    "end_time": "2023-11-14T23:13:20Z",
}
SUMMARY_EXAMPLE = RecordingSummaryJson(**_COMMON_EXAMPLE, formats=["presentation"], size=84_912_773)
RECORDING_EXAMPLE = RecordingJson(
    **_COMMON_EXAMPLE,
    participants=7,
    metadata={"course": "Physics"},
    formats=[
        FormatJson(
            format="presentation",
            url=f"/playback/presentation/2.3/{RECORD_ID}",
            length_min=60,
            processing_time_ms=4882,
            thumbnails=3,
        )
    ],
)
IMPORT_EXAMPLE = ImportJson(
    id=1,
    file=FILE_EXAMPLE,
    size=85_143_552,
    state="done",
    running=False,
    attempts=0,
    error=None,
    undelete=False,
    recordings=[RECORD_ID],
    created="2026-11-25T10:40:07Z",
    started="2026-11-25T10:40:07Z",
    finished="2026-11-25T10:40:19Z",
    next_try=None,
    wait_reason=None,
    uploaded=None,
    upload_size=None,
)
