"""The JSON of the admin calls about recordings: our values as documents, fields of requests.

Pure. Times are ISO 8601 in UTC; ids and states are as the BBB API has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.admin_calls import forms as form
from appliance.admin_calls.forms import BadRequest, Json
from appliance.bbb.xml_text import has_forbidden, is_xml_name
from appliance.recordings.changes import RecordingChanges, read_changes, read_switch
from appliance.recordings.import_administration import ImportOverview
from appliance.recordings.import_model import SpooledTar
from appliance.recordings.manual_imports import ManualImport
from appliance.recordings.recording import Recording, RecordingStates
from appliance.recordings.summary import (
    FailedTar,
    FormatFiles,
    ImportRecord,
    RecordingDetails,
    RecordingQuery,
    RecordingSummary,
)
from appliance.tenants.params import TENANT_PREFIX
from appliance.tenants.retention import MAX_DAYS, RetentionRules

MAX_LIMIT = 100_000
DEFAULT_LIMIT = 50
STATES = (
    RecordingStates.PUBLISHED,
    RecordingStates.UNPUBLISHED,
    RecordingStates.PROCESSING,
    RecordingStates.PROCESSED,
    RecordingStates.DELETED,
)
ANY = "any"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# --- documents -----------------------------------------------------------------------------------


def time_json(ms: int | None) -> str | None:
    """Render milliseconds since the epoch as `2026-11-25T10:40:07Z`."""
    if ms is None:
        return None
    return f"{_EPOCH + timedelta(seconds=ms // 1000):%Y-%m-%dT%H:%M:%SZ}"


def _common_json(one: RecordingSummary | Recording) -> Json:
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


def summary_json(one: RecordingSummary) -> Json:
    """Render a line of a listing."""
    return {**_common_json(one), "formats": list(one.formats)}


def recording_json(one: Recording) -> Json:
    """Render a recording's rows."""
    return {
        **_common_json(one),
        "participants": one.participants,
        "metadata": dict(one.metadata),
        "formats": [
            {
                "format": shown.format,
                "url": shown.url,
                "length_min": shown.length_min,
                "processing_time_ms": shown.processing_time_ms,
                "thumbnails": len(shown.thumbnails),
            }
            for shown in one.formats
        ],
    }


def details_json(details: RecordingDetails) -> Json:
    """Render everything about a recording."""
    return {
        **recording_json(details.recording),
        "files": [_files_json(one) for one in details.files],
        "size": sum(one.size for one in details.files),
        "changed_by_users": {
            "published": details.recording.publish_updated,
            "removed_metadata": list(details.removed_metadata),
        },
        "imports": [import_json(one) for one in details.imports],
    }


def _files_json(one: FormatFiles) -> Json:
    return {
        "format": one.format,
        "path": one.path,
        "published": one.published,
        "files": one.files,
        "size": one.size,
    }


def import_json(one: ImportRecord, by_hand: ManualImport | None = None) -> Json:
    """Render a line of the journal; `state` is `interrupted` if nobody is at it any more."""
    document = {
        "id": one.id,
        "file": one.tar.name,
        "size": one.tar.size,
        "state": "interrupted" if one.interrupted and by_hand is None else one.state.value,
        "running": one.running,
        "attempts": one.attempts,
        "error": one.error,
        "undelete": one.undelete,
        "recordings": list(one.record_ids),
        "created": time_json(one.created_ms),
        "started": time_json(one.started_ms),
        "finished": time_json(one.finished_ms),
        "next_try": time_json(one.next_try_ms),
    }
    if by_hand is not None:
        document["unpacked"] = by_hand.unpacked
    return document


def overview_json(overview: ImportOverview) -> Json:
    """Render the journal and what lies on the disk."""
    return {
        "imports": [import_json(one) for one in overview.imports],
        "count": overview.count,
        "spool": [_tar_json(one) for one in overview.spool],
        "failed": [_failed_json(one) for one in overview.failed],
    }


def _tar_json(one: SpooledTar) -> Json:
    return {
        "file": one.name,
        "size": one.size,
        "modified": time_json(one.mtime_ns // 1_000_000),
    }


def _failed_json(one: FailedTar) -> Json:
    return {**_tar_json(one.tar), "reason": one.reason}


def rules_json(rules: RetentionRules) -> Json:
    """Render how long recordings are kept; null is for ever."""
    return {
        "days": rules.default_days,
        "tenants": dict(rules.own_days),
        "unreadable": dict(rules.faulty),
    }


# --- requests ------------------------------------------------------------------------------------


def parse_query(fields: Mapping[str, Any]) -> RecordingQuery:
    """Read which recordings are to be listed. Raises BadRequest."""
    state = form.text(fields, "state") or None
    if state not in (None, ANY, *STATES):
        raise BadRequest(f"state must be one of {', '.join((*STATES, ANY))}")
    return RecordingQuery(
        meeting_id=word(fields, "meeting_id"),
        state=None if state == ANY else state,
        tenant_id=word(fields, "tenant_id"),
        limit=form.limit(fields, DEFAULT_LIMIT, MAX_LIMIT),
        any_state=state == ANY,
    )


def word(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a text that the database can hold, None if it is missing or empty.

    Raises BadRequest.
    """
    found = form.text(fields, name)
    if found and not _is_storable(found):
        raise BadRequest(f"{name} holds characters that no text can have")
    return found or None


def words(fields: Mapping[str, Any], name: str) -> list[str]:
    """Return a list of such texts, each once, empty if it is missing. Raises BadRequest."""
    found = form.texts(fields, name)
    if not all(map(_is_storable, found)):
        raise BadRequest(f"{name} holds characters that no text can have")
    return list(dict.fromkeys(found))


def _is_storable(text: str) -> bool:
    """Whether a text has no control characters, NUL among them, and no half characters."""
    return not has_forbidden(text)


def number(fields: Mapping[str, Any], name: str, default: int) -> int:
    """Return a whole number, given as such or as text. Raises BadRequest."""
    value = fields.get(name)
    if value is None or value == "":
        return default
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadRequest(f"{name} must be a whole number")
    return int(text)


def days_of(fields: Mapping[str, Any]) -> float | None:
    """Return the `days`, None if it is missing. Raises BadRequest."""
    value = fields.get("days")
    if value is None or value == "":
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            days = float(value)
        except (ValueError, OverflowError):
            days = 0.0
        if 0 < days <= MAX_DAYS:
            return days
    raise BadRequest(f"days must be a number greater than 0, at most {MAX_DAYS}")


def parse_changes(fields: Mapping[str, Any]) -> tuple[RecordingChanges, bool | None]:
    """Read what is to be changed, and whether to publish; an empty value removes a key.

    Raises BadRequest.
    """
    pairs = fields.get("metadata") or {}
    if not isinstance(pairs, dict):
        raise BadRequest("metadata must be a JSON object")
    params: list[tuple[str, str]] = []
    for key, value in pairs.items():
        if not isinstance(value, str) or "\0" in value:
            raise BadRequest(f"the value of {key} must be a text")
        if key.lower().startswith(TENANT_PREFIX):
            raise BadRequest(f"{key} is set by `recordings add-to-tenant` alone")
        if not is_xml_name(key.lower()):
            raise BadRequest(f"{key!r} cannot be a key: it is no name that XML can have")
        params.append((f"meta_{key}", value))
    protect = _switch(fields, "protect")
    if protect is not None:
        params.append(("protect", str(protect).lower()))
    changes = read_changes(tuple(params))
    if changes is None:
        raise BadRequest("these changes are not possible")
    return changes, _switch(fields, "publish")


def _switch(fields: Mapping[str, Any], name: str) -> bool | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    switch = value if isinstance(value, bool) else read_switch(str(value))
    if switch is None:
        raise BadRequest(f"{name} must be true or false")
    return switch
