"""Checks the JWT with which a BBB server hands a recording over.

Pure. Truth: spec (recordings: From a BBB server to the spool), RFC 7519. Whatever is wrong with a
token, the answer is the same: the sender is told nothing about secrets or servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from appliance.model import Server, ServerId

ALGORITHM = "HS256"
MAX_AHEAD_S = 600
CLOCK_SKEW_S = 60
"""The clocks of two machines differ. Not for the end: our script takes 5 of its 10 minutes, so that
its clock may be wrong by 5 either way."""
_MAX_TOKEN = 4096
_MAX_TIME_S = 10**11
_OPTIONS: Any = {
    "require": ["exp", "sub", "recordID"],
    # The time is handed in; see below.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


def server_of_upload(
    servers: Sequence[Server], authorization: str | None, record_id: str, *, now_s: float
) -> ServerId | None:
    """Return which server signed an Authorization header for this recording; None: none did.

    The token names its server by `sub` (id or host), the recording by `recordID`, and ends (`exp`)
    within MAX_AHEAD_S.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
        return None
    for server in servers:
        claims = _claims(token, server.secret)
        if claims is not None and claims["sub"] in (server.id, urlsplit(server.url).hostname):
            return server.id if _is_for(claims, record_id, now_s) else None
    return None


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
    # Imported here: it takes cryptography along, ten megabytes that few appliances use.
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(token, secret, [ALGORITHM], options=_OPTIONS)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None  # the last three: headers that are odd JSON
    return claims
