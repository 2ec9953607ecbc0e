"""Scoped ids: the stored ids of meetings whose meetingID another tenant is using.

The first meeting has the plain id, as in Scalelite. That of another tenant has the scoped id
`{meetingID}~{tenant id}` in the stores and on its server, since equal ids on one BBB server would
be one meeting. Front-ends and callbacks always get the original id. lib.lua (`kept_id`) decides
which of the two ids a meeting has. Pure. Source: docs/tenants.md.
"""

from __future__ import annotations

import hashlib

from appliance.bbb.meeting_id import MAX_CHARACTERS
from appliance.model import MeetingId

SEPARATOR = "~"
ORIGINAL_KEY = "tenant-meeting-id"
"""Metadata key with the original id of a meeting whose scoped id contains only its hash. It begins
with `tenant-`, so that front-ends cannot set it; lists and recordings contain it."""


def scoped_id(meeting_id: str, tenant_id: str) -> MeetingId:
    """Return the scoped id of a tenant's meeting.

    If it would be longer than BBB accepts, the meetingID is replaced by its SHA-256.
    """
    scoped = f"{meeting_id}{SEPARATOR}{tenant_id}"
    if _characters(scoped) <= MAX_CHARACTERS:
        return MeetingId(scoped)
    digest = hashlib.sha256(meeting_id.encode("utf-8", "surrogatepass")).hexdigest()
    return MeetingId(f"{digest}{SEPARATOR}{tenant_id}")


def is_reversible(scoped: str, meeting_id: str) -> bool:
    """Whether the meetingID can be derived from its scoped id."""
    return scoped.startswith(f"{meeting_id}{SEPARATOR}")


def front_end_id(meeting_id: str, tenant_id: str | None, original: str | None = None) -> str:
    """Return the front-end's id of a meeting, given its stored id, plain or scoped.

    `original` is the meeting's metadata value of ORIGINAL_KEY. It is used only if the id was
    derived from it, because breakout rooms inherit the metadata of their parent.
    """
    if not tenant_id:
        return meeting_id
    if original and scoped_id(original, tenant_id) == meeting_id:
        return original
    return meeting_id.removesuffix(f"{SEPARATOR}{tenant_id}")


def _characters(text: str) -> int:
    """Return the length in UTF-16 code units, as BBB (Java) measures it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
