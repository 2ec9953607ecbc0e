"""Callbacks: the calls that front-ends ask for, and the rules of sending them.

Pure. Truth: spec (recordings, Callbacks); what is sent when, docs/callbacks.md.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

from appliance.model import TenantId

GIVE_UP_S = 24 * 3600.0
"""A callback that nobody took for so long is given up."""
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 3600.0
MAX_URL = 8192
_MAX_DOUBLINGS = 20
_GONE = (404, 410)
# Strict, so that no two readers can take another part of it for the host: no userinfo, nothing
# escaped in the host, no backslash, no blank or control character anywhere.
_URL = re.compile(
    r"(?P<origin>https?://(?:\[[0-9A-Fa-f:.]+\]|[^\s\x00-\x20\x7f/?#@\\:%\[\]]+)(?::(?P<port>[0-9]{1,5}))?)"
    r"(?:[/?#][^\s\x00-\x20\x7f\\]*)?",
    re.IGNORECASE,
).fullmatch


class CallbackKind(StrEnum):
    """What a callback tells the front-end."""

    RECORDING_READY = "recording_ready"
    ANALYTICS = "analytics"
    MEETING_ENDED = "meeting_ended"


class Signing(StrEnum):
    """How a callback shows that it is ours."""

    NONE = "none"
    FORM = "form"
    """The form field `signed_parameters`, a JWT of the meeting's and the recording's id."""
    BEARER = "bearer"
    """`Authorization: Bearer`, a JWT (HS512) that ends a day after it was sent."""


class CallbackState(StrEnum):
    """Where a callback stands."""

    PENDING = "pending"
    DONE = "done"
    """The receiver answered 2xx."""
    FAILED = "failed"
    """Refused for good (404, 410), not to be sent, or tried for a day."""
    DROPPED = "dropped"
    """An operator did not want it sent."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One call to a front-end."""

    kind: CallbackKind
    url: str = field(repr=False)
    """As the front-end gave it; it may hold a token of the front-end's. Empty for a report of
    analytics: nobody could look it up yet."""
    meeting_id: str
    """The front-end's own id of the meeting."""
    tenant_id: TenantId | None = None
    """Whose secrets sign; None: ours."""
    record_id: str | None = None
    method: str = "POST"
    content_type: str | None = None
    body: bytes = field(default=b"", repr=False)
    """With Signing.FORM it is made when the callback is sent."""
    signing: Signing = Signing.NONE
    secret_id: str | None = None
    """Which secret signs (`id_of_secret`); None or unknown by now: each in turn."""


@dataclass(frozen=True, slots=True)
class QueuedCallback:
    """A callback in the queue."""

    id: str
    callback: Callback
    state: CallbackState = CallbackState.PENDING
    attempts: int = 0
    age_s: float = 0.0
    """Since it was queued, or an operator gave it a new day."""
    wait_s: float = 0.0
    """Until its next attempt."""
    created_ms: int = 0
    last_status: int | None = None
    last_error: str | None = None
    sending: bool = False
    """Some appliance is at it."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a callback after an attempt."""

    state: CallbackState
    status: int | None = None
    error: str | None = None
    """Why it is not done. Safe to log and to show."""
    wait_s: float = 0.0
    """For PENDING: until the next attempt."""


def recording_ready(
    url: str,
    *,
    meeting_id: str,
    record_id: str,
    tenant_id: TenantId | None = None,
    secret_id: str | None = None,
) -> Callback:
    """Return the callback that tells that a recording can be seen."""
    return Callback(
        CallbackKind.RECORDING_READY,
        url,
        meeting_id,
        tenant_id,
        record_id,
        content_type="application/x-www-form-urlencoded",
        signing=Signing.FORM,
        secret_id=secret_id,
    )


def analytics(
    url: str,
    body: bytes,
    *,
    meeting_id: str,
    tenant_id: TenantId | None = None,
    secret_id: str | None = None,
) -> Callback:
    """Return the callback that hands a server's learning analytics (JSON) on."""
    return Callback(
        CallbackKind.ANALYTICS,
        url,
        meeting_id,
        tenant_id,
        content_type="application/json",
        body=body,
        signing=Signing.BEARER,
        secret_id=secret_id,
    )


def meeting_ended(url: str, *, meeting_id: str, tenant_id: TenantId | None = None) -> Callback:
    """Return the callback that tells that a meeting has ended: a plain GET, as BBB makes it."""
    return Callback(CallbackKind.MEETING_ENDED, url, meeting_id, tenant_id, method="GET")


def refusal_of_url(url: str) -> str | None:
    """Say why a URL may not be called, None if it may. The text does not quote it."""
    if len(url) > MAX_URL:
        return f"longer than {MAX_URL} characters"
    if not url.lower().startswith(("http://", "https://")):
        return "not http:// or https://"
    if "@" in re.split(r"[/?#\\]", url.partition("://")[2], maxsplit=1)[0]:
        return "a user name or password in it"
    match = _URL(url)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        return "not a valid URL"
    return None


def host_of_url(url: str) -> str:
    """Return scheme, host and port: what may be logged, and what counts as one receiver."""
    match = _URL(url)
    return match["origin"].lower() if match else ""


def redirect_target(method: str, url: str, status: int, location: str) -> str | None:
    """Return the URL that a redirect may be followed to, None: it is an answer like any other.

    Only to the same host, from http to https if need be but not back; and only where the same
    call is made again: 301, 302 and 303 turn a POST into a GET.
    """
    if status not in ((301, 302, 303, 307, 308) if method == "GET" else (307, 308)):
        return None
    try:
        target = urljoin(url, location)
        if refusal_of_url(target) is not None:
            return None
        old, new = urlsplit(url), urlsplit(target)
        same_place = (new.hostname, new.port) == (old.hostname, old.port)
    except ValueError:
        return None
    upgrade = (old.scheme, new.scheme) == ("http", "https")
    if same_place and old.scheme == new.scheme:
        return target
    standard = new.hostname == old.hostname and old.port in (None, 80) and new.port in (None, 443)
    return target if upgrade and standard else None


def id_of_secret(secret: str) -> str:
    """Return a name for a secret that does not tell it, to find it among others later."""
    return hashlib.sha256(f"callback\0{secret}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def retry_delay_s(attempts: int) -> float:
    """Return the pause after so many attempts: 5 s, doubling to an hour."""
    return min(FIRST_RETRY_S * 2.0 ** min(max(attempts - 1, 0), _MAX_DOUBLINGS), LAST_RETRY_S)


def settle_status(queued: QueuedCallback, status: int) -> Settlement:
    """Decide by the receiver's answer."""
    if 200 <= status < 300:
        return Settlement(CallbackState.DONE, status)
    if status in _GONE:
        return Settlement(CallbackState.FAILED, status, f"the receiver answered {status}")
    return _again(queued, status, f"the receiver answered {status}")


def settle_fault(queued: QueuedCallback, reason: str) -> Settlement:
    """Decide after an attempt that got no answer."""
    return _again(queued, None, reason)


def _again(queued: QueuedCallback, status: int | None, reason: str) -> Settlement:
    wait_s = retry_delay_s(queued.attempts + 1)
    if queued.age_s >= GIVE_UP_S:
        return Settlement(CallbackState.FAILED, status, f"{reason}; tried for a day")
    return Settlement(CallbackState.PENDING, status, reason, wait_s)
