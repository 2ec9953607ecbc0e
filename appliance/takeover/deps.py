"""What the inspection before a takeover is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from appliance.log import Log
from appliance.pool.deps import PoolDeps
from appliance.recordings.deps import RecordingDeps
from appliance.servers.deps import ServerDeps
from appliance.settings import Settings
from appliance.takeover.ports import TakeoverSources


@dataclass(frozen=True, slots=True)
class TakeoverDeps:
    """The stores of a Scalelite, and what repairs them."""

    settings: Settings
    log: Log
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    later: Callable[[Callable[..., Awaitable[Any]], *tuple[Any, ...]], None]
    """Run a function in the background."""
    pool: PoolDeps
    servers: ServerDeps
    recordings: RecordingDeps
    sources: TakeoverSources | None = None
    """None: there is nothing to inspect."""
