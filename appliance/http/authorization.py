"""Secrets in the Authorization header. Pure. Source: RFC 9110 section 11.6.2, RFC 6750."""

from __future__ import annotations

import hashlib


def parse_bearer(header: str | None) -> str | None:
    """Return the secret of an Authorization header; None: it is of another scheme, or missing."""
    scheme, _, secret = (header or "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def digest_secret(secret: bytes) -> bytes:
    """Return a hash to compare a secret by, so that not even its length shows in the time."""
    return hashlib.sha256(secret).digest()
