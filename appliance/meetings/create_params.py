"""The parameters of a create that depend on the meeting's record and its server.

Pure. Source: BigBlueButton API reference, create; docs/placement.md.
"""

from __future__ import annotations

import hashlib

from appliance.bbb.client import MAX_LINE_BYTES
from appliance.bbb.params import Params, encode_query, get, replace_param
from appliance.callbacks.end_callback_url import drop_relayed
from appliance.callbacks.ended_rules import ENDED_PARAM
from appliance.meetings.placement_params import TAG_PARAM
from appliance.model import Meeting, MeetingId
from appliance.tenants.scoped_id import ORIGINAL_KEY, is_reversible

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
