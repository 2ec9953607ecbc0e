"""Verifies the JWT with which a BBB server authenticates the upload of a recording.

The answer does not depend on what is wrong with a token, so it reveals nothing about secrets or
servers. Pure. Source: docs/recordings.md; RFC 7519.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from appliance.http.authorization import parse_bearer
from appliance.model import Server, ServerId

ALGORITHM = "HS256"
MAX_AHEAD_S = 600
CLOCK_SKEW_S = 60
"""Tolerance for the begin of validity. The end needs none: the appliance's script requests 5 of the
allowed 10 minutes, so that clocks may differ by 5 minutes in both directions."""
_MAX_TOKEN = 4096
_MAX_NAME = 200
_MAX_TIME_S = 10**11
_OPTIONS: Any = {
    "require": ["exp", "sub", "recordID"],
    # Checked below, against the `now_s` of the caller.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


def server_of_upload(
    servers: Sequence[Server], authorization: str | None, record_id: str, *, now_s: float
) -> ServerId | None:
    """Return the server that signed an Authorization header for this recording, None if none did.

    The token's `sub` is the id or host of the server, `recordID` the recording; `exp` is at most
    MAX_AHEAD_S ahead.
    """
    token = parse_bearer(authorization)
    if not token or len(token) > _MAX_TOKEN:
        return None
    for server in servers:
        claims = _claims(token, server.secret)
        if claims is not None and _is_name_of(server, claims["sub"]):
            return server.id if _is_for(claims, record_id, now_s) else None
    return None


def reason_of_refusal(
    servers: Sequence[Server], authorization: str | None, record_id: str
) -> tuple[str, str]:
    """Return why no server is allowed to upload, for operators, and the server's name or ''.

    The name is what the sender says that it is.
    """
    token = parse_bearer(authorization)
    if not token:
        return "it has no token", ""
    claims = _read_unproven(token) if len(token) <= _MAX_TOKEN else None
    if claims is None or not isinstance(claims.get("sub"), str):
        return "its token cannot be read, or names no server", ""
    name = claims["sub"][:_MAX_NAME]
    named = [one for one in servers if _is_name_of(one, name)]
    if not named:
        return "unknown server", name
    if not any(_claims(token, one.secret) for one in named):
        return "wrong secret", name
    if claims.get("recordID") != record_id:
        return "its token is for another recording", name
    return "its token has expired or is valid for too long; check the clock of the server", name


def _is_name_of(server: Server, name: object) -> bool:
    """Whether a name is the id of a server, or its host, in which case does not count."""
    host = urlsplit(server.url).hostname
    return isinstance(name, str) and (name == server.id or name.lower() == host)


def _read_unproven(token: str) -> dict[str, Any] | None:
    """Return the claims of a token without checking who signed it."""
    try:
        payload = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_for(claims: dict[str, Any], record_id: str, now_s: float) -> bool:
    expires, begins = claims["exp"], claims.get("nbf", 0)
    for time_s in (expires, begins):
        if not isinstance(time_s, int | float) or not 0 <= time_s < _MAX_TIME_S:
            return False
    in_time = 0 < expires - now_s <= MAX_AHEAD_S and begins <= now_s + CLOCK_SKEW_S
    return bool(in_time and claims["recordID"] == record_id)


def _claims(token: str, secret: str) -> dict[str, Any] | None:
    if not secret:
        return None
    # Imported here since it loads cryptography: ten megabytes that few appliances need.
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(token, secret, [ALGORITHM], options=_OPTIONS)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None  # the last three occur with unusual JSON in the header
    return claims
