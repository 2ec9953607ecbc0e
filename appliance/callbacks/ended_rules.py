"""The end of a meeting: the signed URL by which its server tells us, and the front-end's own.

Every create carries our meetingEndedURL. It is bound to the meeting, to its server and to the one
run that the create began, so that a forged call, a replayed one and one for an earlier run of the
same id do nothing. Which runs there are is known in Redis (scripts/end_meeting.lua).
Pure. Truth: docs of the public BBB API (meetingEndedURL, recordingmarks); BBB's MeetingService.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from appliance.bbb.params import Params, encode_query, get, parse_query
from appliance.model import MeetingId, ServerId
from appliance.tenants.scoped_id import front_end_id

T = TypeVar("T")

ENDED_CALL = "meeting_ended"
"""Name of our call, below the path of the API."""
ENDED_PARAM = "meetingEndedURL"
MARKS = "recordingmarks"
"""What BBB adds: whether a recorded meeting has marks. Not covered by the signature."""
NAME = "meetingID"
"""What BBB adds to other URLs of the kind. Only that it did is believed."""

_PURPOSE = "meeting ended"
_MAX_DIGITS = 15
_MAX_QUERY_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a meeting: what a create began on a server."""

    began_ms: int
    """When the create came that began it."""
    ended_url: str | None = None
    """What the front-end wants to be called when it ends."""


@dataclass(frozen=True, slots=True)
class EndedCall:
    """What our URL says when a server calls it."""

    meeting_id: MeetingId
    server_id: ServerId
    began_ms: int
    marks: str | None = None
    """`true` or `false` as BBB added it; None: it added nothing."""
    named: bool = False
    """BBB has added the meetingID."""


@dataclass(frozen=True, slots=True)
class EndedMeeting:
    """A meeting that has ended, whose front-end is still to be told."""

    key: str
    """Names it among those still to be told."""
    meeting_id: MeetingId
    tenant_id: str | None
    url: str
    marks: str | None = None
    named: bool = False

    @property
    def front_end_id(self) -> str:
        """Return the meetingID by which the front-end knows it."""
        return front_end_id(self.meeting_id, self.tenant_id)

    @property
    def target(self) -> str:
        """Return the front-end's URL with what the server added to ours, if anything."""
        added = {} if self.marks is None else {MARKS: self.marks}
        if self.named:
            added[NAME] = self.front_end_id
        return with_added(self.url, added) if added else self.url


@dataclass(frozen=True, slots=True)
class EndWatch:
    """How one create makes its server tell us of the end."""

    base_url: str
    """By which the servers reach us; empty: they do not."""
    run: Run
    secret: str = field(repr=False)

    def begin_again(self, now_ms: int) -> EndWatch:
        """Return the watch for another attempt of the create: what the one before may have begun is
        another run, whose end must not be taken for the end of this one."""
        began_ms = max(now_ms, self.run.began_ms + 1)
        return replace(self, run=replace(self.run, began_ms=began_ms))

    def url_for(self, meeting_id: MeetingId, server_id: ServerId) -> str | None:
        """Return our meetingEndedURL for a server; None: it could not reach us, or not prove it."""
        if not self.base_url or not self.secret:
            return None
        call = EndedCall(meeting_id, server_id, self.run.began_ms)
        query = encode_query(
            (
                ("meeting", meeting_id),
                ("server", server_id),
                ("began", str(call.began_ms)),
                ("signature", _signature(call, self.secret)),
            )
        )
        return f"{self.base_url}/bigbluebutton/api/{ENDED_CALL}?{query}"


def read_ended_call(query: bytes, secret: str) -> EndedCall | None:
    """Return what a call of our URL says; None: we have not signed it."""
    return read_signed(query, secret, _read_call, _signature, max_bytes=_MAX_QUERY_BYTES)


def _read_call(params: Params, began_ms: int, marks: str | None) -> EndedCall:
    return EndedCall(
        MeetingId(get(params, "meeting") or ""),
        ServerId(get(params, "server") or ""),
        began_ms,
        marks,
        get(params, NAME) is not None,
    )


def _signature(call: EndedCall, secret: str) -> str:
    return sign(secret, _PURPOSE, call.meeting_id, call.server_id, call.began_ms)


# --- what both URLs of ours have, this one and that of end_callback ------------------------------


def sign(secret: str, *values: str | int) -> str:
    """Return the signature of the values of a URL, the first of which is its purpose."""
    signed = json.dumps(values)  # so that no two of them have the same text
    key = secret.encode("utf-8", "surrogateescape")
    return hmac.digest(key, signed.encode("ascii"), "sha256").hex()


def read_signed(
    query: bytes,
    secret: str,
    read: Callable[[Params, int, str | None], T],
    signature_of: Callable[[T, str], str],
    *,
    max_bytes: int,
) -> T | None:
    """Return what `read` makes of the parameters, began_ms and recordingmarks of a URL of ours.

    None: we have not signed it, or it is longer than `max_bytes`. Parameters may come in any order
    and encoding, since BBB takes the URL apart and builds it anew.
    """
    if not secret or len(query) > max_bytes:
        return None
    params = parse_query(query)
    began_ms = _read_began(params)
    if began_ms is None:
        return None
    call = read(params, began_ms, _read_marks(params))
    wanted, given = signature_of(call, secret), get(params, "signature") or ""
    return call if hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")) else None


def _read_began(params: Params) -> int | None:
    """Return when the run began, in Unix milliseconds; None: it does not say."""
    began = get(params, "began") or ""
    is_number = began.isascii() and began.isdigit() and len(began) <= _MAX_DIGITS
    return int(began) if is_number else None


def _read_marks(params: Params) -> str | None:
    """Return `true` or `false`, as BBB has added it."""
    marks = get(params, MARKS)
    return marks if marks in ("true", "false") else None


def with_added(url: str, added: Mapping[str, str]) -> str:
    """Return a URL with parameters added to its query, in the place of those of the same names."""
    parts = urlsplit(url)
    kept = [part for part in parts.query.split("&") if part and part.partition("=")[0] not in added]
    return urlunsplit(parts._replace(query="&".join([*kept, encode_query(tuple(added.items()))])))
