"""One attempt at a callback: to whom, with which secret, and what becomes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from appliance.callbacks.attributes_yaml import ANALYTICS, KeptUrls
from appliance.callbacks.client import CallbackClient
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.rules import (
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
from appliance.model import TenantId

TENANT_GONE = "its tenant was removed, so there is no secret to sign with"
NOBODY_WAITS = "nobody has asked for it"
LOOK_UP_S = 60.0
"""Pause at most until it is looked up again who is to be called."""


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
