"""The signed meetingEndedURL by which a server reports the end of a meeting.

Every create carries a meetingEndedURL of the appliance. It is bound to the meeting, its server and
the run that the create began, so that a forged or replayed call, or one for an earlier run of the
same id, has no effect. Redis has the recorded run (end_meeting.lua).
Pure. Source: BigBlueButton API reference (meetingEndedURL, recordingmarks); BBB's MeetingService.
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
"""Name of the appliance's call for servers, below the path of the API."""
ENDED_PARAM = "meetingEndedURL"
MARKS = "recordingmarks"
"""Added by BBB: whether a recorded meeting has marks. Not covered by the signature."""
NAME = "meetingID"
"""Added by BBB to similar URLs. Its presence is used, its value is not trusted."""

_PURPOSE = "meeting ended"
_MAX_DIGITS = 15
_MAX_QUERY_BYTES = 8192


@dataclass(frozen=True, slots=True)
class MeetingRun:
    """One run of a meeting, from a create to the end."""

    began_ms: int
    """Arrival time of the create that began it."""
    ended_url: str | None = None
    """URL that the front-end wants to have called at its end."""


@dataclass(frozen=True, slots=True)
class EndReport:
    """A server's report that a run has ended: the content of a called meetingEndedURL."""

    meeting_id: MeetingId
    server_id: ServerId
    began_ms: int
    marks: str | None = None
    """`true` or `false` as added by BBB; None: not added."""
    named: bool = False
    """BBB added the meetingID."""


@dataclass(frozen=True, slots=True)
class EndNotification:
    """A pending notification of a front-end that a meeting has ended."""

    key: str
    """Identifies it among the pending notifications."""
    meeting_id: MeetingId
    tenant_id: str | None
    url: str
    marks: str | None = None
    named: bool = False

    @property
    def front_end_id(self) -> str:
        """Return the front-end's meetingID."""
        return front_end_id(self.meeting_id, self.tenant_id)

    @property
    def target(self) -> str:
        """Return the front-end's URL with the parameters that the server added."""
        added = {} if self.marks is None else {MARKS: self.marks}
        if self.named:
            added[NAME] = self.front_end_id
        return with_added(self.url, added) if added else self.url


@dataclass(frozen=True, slots=True)
class EndUrlSigner:
    """Makes the meetingEndedURLs of one create."""

    base_url: str
    """Scheme and host by which servers reach the appliance; empty: they cannot."""
    run: MeetingRun
    secret: str = field(repr=False)
    handed_back_url: str | None = None
    """The front-end's own URL, which a server gets while a hand-back to Scalelite is prepared."""
    handback: bool = False

    def next_attempt(self, now_ms: int) -> EndUrlSigner:
        """Return the signer for the next attempt of the create.

        The previous attempt may have begun a run, whose end must not be taken for that of this one.
        """
        began_ms = max(now_ms, self.run.began_ms + 1)
        return replace(self, run=replace(self.run, began_ms=began_ms))

    def url_for(self, meeting_id: MeetingId, server_id: ServerId) -> str | None:
        """Return the meetingEndedURL for a server; None: there is no base URL or no secret."""
        if self.handback:
            return self.handed_back_url
        if not self.base_url or not self.secret:
            return None
        call = EndReport(meeting_id, server_id, self.run.began_ms)
        query = encode_query(
            (
                ("meeting", meeting_id),
                ("server", server_id),
                ("began", str(call.began_ms)),
                ("signature", _signature(call, self.secret)),
            )
        )
        return f"{self.base_url}/bigbluebutton/api/{ENDED_CALL}?{query}"


def read_end_report(query: bytes, secret: str) -> EndReport | None:
    """Return the report in the query of a meetingEndedURL; None: the signature is invalid."""
    return read_signed_url(query, secret, _read_call, _signature, max_bytes=_MAX_QUERY_BYTES)


def _read_call(params: Params, began_ms: int, marks: str | None) -> EndReport:
    return EndReport(
        MeetingId(get(params, "meeting") or ""),
        ServerId(get(params, "server") or ""),
        began_ms,
        marks,
        get(params, NAME) is not None,
    )


def _signature(call: EndReport, secret: str) -> str:
    return sign_values(secret, _PURPOSE, call.meeting_id, call.server_id, call.began_ms)


# --- shared with end_callback_url.py -------------------------------------------------------------


def sign_values(secret: str, *values: str | int) -> str:
    """Return the signature of the values of a URL; the first value is the URL's purpose."""
    signed = json.dumps(values)  # unambiguous, unlike joined strings
    key = secret.encode("utf-8", "surrogateescape")
    return hmac.digest(key, signed.encode("ascii"), "sha256").hex()


def read_signed_url(
    query: bytes,
    secret: str,
    read: Callable[[Params, int, str | None], T],
    signature_of: Callable[[T, str], str],
    *,
    max_bytes: int,
) -> T | None:
    """Parse the query of a signed URL: `read` gets its parameters, began_ms and recordingmarks.

    None: the signature is invalid, or the query is longer than `max_bytes`. Parameters may have any
    order and encoding, since BBB parses and rebuilds the URL.
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
    """Return when the run began, in milliseconds since the epoch; None: missing or invalid."""
    began = get(params, "began") or ""
    is_number = began.isascii() and began.isdigit() and len(began) <= _MAX_DIGITS
    return int(began) if is_number else None


def _read_marks(params: Params) -> str | None:
    """Return `true` or `false` as added by BBB, else None."""
    marks = get(params, MARKS)
    return marks if marks in ("true", "false") else None


def with_added(url: str, added: Mapping[str, str]) -> str:
    """Return a URL with parameters added to its query, replacing those of the same names."""
    parts = urlsplit(url)
    kept = [part for part in parts.query.split("&") if part and part.partition("=")[0] not in added]
    return urlunsplit(parts._replace(query="&".join([*kept, encode_query(tuple(added.items()))])))
