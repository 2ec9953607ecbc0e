"""Access tokens, and the rules for their names and secrets. Pure. Source: docs/admin-api.md."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from appliance.admin_calls.actors import Role
from appliance.model import TenantId

PREFIX = "sla_"
"""Lets secret scanners recognise a token."""
SECRET_BYTES = 32
MAX_DAYS = 36_500
MS_PER_DAY = 86_400_000
USE_RECORDED_MS = 60_000
"""How exact `last_used_ms` is: a request writes it only if the previous one is older."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. Its secret is not kept, only the digest by which it is found."""

    name: str
    role: Role
    tenant_id: TenantId | None
    created_ms: int
    expires_ms: int | None
    last_used_ms: int | None = None

    def is_valid(self, now_ms: int) -> bool:
        """Return whether it has not expired."""
        return self.expires_ms is None or now_ms < self.expires_ms


def is_name(text: str) -> bool:
    """Return whether a token may have this name, which the log shows between blanks."""
    return _NAME.fullmatch(text) is not None


def secret_of(random_bytes: bytes) -> str:
    """Return the secret that is made of these bytes."""
    return PREFIX + base64.urlsafe_b64encode(random_bytes).decode().rstrip("=")


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret in hexadecimal digits.

    No salt and no slow hash: a secret has 256 random bits, which cannot be guessed.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
