"""Equal meetingIDs of two tenants: under which id the second one's meeting is kept.

Whoever comes first has the plain id, Scalelite's key. The meeting of another tenant is kept in the
stores, and sent to its server, under the scoped id `{meetingID}~{tenant id}`, since equal ids on
one BBB server would be one meeting. What front-ends and callbacks see is turned back here.
Which of the two a meeting has is decided in Redis (scripts/lib.lua, `kept_id`).
Truth: spec/administration.md, Tenants.
"""

from __future__ import annotations

import hashlib

from appliance.bbb.meeting_id import MAX_CHARACTERS
from appliance.model import MeetingId

SEPARATOR = "~"
ORIGINAL_KEY = "tenant-meeting-id"
"""Metadata key that holds the front-end's id of a meeting whose scoped id cannot tell it. Below
`tenant-`, so that no front-end can set it; it comes back in lists and recordings."""


def scoped_id(meeting_id: str, tenant_id: str) -> MeetingId:
    """Return the id under which a tenant's meeting is kept beside another's of the same id.

    Where it would be longer than BBB takes, the meetingID is replaced by its SHA-256.
    """
    scoped = f"{meeting_id}{SEPARATOR}{tenant_id}"
    if _characters(scoped) <= MAX_CHARACTERS:
        return MeetingId(scoped)
    digest = hashlib.sha256(meeting_id.encode("utf-8", "surrogatepass")).hexdigest()
    return MeetingId(f"{digest}{SEPARATOR}{tenant_id}")


def is_reversible(scoped: str, meeting_id: str) -> bool:
    """Whether a scoped id tells the meetingID that it was made of."""
    return scoped.startswith(f"{meeting_id}{SEPARATOR}")


def front_end_id(meeting_id: str, tenant_id: str | None, original: str | None = None) -> str:
    """Return the meetingID by which the front-end knows a meeting; any other id comes back as is.

    `original` is what the meeting's metadata hold under ORIGINAL_KEY. It counts only if the id was
    made of it: breakout rooms inherit the metadata of their parent.
    """
    if not tenant_id:
        return meeting_id
    if original and scoped_id(original, tenant_id) == meeting_id:
        return original
    return meeting_id.removesuffix(f"{SEPARATOR}{tenant_id}")


def _characters(text: str) -> int:
    """Count as Java does, in which BBB measures: characters beyond U+FFFF are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
