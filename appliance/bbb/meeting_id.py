"""The meetingID of a call as BBB reads it, and its validation in a create.

Source: BBB's ParamsUtil.sanitizeString and its validation of create, repeated here so that the
stores and all servers agree on the id, and that no server is called in vain.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from appliance.bbb.errors import (
    FORMAT_ERROR,
    INTERNAL_ID,
    INVALID_MEETING_ID,
    MISSING_MEETING_ID,
    SIZE_ERROR,
    ApiError,
    Failure,
)
from appliance.model import MeetingId

MIN_CHARACTERS = 2
MAX_CHARACTERS = 256
TRIMMED = "".join(map(chr, range(ord(" ") + 1)))
"""The characters that Java's String.trim removes."""
_STRIPPED = re.compile(r"[\x00-\x20\x7f-\x9f]")
_INTERNAL = re.compile(r"[0-9a-f]{40}-[0-9]{13}").fullmatch
_BEGINNING = re.compile(r"[0-9a-f]{1,40}|[0-9a-f]{40}-[0-9]{0,13}").fullmatch
_DIGITS = frozenset("0123456789abcdef")
_INTERNAL_CHARACTERS = 54


def read_meeting_id(text: str | None) -> MeetingId:
    """Return a call's meetingID without spaces and control characters around it.

    Raises ApiError: the id is missing or blank, or has control characters inside.
    """
    if text and not (text.isprintable() and text[0] != " " != text[-1]):
        text = text.strip(TRIMMED)
        if any(unicodedata.category(one) == "Cc" for one in text):
            raise ApiError(INVALID_MEETING_ID)
    if not text:
        raise ApiError(MISSING_MEETING_ID)
    return MeetingId(text)


def check_meeting_id(meeting_id: str | None, *, scoped: bool = False) -> Failure | None:
    """Return the failure of a create with this meetingID, None if the id is valid.

    BBB takes a meetingID of the form of its internal ids for the meeting that has this internal id.
    So it is refused, unless it is `scoped`: with tenants the server gets another id (lib.lua,
    `names_internal_id`). The beginning of one is accepted, since front-ends use SHA-1 digests and
    numbers as ids.
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


def may_begin_internal_id(meeting_id: str) -> bool:
    """Whether an internal id of BBB can begin with this meetingID.

    A server then takes it for any meeting whose internal id does. Source: BigBlueButton's
    MeetingService.getMeeting.
    """
    # Most ids are longer or begin with another character.
    return (
        len(meeting_id) <= _INTERNAL_CHARACTERS
        and meeting_id[0] in _DIGITS
        and _BEGINNING(meeting_id) is not None
    )


def beginning_of_internal_id(meeting_id: str) -> MeetingId:
    """Return the beginning of the internal ids of all runs of a meeting."""
    digest = hashlib.sha1(meeting_id.encode("utf-8", "replace"), usedforsecurity=False)
    return MeetingId(f"{digest.hexdigest()}-")
