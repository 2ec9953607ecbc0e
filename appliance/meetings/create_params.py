"""The parameters of a create: those that placement depends on, and those that depend on it.

The server is selected in between, in place_meeting.lua. Pure. Source: BigBlueButton API reference,
create; docs/placement.md; the syntax of meta_server-tag is Scalelite's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from appliance.bbb.client import MAX_LINE_BYTES
from appliance.bbb.meeting_id import TRIMMED
from appliance.bbb.params import Params, encode_query, get, replace_param
from appliance.callbacks.end_callback_url import drop_relayed
from appliance.callbacks.ended_rules import ENDED_PARAM
from appliance.meetings.placement import TagRequest
from appliance.model import Meeting, MeetingId
from appliance.tenants.scoped_id import ORIGINAL_KEY, is_reversible

TAG_PARAM = "meta_server-tag"
SIZE_HINT_PARAM = "meta_bbb-meeting-size-hint"

_MANY = 999_999_999
"""Value of any longer number: above every meeting, and exact in Lua and Redis."""


def parse_tag(value: str | None) -> TagRequest | None:
    """Parse a server tag: a list separated by `;`, which a final `!` makes required.

    Empty parts and white space around parts are ignored; `!` alone is no tag. None: no tag.
    """
    text = (value or "").strip()
    required = text.endswith("!")
    parts = [part.strip() for part in text.removesuffix("!").split(";")]
    tags = tuple(dict.fromkeys(part for part in parts if part))
    return TagRequest(tags, required) if tags else None


def effective_tag(
    front_end: Params,
    *,
    defaults: Sequence[Params],
    overrides: Sequence[Params],
    excluded: frozenset[str] = frozenset(),
) -> str | None:
    """Return the server tag of a create: the first non-empty one, by precedence.

    Arguments as for `merge_params`, weakest first. Unlike there, a weaker value replaces an empty
    one. `!` is not empty: it asks for no tag and so overrides a weaker one.
    """
    asked = () if TAG_PARAM in excluded else front_end
    for layer in (*reversed(overrides), asked, *reversed(defaults)):
        tag = (get(layer, TAG_PARAM) or "").strip()
        if tag:
            return tag
    return None


def size_hint(params: Params) -> int | None:
    """Return the number of users that the front-end expects (at least 1), None if not given."""
    return _positive(get(params, SIZE_HINT_PARAM))


def max_participants(params: Params) -> int | None:
    """Return the maximum number of users of a meeting (at least 1), None if there is no limit."""
    return _positive(get(params, "maxParticipants"))


def _positive(text: str | None) -> int | None:
    # BBB trims parameters. Else strict: int() also accepts "1_0" and digits of other scripts.
    text = (text or "").strip(TRIMMED)
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    if len(digits) > 9:
        return _MANY
    return int(digits) if digits else None


ATTENDEE_PASSWORD_LENGTH = 12
_PASSWORD_CHARACTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_SIGNED_LINE_BYTES = len("POST /create?&checksum= HTTP/1.1\r\n") + 128


def with_stored_id(params: Params, meeting: Meeting) -> Params:
    """Return the parameters with the meetingID under which the server has the meeting."""
    if get(params, "meetingID") == meeting.id:
        return params
    return replace_param(params, "meetingID", meeting.id)


def server_params(
    params: Params,
    meeting: Meeting,
    *,
    asked_for: MeetingId,
    moderator_pw: str | None,
    ended_url: str | None,
) -> Params:
    """Return the parameters of a create for the server of `meeting`.

    `params` are those that do not depend on the server, `asked_for` is the front-end's meetingID,
    `moderator_pw` the password to send (None: neither password is sent).
    """
    if meeting.id != asked_for and not is_reversible(meeting.id, asked_for):
        params = replace_param(params, f"meta_{ORIGINAL_KEY}", asked_for)
    params = with_stored_id(params, meeting)
    params = replace_param(params, "voiceBridge", meeting.voice_bridge)
    params = replace_param(params, "moderatorPW", moderator_pw)
    params = replace_param(params, TAG_PARAM, meeting.server_tag)
    params = replace_param(params, ENDED_PARAM, ended_url)
    if moderator_pw is None:
        return replace_param(params, "attendeePW", None)
    # Scalelite creates without it, and its records have no placement number.
    if meeting.placement and not get(params, "attendeePW"):
        params = replace_param(params, "attendeePW", attendee_password(meeting.id, moderator_pw))
    return params


def password_to_send(meeting: Meeting, given: str | None, *, none_given: bool) -> str | None:
    """Return the moderator password of a create; None: neither password is sent.

    `given` is the front-end's, `none_given` whether it gave no password at all. BBB accepts a
    repeated create if both passwords are those of the first one, or if it has none. So a repeated
    create without passwords has none, unless the first create had the appliance's own ones: then
    those again, which also BBB before 2.6 accepts.
    """
    if none_given and not meeting.own_passwords:
        return None
    return given or meeting.moderator_pw


def fit_request_line(params: Params, server_url: str) -> Params:
    """Return the parameters of a create whose body is a document, short enough for the URL.

    If the parameters that the appliance added make the URL too long, they are dropped: first the
    meetingEndedURL (a poll then detects the end), then the relayed meta_endCallbackUrl, so that the
    front-end is not called at that URL.
    """
    if not _fits(params, server_url):
        params = replace_param(params, ENDED_PARAM, None)
    return params if _fits(params, server_url) else drop_relayed(params)


def _fits(params: Params, server_url: str) -> bool:
    return len(server_url) + len(encode_query(params)) + _SIGNED_LINE_BYTES <= MAX_LINE_BYTES


def attendee_password(meeting_id: str, moderator_pw: str) -> str:
    """Return the attendee password of a meeting whose front-end gave none.

    BBB accepts a repeated create with a moderator password only if both passwords are the same
    again, so without a constant attendee password it would be refused as `idNotUnique`. It is
    derived, so that nothing more needs to be stored; the moderator password cannot be computed from
    it.
    """
    digest = hashlib.sha256(f"attendee\0{meeting_id}\0{moderator_pw}".encode()).digest()
    characters = (
        _PASSWORD_CHARACTERS[byte % len(_PASSWORD_CHARACTERS)]
        for byte in digest[:ATTENDEE_PASSWORD_LENGTH]
    )
    return "".join(characters)
