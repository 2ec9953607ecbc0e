"""Dependencies of the use cases in callbacks/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.callbacks.ended_store import EndedStore
from appliance.callbacks.handback import Handback
from appliance.callbacks.hook_cache import HookCache
from appliance.callbacks.hook_store import HookStore
from appliance.callbacks.queue import CallbackQueue
from appliance.callbacks.url_store import CallbackUrls
from appliance.fault_log import FaultLog
from appliance.log import Log
from appliance.pool.deps import PoolDeps
from appliance.settings import Settings
from appliance.tenants.deps import TenantDeps


@dataclass(frozen=True, slots=True)
class CallbackDeps:
    """Dependencies of calls to front-ends and of the servers' reports about ended meetings."""

    settings: Settings
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    later: Callable[[Callable[..., Awaitable[Any]], *tuple[Any, ...]], None]
    """Run a function in the background."""
    pool: PoolDeps
    tenants: TenantDeps
    queue: CallbackQueue
    urls: CallbackUrls
    """The callback URLs of meetings."""
    ended: EndedStore
    """Ended meetings whose front-ends have not been notified."""
    handback: Handback
    hooks: HookStore
    hook_cache: HookCache
    analytics_files: AnalyticsFiles | None = None
    """None: ANALYTICS_STORE is off."""
    secret_key_base: str = field(default="", repr=False)
    """Signs the URLs of the appliance that BBB servers call."""
