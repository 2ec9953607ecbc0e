"""Verifies the JWT with which a BBB server authenticates its report at the end of a meeting.

The answer does not depend on what is wrong with a token. PyJWT is not used because it warns about
keys shorter than the hash, as servers' secrets are. Pure. Source: BBB's
post_events_analytics_callback.rb (HS512 with the server's secret, and `exp`); RFC 7515, RFC 7519.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Sequence
from typing import Any

from appliance.http.authorization import parse_bearer
from appliance.model import Server, ServerId

ALGORITHM = "HS512"
CLOCK_SKEW_S = 60
"""Tolerance for the begin of validity. The end needs none: BBB's tokens are valid for a day."""
_MAX_TOKEN = 4096


def server_of_token(
    servers: Sequence[Server], authorization: str | None, *, now_s: float
) -> ServerId | None:
    """Return the server whose secret signed a valid Authorization header, None if none did."""
    token = parse_bearer(authorization) or ""
    if len(token) > _MAX_TOKEN or token.count(".") != 2:
        return None
    signed, _, signature = token.rpartition(".")
    head, claims = (_read(part) for part in signed.split("."))
    given = _decode(signature)
    if head is None or claims is None or given is None or head.get("alg") != ALGORITHM:
        return None
    if "crit" in head or not _is_in_time(claims, now_s):
        return None
    found: ServerId | None = None
    for server in servers:
        key = server.secret.encode("utf-8", "surrogateescape")
        # No early exit: the time must not reveal which secret matched.
        if hmac.compare_digest(hmac.digest(key, signed.encode(), "sha512"), given) and key:
            found = server.id
    return found


def _is_in_time(claims: dict[str, Any], now_s: float) -> bool:
    expires: Any = claims.get("exp")
    begins: Any = claims.get("nbf", now_s)
    for time_s in (expires, begins):
        if isinstance(time_s, bool) or not isinstance(time_s, int | float):
            return False
    return bool(expires > now_s and begins < now_s + CLOCK_SKEW_S)


def _read(part: str) -> dict[str, Any] | None:
    raw = _decode(part)
    try:
        document = json.loads(raw) if raw is not None else None
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _decode(part: str) -> bytes | None:
    if not part.isascii() or "=" in part:
        return None
    try:
        padded = part + "=" * (-len(part) % 4)
        return base64.b64decode(padded, b"-_", validate=True)
    except ValueError:
        return None
