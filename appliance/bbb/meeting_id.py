"""Validation of the meetingID of a create.

Source: BBB's validation of create, repeated here so that no server is called in vain.
"""

from __future__ import annotations

from appliance.bbb.errors import FORMAT_ERROR, MISSING_MEETING_ID, SIZE_ERROR, Failure

MIN_CHARACTERS = 2
MAX_CHARACTERS = 256


def check_meeting_id(meeting_id: str | None) -> Failure | None:
    """Return the failure of a create with this meetingID, None if the id is valid."""
    if not meeting_id:
        return MISSING_MEETING_ID
    if not MIN_CHARACTERS <= len(meeting_id) <= MAX_CHARACTERS:
        return SIZE_ERROR
    if "," in meeting_id:
        return FORMAT_ERROR
    return None
