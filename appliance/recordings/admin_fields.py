"""The fields of admin requests that only calls about recordings have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from appliance.admin_calls.fields import (
    NUMBER_VALUES,
    TEXTS_VALUES,
    BadRequest,
    Count,
    GivenText,
    reads,
    required,
    text,
    texts,
)
from appliance.bbb.xml_text import has_forbidden, is_xml_name
from appliance.recordings.changes import read_switch
from appliance.tenants.params import TENANT_PREFIX
from appliance.tenants.retention import MAX_DAYS


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
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            days = float(value)
        except (ValueError, OverflowError):
            days = 0.0
        if 0 < days <= MAX_DAYS:
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
            raise BadRequest(f"{key!r} cannot be a key: it is no name that XML can have")
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
Switch = Annotated[
    bool | None, reads(_read_switch, {"enum": [True, False, None, "true", "false", ""]})
]
Metadata = Annotated[
    dict[str, str],
    Meta(description="Keys and values; an empty value removes the key."),
    reads(_read_metadata, {"type": ["object", "null"], "additionalProperties": {"type": "string"}}),
]
