"""Identifies the bearers of access tokens, and those who log in with ADMIN_SECRET.

A secret is looked up by its SHA-256, so the time of a look-up says nothing about the secrets that
exist.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.admin_calls.actors import Role
from appliance.tokens.deps import TokenDeps
from appliance.tokens.rules import Token, digest_of

ADMIN_SECRET = "(ADMIN_SECRET)"
"""Stands for the name of a token where ADMIN_SECRET has logged in; no token can be called so."""

MAX_FAILURES = 10
"""From one address within WINDOW_S."""
WINDOW_S = 60.0
_MAX_ADDRESSES = 10_000


async def find_token(deps: TokenDeps, secret: str) -> Token | None:
    """Return the valid token with this secret. Raises StoreDown."""
    return await deps.store.find(digest_of(secret), deps.now_ms())


async def find_login(deps: TokenDeps, digest: str) -> Token | None:
    """Return what logs in with the secret of this digest: a valid token, or ADMIN_SECRET.

    Without ADMIN_SECRET the secrets of front-ends log in, as they sign admin calls. A session that
    keeps the digest can ask again whether it still holds. Raises StoreDown.
    """
    own = [hmac.compare_digest(digest_of(one), digest) for one in deps.settings.admin.secrets]
    if any(own):
        return Token(ADMIN_SECRET, Role.ADMIN, None, 0, None)
    return await deps.store.find(digest, deps.now_ms())


@dataclass(slots=True)
class AttemptLimiter:
    """Slows down who tries secrets: MAX_FAILURES from an address within WINDOW_S, then none.

    Counts in this process and remembers the latest 10,000 addresses.
    """

    now_s: Callable[[], float]
    """Of a clock that is never set back."""
    _failures: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def wait_s(self, address: str) -> float:
        """Return how long an address must wait before another attempt; 0: not at all."""
        began_s, count = self._failures.get(address, (0.0, 0))
        left_s = began_s + WINDOW_S - self.now_s()
        return left_s if count >= MAX_FAILURES and left_s > 0 else 0.0

    def note_failure(self, address: str) -> None:
        """Count a wrong secret."""
        now_s = self.now_s()
        began_s, count = self._failures.pop(address, (now_s, 0))
        if now_s - began_s >= WINDOW_S:
            began_s, count = now_s, 0
        self._failures[address] = began_s, count + 1
        if len(self._failures) > _MAX_ADDRESSES:
            self._failures.popitem(last=False)
