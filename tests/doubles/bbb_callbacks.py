"""The calls that a simulated BBB server makes at the end of a meeting and to web hooks.

Pure: bbb_server.py sends them. Follows bbb-web's MeetingService (meetingEndedURL,
meta_endCallbackUrl; recordingmarks with both, as BBB documents it),
post_events_analytics_callback.rb and bbb-webhooks' callback-emitter.js.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

from tests.doubles.bbb_hooks import Hook
from tests.doubles.bbb_state import Meeting

TOKEN_S = 24 * 3600
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A call to make: GET without a body, else POST."""

    meeting_id: str
    url: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def calls_at_end(meeting: Meeting, secret: str) -> list[Outgoing]:
    """Return the calls at the end of a meeting that is no breakout room."""
    marks = f"recordingmarks={'true' if meeting.recording_marks else 'false'}"
    calls = []
    if meeting.ended_url:
        calls.append(Outgoing(meeting.id, _with_query(meeting.ended_url, marks)))
    # The older variant, a metadata parameter, whose call also has the meetingID.
    hook = meeting.metadata.get("endcallbackurl", "")
    if hook:
        query = f"{marks}&meetingID={quote_plus(meeting.id)}"
        calls.append(Outgoing(meeting.id, _with_query(hook, query)))
    analytics = meeting.metadata.get("analytics-callback-url", "")
    if analytics and (meeting.keep_events or meeting.recording):
        calls.append(_analytics_call(meeting, analytics, secret))
    return calls


def calls_to_hooks(
    hooks: Iterable[Hook], event: str, meeting: Meeting, domain: str, secret: str
) -> list[Outgoing]:
    """Return the POST requests to web hooks for an event of a meeting."""
    ids = {"internal-meeting-id": meeting.internal_id, "external-meeting-id": meeting.id}
    now_ms = int(time.time() * 1000)
    document = json.dumps(
        [
            {
                "data": {
                    "type": "event",
                    "id": event,
                    "attributes": {"meeting": ids},
                    "event": {"ts": now_ms},
                }
            }
        ]
    )
    body = urlencode({"domain": domain, "event": document, "timestamp": now_ms})
    calls = []
    for hook in hooks:
        if hook.wants(event, meeting.id):
            checksum = hashlib.sha1(f"{hook.url}{body}{secret}".encode()).hexdigest()
            url = _with_query(hook.url, f"checksum={checksum}")
            calls.append(Outgoing(meeting.id, url, body.encode(), {"Content-Type": FORM}))
    return calls


def analytics_document(meeting: Meeting) -> dict[str, object]:
    """Return the analytics of an ended meeting, as far as tests use them."""
    return {
        "version": "1.0",
        "meeting_id": meeting.id,
        "internal_meeting_id": meeting.internal_id,
        "data": {"metadata": _report_metadata(meeting), "duration": 1, "attendees": []},
    }


def _report_metadata(meeting: Meeting) -> dict[str, str]:
    """Return the attributes of events.xml's metadata with the spelling of BBB's script."""
    metadata = {key.replace("-", "_"): value for key, value in meeting.metadata.items()}
    return {**metadata, "meeting_id": meeting.id, "meeting_name": meeting.name}


def bearer_token(secret: str, *, algorithm: str = "HS512", exp: float | None = None) -> str:
    """Return a JWT like that of BBB's analytics callback."""
    hashes = {"HS512": hashlib.sha512, "HS256": hashlib.sha256}
    head = _b64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    claims = _b64(json.dumps({"exp": int(exp or time.time() + TOKEN_S)}).encode())
    signed = f"{head}.{claims}"
    digest = hmac.new(secret.encode(), signed.encode(), hashes[algorithm]).digest()
    return f"{signed}.{_b64(digest)}"


def _analytics_call(meeting: Meeting, url: str, secret: str) -> Outgoing:
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {bearer_token(secret)}",
        "User-Agent": "BigBlueButton Analytics Callback",
    }
    return Outgoing(meeting.id, url, json.dumps(analytics_document(meeting)).encode(), headers)


def _with_query(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
