"""Callbacks: the calls that front-ends request, and the rules for sending and retrying them.

Pure. Source: docs/callbacks.md.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

from appliance.model import TenantId

GIVE_UP_S = 24 * 3600.0
"""A callback that was not accepted within this time fails."""
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 3600.0
MAX_URL = 8192
_MAX_DOUBLINGS = 20
CLOCK_TOLERANCE_S = 60.0
"""How far the clocks of appliances may differ before times count as those of another clock."""
_GONE = (404, 410)
# Strict, so that all parsers agree on the host: no userinfo, no escapes in the host, no backslash,
# no blank or control character anywhere.
_URL = re.compile(
    r"(?P<origin>https?://(?:\[[0-9A-Fa-f:.]+\]|[^\s\x00-\x20\x7f/?#@\\:%\[\]]+)(?::(?P<port>[0-9]{1,5}))?)"
    r"(?:[/?#][^\s\x00-\x20\x7f\\]*)?",
    re.IGNORECASE,
).fullmatch


class CallbackKind(StrEnum):
    """The event that a callback reports."""

    RECORDING_READY = "recording_ready"
    ANALYTICS = "analytics"
    MEETING_ENDED = "meeting_ended"


class Signing(StrEnum):
    """How a callback is authenticated."""

    NONE = "none"
    FORM = "form"
    """The form field `signed_parameters`, a JWT with the ids of meeting and recording."""
    BEARER = "bearer"
    """`Authorization: Bearer` with a JWT (HS512) that expires a day after it was sent."""


class CallbackState(StrEnum):
    """State of a callback."""

    PENDING = "pending"
    DONE = "done"
    """The receiver answered 2xx."""
    FAILED = "failed"
    """Rejected permanently (404, 410), not allowed to be sent, or retried for a day."""
    DROPPED = "dropped"
    """Cancelled by an operator, or not requested by a front-end."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One call to a front-end."""

    kind: CallbackKind
    url: str = field(repr=False)
    """As given by the front-end; it may contain a token. Empty for an analytics report whose URL
    could not be looked up yet."""
    meeting_id: str
    """The front-end's id of the meeting."""
    tenant_id: TenantId | None = None
    """Its secrets sign; None: LOADBALANCER_SECRET."""
    record_id: str | None = None
    method: str = "POST"
    content_type: str | None = None
    body: bytes = field(default=b"", repr=False)
    """Ignored with Signing.FORM, where the body is made when the callback is sent."""
    signing: Signing = Signing.NONE
    secret_id: str | None = None
    """Identifies the secret that signs (`id_of_secret`); None or unknown: each is tried."""


@dataclass(frozen=True, slots=True)
class QueuedCallback:
    """A callback in the queue."""

    id: str
    callback: Callback
    state: CallbackState = CallbackState.PENDING
    attempts: int = 0
    age_s: float = 0.0
    """Time since it was queued, or an operator restarted it."""
    wait_s: float = 0.0
    """Time until its next attempt."""
    created_ms: int = 0
    last_status: int | None = None
    last_error: str | None = None
    sending: bool = False
    """An appliance is sending it."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """State of a callback after an attempt."""

    state: CallbackState
    status: int | None = None
    error: str | None = None
    """Why it is not done. Safe to log and to show."""
    wait_s: float = 0.0
    """For PENDING: time until the next attempt."""


def recording_ready(
    url: str,
    *,
    meeting_id: str,
    record_id: str,
    tenant_id: TenantId | None = None,
    secret_id: str | None = None,
) -> Callback:
    """Return the callback that reports that a recording is available."""
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
    """Return the callback that forwards a server's learning analytics (JSON)."""
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
    """Return the callback that reports the end of a meeting: a plain GET, as from BBB."""
    return Callback(CallbackKind.MEETING_ENDED, url, meeting_id, tenant_id, method="GET")


def refusal_of_url(url: str) -> str | None:
    """Return why a URL must not be called, None if it may be. The text does not contain the URL."""
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
    """Return scheme, host and port, which identify a receiver and are safe to log."""
    match = _URL(url)
    return match["origin"].lower() if match else ""


def redirect_target(method: str, url: str, status: int, location: str) -> str | None:
    """Return the URL to which a redirect is followed, None if it is not.

    Only to the same host, also from http to https but not back; and only if the method stays the
    same: 301, 302 and 303 turn a POST into a GET.
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
    """Return an id of a secret that does not reveal it."""
    return hashlib.sha256(f"callback\0{secret}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def retry_delay_s(attempts: int) -> float:
    """Return the pause after `attempts` attempts: 5 s, doubling up to an hour."""
    return min(FIRST_RETRY_S * 2.0 ** min(max(attempts - 1, 0), _MAX_DOUBLINGS), LAST_RETRY_S)


def longest_delays_s() -> tuple[float, ...]:
    """Return the delay that is set after 0, 1, 2… attempts; the last one holds for all others."""
    delays_s = [0.0, retry_delay_s(1)]
    while delays_s[-1] < LAST_RETRY_S:
        delays_s.append(retry_delay_s(len(delays_s)))
    return tuple(delays_s)


def result_of_status(queued: QueuedCallback, status: int) -> AttemptResult:
    """Return the result of an attempt that was answered with an HTTP status."""
    if 200 <= status < 300:
        return AttemptResult(CallbackState.DONE, status)
    if status in _GONE:
        return AttemptResult(CallbackState.FAILED, status, f"the receiver answered {status}")
    return _again(queued, status, f"the receiver answered {status}")


def result_of_failure(queued: QueuedCallback, reason: str) -> AttemptResult:
    """Return the result of an attempt without an answer."""
    return _again(queued, None, reason)


def _again(queued: QueuedCallback, status: int | None, reason: str) -> AttemptResult:
    wait_s = retry_delay_s(queued.attempts + 1)
    if queued.age_s >= GIVE_UP_S:
        return AttemptResult(CallbackState.FAILED, status, f"{reason}; tried for a day")
    return AttemptResult(CallbackState.PENDING, status, reason, wait_s)
