"""Dependencies of the use cases in meetings/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.callbacks.deps import CallbackDeps
from appliance.fault_log import FaultLog
from appliance.instruments import Metrics
from appliance.log import Log
from appliance.meetings.join_pages import JoinPages
from appliance.meetings.store import MeetingStore
from appliance.pool.deps import PoolDeps
from appliance.servers.deps import ServerDeps
from appliance.settings import Settings
from appliance.tenants.deps import TenantDeps


@dataclass(frozen=True, slots=True)
class MeetingDeps:
    """Dependencies of creating, joining, looking up and ending meetings."""

    settings: Settings
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    later: Callable[[Callable[..., Awaitable[Any]], *tuple[Any, ...]], None]
    """Run a function in the background."""
    pool: PoolDeps
    store: MeetingStore
    servers: ServerDeps
    tenants: TenantDeps
    callbacks: CallbackDeps
    metrics: Metrics
    random: Callable[[], float]
    """A random number, 0 <= x < 1."""
    new_password: Callable[[], str]
    """8 random letters and digits."""
    join_pages: JoinPages = field(default_factory=lambda: JoinPages({}, "en"))
    secret_key_base: str = field(default="", repr=False)
    """Signs the URLs of the appliance that BBB servers call."""
