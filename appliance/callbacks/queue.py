"""The queue of callbacks, which sender.py works off.

The queue is two stores: PostgreSQL, and Redis for what PostgreSQL cannot take. Truth:
docs/callbacks.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from appliance.callbacks.attributes_yaml import ANALYTICS, KeptUrls
from appliance.callbacks.client import CallbackClient
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.queue_store import CallbackStore
from appliance.callbacks.rules import (
    Callback,
    CallbackState,
    QueuedCallback,
    Settlement,
    Signing,
    settle_fault,
    settle_status,
)
from appliance.callbacks.signing import (
    form_algorithm,
    goes_on,
    render_request,
    secrets_to_try,
)
from appliance.fault_log import FaultLog
from appliance.faults import CallFailed, CallRefused, DatabaseDown, StoreDown
from appliance.log import Log
from appliance.model import TenantId

T = TypeVar("T")
TENANT_GONE = "its tenant was removed, so there is no secret to sign with"
NOBODY_WAITS = "nobody has asked for it"
LOOK_UP_S = 60.0
"""Pause at most until it is looked up again who is to be called."""


@dataclass(frozen=True, slots=True)
class ShownCallbacks:
    """What is in the queue."""

    callbacks: tuple[QueuedCallback, ...]
    """The newest first."""
    problems: tuple[str, ...]
    """Which stores could not be read, and why."""


@dataclass(frozen=True, slots=True)
class ChangedCallbacks:
    """What an operator has changed in the queue."""

    ids: tuple[str, ...]
    unchanged: tuple[str, ...]
    """What was asked for besides: unknown, being sent, or not in a state for it."""
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallbackQueue:
    """The queue of callbacks."""

    stores: Sequence[CallbackStore]
    """The first that can take a callback gets it."""
    wake: Callable[[], None]
    """Let the sender look at the queue now."""
    log: Log

    async def enqueue(self, callback: Callback, *, dedup_key: str) -> bool:
        """Keep a callback, to be sent soon; False: its key is known, nothing is done.

        Raises StoreDown: no store could take it.
        """
        last: Exception = StoreDown("no store for callbacks")
        for store in self.stores:
            try:
                added = await store.add(callback, dedup_key)
            except (DatabaseDown, StoreDown) as error:
                last = error
                continue
            if added:
                self.wake()
                self.log.debug("callback_queued", kind=callback.kind, meeting=callback.meeting_id)
            return added
        raise StoreDown(str(last))

    async def show(self, state: CallbackState | None, limit: int) -> ShownCallbacks:
        """Return the newest callbacks of one state or of all, of every store that answers."""
        found, problems = await self._each(lambda store: store.show(state, limit))
        newest = sorted(found, key=lambda one: one.created_ms, reverse=True)
        return ShownCallbacks(tuple(newest[:limit]), problems)

    async def count(self) -> dict[CallbackState, int]:
        """Return how many are pending, and how many failed. Raises DatabaseDown, StoreDown."""
        counted = {CallbackState.PENDING: 0, CallbackState.FAILED: 0}
        for store in self.stores:
            for state, number in (await store.count()).items():
                counted[state] += number
        return counted

    async def retry(self, who: str, ids: Sequence[str] | None) -> ChangedCallbacks:
        """Give callbacks a new day of attempts, from now; None: all that failed."""
        changed, problems = await self._each(lambda store: store.retry(ids))
        return self._report("callbacks_retried_by_hand", who, changed, ids or (), problems)

    async def drop(self, who: str, ids: Sequence[str]) -> ChangedCallbacks:
        """Take callbacks that are pending or failed out of the queue."""
        changed, problems = await self._each(lambda store: store.drop(ids))
        return self._report("callbacks_dropped", who, changed, ids, problems)

    async def _each(
        self, ask: Callable[[CallbackStore], Awaitable[list[T]]]
    ) -> tuple[list[T], tuple[str, ...]]:
        found: list[T] = []
        problems: list[str] = []
        for store in self.stores:
            try:
                found += await ask(store)
            except DatabaseDown as error:
                problems.append(f"PostgreSQL is not reachable: {error}")
            except StoreDown as error:
                problems.append(f"Redis is not reachable: {error}")
        return found, tuple(problems)

    def _report(
        self,
        event: str,
        who: str,
        changed: Sequence[str],
        asked: Sequence[str],
        problems: tuple[str, ...],
    ) -> ChangedCallbacks:
        if changed:
            self.log.info(event, by=who, ids=list(changed))
            self.wake()
        others = tuple(one for one in dict.fromkeys(asked) if one not in changed)
        return ChangedCallbacks(tuple(changed), others, problems)


@dataclass(frozen=True, slots=True)
class CallbackTools:
    """What sending needs."""

    client: CallbackClient
    secrets_of: Callable[[TenantId | None], Awaitable[Sequence[str] | None]]
    """The secrets of a front-end; None: its tenant is gone. Raises StoreDown."""
    find_urls: Callable[[str, TenantId | None], Awaitable[KeptUrls | None]]
    """Who is to be called about a meeting. Raises DatabaseDown, StoreDown."""
    algorithm: str
    """Of the form's token (core.callback_token.form_algorithm)."""
    now_ms: Callable[[], int]
    faults: FaultLog


def make_callback_tools(deps: CallbackDeps, client: CallbackClient) -> CallbackTools:
    """Return what sending needs: a front-end's secrets are its tenant's, else ours."""
    api = deps.settings.api

    async def secrets_of(tenant_id: TenantId | None) -> Sequence[str] | None:
        if tenant_id is None or not api.multitenancy:
            return api.secrets
        tenant = await deps.tenants.store.find_tenant(tenant_id)
        return None if tenant is None else tuple(tenant.secrets.split(":"))

    algorithm = form_algorithm(api.allowed_algorithms)
    find = deps.urls.find
    return CallbackTools(client, secrets_of, find, algorithm, deps.now_ms, deps.faults)


async def attempt_callback(tools: CallbackTools, queued: QueuedCallback) -> Settlement:
    """Make a call that was taken from the queue, once, and return what becomes of it.

    Each secret that comes into question is tried until one is taken, in this one attempt.
    """
    if not queued.callback.url:
        found_out = await _address(tools, queued)
        if isinstance(found_out, Settlement):
            return found_out
        queued = found_out
    callback = queued.callback
    secrets: Sequence[str] = ("",)
    if callback.signing is not Signing.NONE:
        try:
            found = await tools.secrets_of(callback.tenant_id)
        except StoreDown as error:
            return settle_fault(queued, f"the secrets cannot be read: {error}")
        secrets = secrets_to_try(callback, found or ())
        if not secrets:
            return Settlement(CallbackState.FAILED, error=TENANT_GONE)
    settlement = settle_fault(queued, "not tried")
    for secret in secrets:
        settlement = await _send(tools, queued, secret)
        if settlement.state is not CallbackState.PENDING or settlement.status is None:
            break
        if not goes_on(callback, secret, settlement.status):
            break
    return settlement


async def _address(tools: CallbackTools, queued: QueuedCallback) -> QueuedCallback | Settlement:
    """Look up who is to be called with analytics that came while the database was away."""
    callback = queued.callback
    try:
        kept = await tools.find_urls(callback.meeting_id, callback.tenant_id)
    except (DatabaseDown, StoreDown) as error:
        later = settle_fault(queued, f"the URL cannot be looked up: {error}")
        return replace(later, wait_s=min(later.wait_s, LOOK_UP_S))
    url = kept.urls.get(ANALYTICS) if kept else None
    if kept is None or not url:
        return Settlement(CallbackState.DROPPED, error=NOBODY_WAITS)
    return replace(queued, callback=replace(callback, url=url, secret_id=kept.secret_id))


async def _send(tools: CallbackTools, queued: QueuedCallback, secret: str) -> Settlement:
    callback = queued.callback
    headers, body = render_request(
        callback, secret, algorithm=tools.algorithm, now_s=tools.now_ms() // 1000
    )
    try:
        status = await tools.client.send(callback.method, callback.url, headers, body)
    except CallFailed as error:
        return settle_fault(queued, str(error))
    except CallRefused as error:
        return Settlement(CallbackState.FAILED, error=f"not sent: {error}")
    return settle_status(queued, status)
