"""One attempt to send a callback: look up URL and secrets, send, and determine the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from appliance.callbacks.attributes_yaml import ANALYTICS, KeptUrls
from appliance.callbacks.client import OutboundClient
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.rules import (
    AttemptResult,
    CallbackState,
    QueuedCallback,
    Signing,
    result_of_failure,
    result_of_status,
)
from appliance.callbacks.signing import (
    form_algorithm,
    render_request,
    secrets_to_try,
    tries_next_secret,
)
from appliance.fault_log import FaultLog
from appliance.faults import CallFailed, CallRefused, DatabaseDown, StoreDown
from appliance.model import TenantId

TENANT_GONE = "its tenant was removed, so there is no secret to sign with"
NOT_REQUESTED = "no front-end has requested it"
MAX_LOOKUP_PAUSE_S = 60.0
"""Maximum pause between two attempts to look up the URL."""


@dataclass(frozen=True, slots=True)
class CallbackTools:
    """Dependencies of sending."""

    client: OutboundClient
    secrets_of: Callable[[TenantId | None], Awaitable[Sequence[str] | None]]
    """The secrets of a front-end; None: its tenant was removed. Raises StoreDown."""
    find_urls: Callable[[str, TenantId | None], Awaitable[KeptUrls | None]]
    """The callback URLs of a meeting. Raises DatabaseDown, StoreDown."""
    algorithm: str
    """Signature algorithm of form tokens; see `signing.form_algorithm`."""
    now_ms: Callable[[], int]
    faults: FaultLog


def make_callback_tools(deps: CallbackDeps, client: OutboundClient) -> CallbackTools:
    """Return the dependencies of sending; without a tenant, LOADBALANCER_SECRET signs."""
    api = deps.settings.api

    async def secrets_of(tenant_id: TenantId | None) -> Sequence[str] | None:
        if tenant_id is None or not api.multitenancy:
            return api.secrets
        tenant = await deps.tenants.store.find_tenant(tenant_id)
        return None if tenant is None else tuple(tenant.secrets.split(":"))

    algorithm = form_algorithm(api.allowed_algorithms)
    find = deps.urls.find
    return CallbackTools(client, secrets_of, find, algorithm, deps.now_ms, deps.faults)


async def attempt_callback(tools: CallbackTools, queued: QueuedCallback) -> AttemptResult:
    """Send a claimed callback once and return the result.

    Within this attempt the possible secrets are tried until the receiver accepts one.
    """
    if not queued.callback.url:
        addressed = await _look_up_url(tools, queued)
        if isinstance(addressed, AttemptResult):
            return addressed
        queued = addressed
    callback = queued.callback
    secrets: Sequence[str] = ("",)
    if callback.signing is not Signing.NONE:
        try:
            found = await tools.secrets_of(callback.tenant_id)
        except StoreDown as error:
            return result_of_failure(queued, f"the secrets cannot be read: {error}")
        secrets = secrets_to_try(callback, found or ())
        if not secrets:
            return AttemptResult(CallbackState.FAILED, error=TENANT_GONE)
    result = result_of_failure(queued, "not tried")
    for secret in secrets:
        result = await _send(tools, queued, secret)
        if result.state is not CallbackState.PENDING or result.status is None:
            break
        if not tries_next_secret(callback, secret, result.status):
            break
    return result


async def _look_up_url(
    tools: CallbackTools, queued: QueuedCallback
) -> QueuedCallback | AttemptResult:
    """Look up the URL for a report that was accepted while the database was down."""
    callback = queued.callback
    try:
        kept = await tools.find_urls(callback.meeting_id, callback.tenant_id)
    except (DatabaseDown, StoreDown) as error:
        later = result_of_failure(queued, f"the URL cannot be looked up: {error}")
        return replace(later, wait_s=min(later.wait_s, MAX_LOOKUP_PAUSE_S))
    url = kept.urls.get(ANALYTICS) if kept else None
    if kept is None or not url:
        return AttemptResult(CallbackState.DROPPED, error=NOT_REQUESTED)
    return replace(queued, callback=replace(callback, url=url, secret_id=kept.secret_id))


async def _send(tools: CallbackTools, queued: QueuedCallback, secret: str) -> AttemptResult:
    callback = queued.callback
    headers, body = render_request(
        callback, secret, algorithm=tools.algorithm, now_s=tools.now_ms() // 1000
    )
    try:
        status = await tools.client.send(callback.method, callback.url, headers, body)
    except CallFailed as error:
        return result_of_failure(queued, str(error))
    except CallRefused as error:
        return AttemptResult(CallbackState.FAILED, error=f"not sent: {error}")
    return result_of_status(queued, status)
