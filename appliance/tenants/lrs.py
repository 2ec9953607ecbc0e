"""The encrypted credentials of tenants' learning record stores (LRS) for creates.

One token request serves any number of creates; the token is cached until shortly before it expires.
A token endpoint that fails is not asked again for RETRY_S. A create never fails because of the LRS,
and is not delayed much longer than `deadline_s`. The rules are in lrs_rules.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

import trio

from appliance.fault_log import FaultLog
from appliance.model import Keycloak, Tenant
from appliance.tenants.lrs_rules import (
    SALT_BYTES,
    LrsToken,
    TokenUnavailable,
    basic_document,
    seal,
    token_document,
)
from appliance.tenants.token_client import TokenClient

RETRY_S = 15.0
"""Pause before a token endpoint that failed is asked again."""
_GRACE_S = 0.5
_MAX_KEPT = 2_000
_THREADS = 2


K = TypeVar("K")
V = TypeVar("V")


class LrsPayloads:
    """Makes payloads, and caches tokens and encrypted documents."""

    def __init__(
        self,
        issuer: TokenClient,
        faults: FaultLog,
        *,
        deadline_s: float,
        random_bytes: Callable[[int], bytes],
        clock_s: Callable[[], float] = trio.current_time,
    ) -> None:
        """`clock_s` is the clock of the caches."""
        self._issuer = issuer
        self._faults = faults
        self._deadline_s = deadline_s
        self._random_bytes = random_bytes
        self._tokens = _SharedCache[Keycloak, LrsToken | None](clock_s)
        self._sealed = _SharedCache[tuple[str, str], str](clock_s)
        self._threads = trio.CapacityLimiter(_THREADS)

    async def document(self, tenant: Tenant | None) -> str | None:
        """Return a tenant's credentials, None if it has no LRS or no token is available."""
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
        """Encrypt credentials with a server's secret, in a thread, once for all creates."""

        async def work() -> tuple[str, float]:
            salt = self._random_bytes(SALT_BYTES)
            call = partial(seal, document, secret, salt)
            return await trio.to_thread.run_sync(call, limiter=self._threads), float("inf")

        return await self._sealed.get((document, secret), work)

    async def _token(self, tenant: Tenant, keycloak: Keycloak) -> LrsToken | None:
        async def work() -> tuple[LrsToken | None, float]:
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

        # Limits the wait for a request of another create. Longer than the deadline of a request, so
        # that the failure of the task's own request is cached.
        with trio.move_on_after(self._deadline_s + _GRACE_S):
            return await self._tokens.get(keycloak, work)
        return None


class _SharedCache(Generic[K, V]):
    """A cache of values with a lifetime; concurrent callers share one computation."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._values: dict[K, tuple[V, float]] = {}
        self._pending: dict[K, trio.Event] = {}

    async def get(self, key: K, make: Callable[[], Awaitable[tuple[V, float]]]) -> V:
        """Return the value of a key; `make` returns it with its lifetime in seconds."""
        while True:
            kept = self._values.get(key)
            if kept is not None and self._clock_s() < kept[1]:
                return kept[0]
            pending = self._pending.get(key)
            if pending is None:
                return await self._make(key, make)
            # If the task that computes the value is cancelled, a waiting one takes over.
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
