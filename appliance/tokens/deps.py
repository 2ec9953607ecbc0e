"""Dependencies of the use cases in tokens/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.log import Log
from appliance.settings import Settings
from appliance.tenants.deps import TenantDeps
from appliance.tokens.store import TokenStore


@dataclass(frozen=True, slots=True)
class TokenDeps:
    """Dependencies of managing tokens and of identifying their bearers."""

    settings: Settings
    log: Log
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    tenants: TenantDeps
    store: TokenStore
    random_bytes: Callable[[int], bytes]
