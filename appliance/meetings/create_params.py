"""The parameters of a create that depend on the meeting's record and its server.

Pure. Truth: docs of the public BBB API (create); docs/placement.md.
"""

from __future__ import annotations

from appliance.bbb.client import MAX_LINE_BYTES
from appliance.bbb.params import Params, encode_query, get, replace_param
from appliance.callbacks.end_callback_url import drop_relayed
from appliance.callbacks.ended_rules import ENDED_PARAM
from appliance.meetings.passwords import attendee_password
from appliance.meetings.placement import TAG_PARAM
from appliance.model import Meeting, MeetingId
from appliance.tenants.scoped_id import ORIGINAL_KEY, is_reversible

_SIGNED_LINE_BYTES = len("POST /create?&checksum= HTTP/1.1\r\n") + 128


def name_meeting(params: Params, meeting: Meeting) -> Params:
    """Return the parameters with the id by which the meeting's server knows it."""
    if get(params, "meetingID") == meeting.id:
        return params
    return replace_param(params, "meetingID", meeting.id)


def params_for(
    params: Params,
    meeting: Meeting,
    *,
    asked_for: MeetingId,
    moderator_pw: str,
    ended_url: str | None,
) -> Params:
    """Return what the meeting's server is sent; `params` are those that depend on no server.

    `asked_for` is the front-end's meetingID.
    """
    if meeting.id != asked_for and not is_reversible(meeting.id, asked_for):
        params = replace_param(params, f"meta_{ORIGINAL_KEY}", asked_for)
    params = name_meeting(params, meeting)
    params = replace_param(params, "voiceBridge", meeting.voice_bridge)
    params = replace_param(params, "moderatorPW", moderator_pw)
    params = replace_param(params, TAG_PARAM, meeting.server_tag)
    params = replace_param(params, ENDED_PARAM, ended_url)
    # A record of Scalelite's (no placement number) was created without one.
    if meeting.placement and not get(params, "attendeePW"):
        params = replace_param(params, "attendeePW", attendee_password(meeting.id, moderator_pw))
    return params


def fit_line(params: Params, server_url: str) -> Params:
    """Return the parameters of a create whose body is a document: they must go into its URL.

    What we have added may be too much for that; then the end of the meeting is found by a poll, and
    who asked by metadata to be called when it ends is not.
    """
    if not _fits(params, server_url):
        params = replace_param(params, ENDED_PARAM, None)
    return params if _fits(params, server_url) else drop_relayed(params)


def _fits(params: Params, server_url: str) -> bool:
    return len(server_url) + len(encode_query(params)) + _SIGNED_LINE_BYTES <= MAX_LINE_BYTES
