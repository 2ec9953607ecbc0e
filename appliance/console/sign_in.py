"""The users of the console: log-in, sessions, and requests that may not be answered.

Every request looks its token up again, so that one that was revoked ends its sessions.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from werkzeug.http import parse_cookie

from appliance.admin_calls.actors import Actor, Role
from appliance.console.sessions import COOKIE, SESSION_S, ConsoleSession, Signer
from appliance.faults import StoreDown
from appliance.features import Features
from appliance.http.messages import Request
from appliance.http.origin import RequestOrigin, strip_port
from appliance.tokens.find import ADMIN_SECRET, AttemptLimiter, find_login
from appliance.tokens.rules import Token, digest_of

RECHECK_S = 2.0
_MAX_TOKEN = 4096
_MAX_CHECKED = 10_000


@dataclass(frozen=True, slots=True)
class SignedInViewer:
    """A logged-in user."""

    session: ConsoleSession
    token: Token

    @property
    def name(self) -> str:
        """Return the name of the token."""
        return self.token.name

    @property
    def actor(self) -> Actor:
        """Return who makes the changes, for the audit trail."""
        named = self.token.name if self.token.name != ADMIN_SECRET else "ADMIN_SECRET"
        return Actor(f"console token {named}", self.token.role, self.token.tenant_id)

    def may(self, role: Role) -> bool:
        """Whether the token has a role."""
        return self.token.role.includes(role)


@dataclass(frozen=True, slots=True)
class SignIn:
    """Opens sessions and finds those of requests."""

    features: Features
    signer: Signer
    _checked: dict[str, tuple[float, SignedInViewer | None]] = field(default_factory=dict)
    limiter: AttemptLimiter = field(default_factory=lambda: AttemptLimiter(time.monotonic))

    async def open(self, secret: str, address: str) -> SignedInViewer | None:
        """Return a new session for a token or ADMIN_SECRET; None: wrong. Raises StoreDown."""
        digest = digest_of(secret.strip()[:_MAX_TOKEN])
        token = await find_login(self.features.tokens, digest)
        if token is None:
            self.limiter.note_failure(address)
            self.features.faults.note("console_login_refused", address)
            return None
        self.features.log.info("console_login", name=token.name, client=address)
        now_s = self.features.now_ms() // 1000
        return SignedInViewer(
            ConsoleSession(secrets.token_urlsafe(18), digest, now_s + SESSION_S), token
        )

    async def find(self, request: Request) -> SignedInViewer | None:
        """Return the viewer of a request; None: not logged in. Raises StoreDown."""
        cookie = read_cookies(request).get(COOKIE)
        now_s = self.features.now_ms() / 1000
        session = None if cookie is None else self.signer.read_session(cookie, now_s=now_s)
        return None if session is None else await self.check(session)

    async def recheck(self, session: ConsoleSession) -> SignedInViewer | None:
        """Return the viewer of an open stream, as of the last two seconds. Raises StoreDown."""
        now_s = time.monotonic()
        known = self._checked.get(session.id)
        if known is None or now_s - known[0] > RECHECK_S:
            if len(self._checked) > _MAX_CHECKED:
                self._checked.clear()
            known = self._checked[session.id] = now_s, await self.check(session)
        return known[1]

    async def close(self, viewer: SignedInViewer) -> None:
        """End a session before its time, on every appliance."""
        left_s = viewer.session.ends_s - self.features.now_ms() // 1000
        redis = self.features.redis.background
        await redis.command("SET", self._ended_key(viewer.session), 1, "EX", max(1, left_s))
        self._checked.pop(viewer.session.id, None)
        self.features.log.info("console_logout", name=viewer.name)

    async def check(self, session: ConsoleSession) -> SignedInViewer | None:
        """Return the viewer of a session; None: it has ended with its token. Raises StoreDown."""
        if self.features.now_ms() / 1000 >= session.ends_s:
            return None
        token = await find_login(self.features.tokens, session.proof)
        if token is None or await self._has_ended(session):
            return None
        return SignedInViewer(session, token)

    async def _has_ended(self, session: ConsoleSession) -> bool:
        try:
            return bool(
                await self.features.redis.background.command("EXISTS", self._ended_key(session))
            )
        except StoreDown:
            if session.proof in map(digest_of, self.features.settings.admin.secrets):
                return False  # the operator who repairs Redis sees the console without it
            raise

    def _ended_key(self, session: ConsoleSession) -> str:
        return self.features.redis.background.own_key(f"console_ended:{session.id}")


def read_cookies(request: Request) -> Mapping[str, str]:
    """Return the cookies of a request by name."""
    try:
        # Not the standard library's: one odd cookie of another application makes it read none.
        return parse_cookie(request.header(b"cookie"))
    except UnicodeDecodeError:
        return {}


def is_private(request: Request, origin: RequestOrigin, client: str) -> bool:
    """Return whether the connection is private: HTTPS, or from this host itself.

    `client`: the client's address as trusted proxies report it. A proxy on this host that says that
    its own client came over plain HTTP is believed.
    """
    if origin.scheme == "https":
        return True
    if not (request.peer is None or _is_loopback(request.peer)):
        return False
    return b"x-forwarded-proto" not in request.headers or _is_loopback(client)


def is_own_origin(given: str, origin: RequestOrigin) -> bool:
    """Whether the Origin header of a request names the console itself: scheme, host and port."""
    try:
        return bool(origin.base_url) and _parts(given) == _parts(origin.base_url)
    except ValueError:
        return False


def _parts(url: str) -> tuple[str, str | None, int]:
    found = urlsplit(url)
    return found.scheme, found.hostname, found.port or (443 if found.scheme == "https" else 80)


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(strip_port(address) if address.startswith("[") else address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or found
    return bool(mapped.is_loopback)
