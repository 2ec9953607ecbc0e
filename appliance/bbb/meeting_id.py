"""Which meeting ids a create accepts.

Truth: BBB's own validation of create, done here first, so that no server is asked in vain.
"""

from __future__ import annotations

from appliance.bbb.errors import FORMAT_ERROR, MISSING_MEETING_ID, SIZE_ERROR, Failure

MIN_CHARACTERS = 2
MAX_CHARACTERS = 256


def check_meeting_id(meeting_id: str | None) -> Failure | None:
    """Return why a create with this meetingID fails, None if the id is good."""
    if not meeting_id:
        return MISSING_MEETING_ID
    if not MIN_CHARACTERS <= len(meeting_id) <= MAX_CHARACTERS:
        return SIZE_ERROR
    if "," in meeting_id:
        return FORMAT_ERROR
    return None
