"""Validation of the meetingID of a create.

Source: BBB's validation of create, repeated here so that no server is called in vain.
"""

from __future__ import annotations

import re

from appliance.bbb.errors import (
    FORMAT_ERROR,
    INTERNAL_ID,
    MISSING_MEETING_ID,
    SIZE_ERROR,
    Failure,
)

MIN_CHARACTERS = 2
MAX_CHARACTERS = 256


_STRIPPED = re.compile(r"[\x00-\x20\x7f-\x9f]")
_INTERNAL = re.compile(r"[0-9a-f]{40}-[0-9]{13}").fullmatch


def check_meeting_id(meeting_id: str | None, *, scoped: bool = False) -> Failure | None:
    """Return the failure of a create with this meetingID, None if the id is valid.

    BBB takes a meetingID of the form of its internal ids for the meeting that has this internal id.
    So it is refused, unless it is `scoped`: with tenants the server gets another id (lib.lua,
    `names_internal_id`).
    """
    if not meeting_id:
        return MISSING_MEETING_ID
    if not MIN_CHARACTERS <= len(meeting_id) <= MAX_CHARACTERS:
        return SIZE_ERROR
    if "," in meeting_id:
        return FORMAT_ERROR
    if not scoped and _INTERNAL(_STRIPPED.sub("", meeting_id)):
        return INTERNAL_ID
    return None
