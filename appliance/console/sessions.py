"""Sessions of the console: signed cookies, CSRF tokens, notices. Pure.

A session is kept by the browser alone. Its cookie is signed with SECRET_KEY_BASE, so that every
appliance on the same stores accepts it, and names whom it belongs to; whether that token still
exists is checked with each request (sign_in.py).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

COOKIE = "scalelite_console"
NOTICE_COOKIE = "scalelite_notice"
COOKIE_PATH = "/scalelite/"
SESSION_S = 12 * 3600
LOGIN_FORM_S = 3600
_MAX_SIGNED = 4096
"""Longest cookie or field that is looked at."""


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """A login."""

    id: str
    """Random; not secret."""
    proof: str = field(repr=False)
    """SHA-256 of the token or secret that it was opened with; the session ends with that."""
    ends_s: int
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and reads small JSON documents that the browser keeps."""

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, secret_key_base: str) -> Signer:
        """Return the signer of an installation."""
        return cls(hashlib.sha256(b"console\0" + secret_key_base.encode()).digest())

    def sign(self, purpose: str, document: Any) -> str:
        """Return a document as text with its signature, for one purpose."""
        raw = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
        return f"{_encode(raw)}.{_encode(self._mac(purpose, raw))}"

    def read(self, purpose: str, text: str) -> Any | None:
        """Return a signed document; None: it was not signed here for this purpose."""
        body, dot, mac = text.partition(".")
        if not dot or len(text) > _MAX_SIGNED:
            return None
        try:
            raw, given = _decode(body), _decode(mac)
        except ValueError:
            return None
        if not hmac.compare_digest(self._mac(purpose, raw), given):
            return None
        return json.loads(raw)

    def _mac(self, purpose: str, raw: bytes) -> bytes:
        return hmac.digest(self.key, f"{purpose}\0".encode() + raw, "sha256")

    # --- sessions ---------------------------------------------------------------------------------

    def sign_session(self, session: ConsoleSession) -> str:
        """Return the value of the cookie."""
        return self.sign("session", [session.id, session.proof, session.ends_s])

    def read_session(self, cookie: str, *, now_s: float) -> ConsoleSession | None:
        """Return the session of a cookie; None: it is none, or has ended."""
        found = self.read("session", cookie)
        if found is None:
            return None
        session = ConsoleSession(*found)
        return session if now_s < session.ends_s else None

    def csrf_token(self, session: ConsoleSession) -> str:
        """Return the token that every form of a session has."""
        return _encode(self._mac("csrf", session.id.encode()))

    def is_csrf_token(self, session: ConsoleSession, given: str) -> bool:
        """Whether a form was made for this session."""
        return hmac.compare_digest(
            self.csrf_token(session).encode(), given.encode("utf-8", "replace")
        )

    # --- documents with a limited life ------------------------------------------------------------

    def sign_until(self, purpose: str, document: Any, *, until_s: float) -> str:
        """Sign a document that is read until a time, in seconds since the epoch."""
        return self.sign(purpose, [document, until_s])

    def read_until(self, purpose: str, text: str, *, now_s: float) -> Any | None:
        """Return a document of `sign_until`; None: not signed, or too late."""
        found = self.read(purpose, text)
        return found[0] if found is not None and now_s <= found[1] else None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
