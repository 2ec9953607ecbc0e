"""The dependencies of the inspection before a takeover, and of healing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from appliance.bbb.server_facts import ServerFacts
from appliance.log import Log
from appliance.model import Target
from appliance.recordings.deps import RecordingDeps
from appliance.servers.deps import ServerDeps
from appliance.settings import Settings
from appliance.takeover.file_survey import FileSurvey
from appliance.takeover.pool_survey import PoolSurvey
from appliance.takeover.recording_survey import RecordingSurvey


@dataclass(frozen=True, slots=True)
class TakeoverSources:
    """Stores, directories and servers of a Scalelite. Reading them changes nothing."""

    pool: PoolSurvey | None
    """None: no REDIS_URL, which only an inspection without a running appliance lacks."""
    recordings: RecordingSurvey | None
    """None: recordings are disabled, or no DATABASE_URL."""
    files: FileSurvey
    ask_server: Callable[[Target], Awaitable[ServerFacts]]
    """Every failure is a fact, too."""


@dataclass(frozen=True, slots=True)
class TakeoverDeps:
    """Sources to inspect, and what healing needs."""

    settings: Settings
    log: Log
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    later: Callable[[Callable[..., Awaitable[Any]], *tuple[Any, ...]], None]
    """Run a function in the background."""
    servers: ServerDeps
    recordings: RecordingDeps
    sources: TakeoverSources | None = None
    """None: there is nothing to inspect."""
