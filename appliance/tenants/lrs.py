"""The credentials of tenants' learning record stores, ready to be sent with a create.

A token is asked for once for any number of creates, and kept until shortly before it expires;
a token endpoint that fails is left alone for a while. Nothing here stops a create, or delays it
much longer than `deadline_s`. Truth: tenants/lrs_rules.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

import trio

from appliance.fault_log import FaultLog
from appliance.model import Keycloak, Tenant
from appliance.tenants.lrs_rules import (
    SALT_BYTES,
    Token,
    TokenUnavailable,
    basic_document,
    seal,
    token_document,
)

RETRY_S = 15.0
"""How long a token endpoint that failed is not asked again."""
_GRACE_S = 0.5
_MAX_KEPT = 2_000
_THREADS = 2


K = TypeVar("K")
V = TypeVar("V")


class TokenIssuer(Protocol):
    """Asks for access tokens."""

    async def fetch(self, keycloak: Keycloak) -> Token:
        """Return a fresh token. Raises TokenUnavailable."""


class LrsPayloads:
    """Makes payloads, and keeps what is dear to make."""

    def __init__(
        self,
        issuer: TokenIssuer,
        faults: FaultLog,
        *,
        deadline_s: float,
        random_bytes: Callable[[int], bytes],
        clock_s: Callable[[], float] = trio.current_time,
    ) -> None:
        """`clock_s` tells how long a token was kept."""
        self._issuer = issuer
        self._faults = faults
        self._deadline_s = deadline_s
        self._random_bytes = random_bytes
        self._tokens = _Kept[Keycloak, Token | None](clock_s)
        self._sealed = _Kept[tuple[str, str], str](clock_s)
        self._threads = trio.CapacityLimiter(_THREADS)

    async def document(self, tenant: Tenant | None) -> str | None:
        """Return a tenant's credentials, None if it has no LRS or no token is to be had now."""
        lrs = tenant.lrs if tenant else None
        if tenant is None or lrs is None:
            return None
        if lrs.keycloak is not None:
            token = await self._token(tenant, lrs.keycloak)
            return None if token is None else token_document(lrs, token)
        document = basic_document(lrs)
        if document is None:
            reason = "neither user name and password nor a token URL are set"
            self._faults.note("lrs_without_credentials", tenant.id, reason=reason)
        return document

    async def seal(self, document: str, secret: str) -> str:
        """Encrypt credentials for the server of this secret: in a thread, once for all creates."""

        async def work() -> tuple[str, float]:
            salt = self._random_bytes(SALT_BYTES)
            call = partial(seal, document, secret, salt)
            return await trio.to_thread.run_sync(call, limiter=self._threads), float("inf")

        return await self._sealed.get((document, secret), work)

    async def _token(self, tenant: Tenant, keycloak: Keycloak) -> Token | None:
        async def work() -> tuple[Token | None, float]:
            reason = "no answer in time"
            with trio.move_on_after(self._deadline_s):
                try:
                    token = await self._issuer.fetch(keycloak)
                except TokenUnavailable as error:
                    reason = str(error)
                else:
                    return token, token.keep_s
            self._faults.note("lrs_token_failed", tenant.id, reason=reason)
            return None, RETRY_S

        # For those who wait for a request that another takes up anew; later than the deadline of
        # one's own, whose failure is to be remembered.
        with trio.move_on_after(self._deadline_s + _GRACE_S):
            return await self._tokens.get(keycloak, work)
        return None


class _Kept(Generic[K, V]):
    """Values that are made once for all who ask at the same time, and kept for a while."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._values: dict[K, tuple[V, float]] = {}
        self._pending: dict[K, trio.Event] = {}

    async def get(self, key: K, make: Callable[[], Awaitable[tuple[V, float]]]) -> V:
        """Return the value of a key; `make` gives it and for how many seconds to keep it."""
        while True:
            kept = self._values.get(key)
            if kept is not None and self._clock_s() < kept[1]:
                return kept[0]
            pending = self._pending.get(key)
            if pending is None:
                return await self._make(key, make)
            # Should its maker be cancelled, one of those who wait takes over.
            await pending.wait()

    async def _make(self, key: K, make: Callable[[], Awaitable[tuple[V, float]]]) -> V:
        done = self._pending[key] = trio.Event()
        try:
            value, keep_s = await make()
            if len(self._values) >= _MAX_KEPT:
                self._values.clear()
            self._values[key] = value, self._clock_s() + keep_s
            return value
        finally:
            del self._pending[key]
            done.set()
