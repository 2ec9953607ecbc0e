"""The dependencies of doctor; wiring/probes.py assembles the probes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.bbb.checksum_errors import ChecksumErrors
from appliance.bbb.server_facts import ServerFacts
from appliance.callbacks.deps import CallbackDeps
from appliance.fleet.deps import FleetDeps
from appliance.log import Log
from appliance.model import Server, Target
from appliance.postgres.facts import DatabaseFacts
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.player.files import PlayerBuild
from appliance.redis.facts import RedisFacts
from appliance.servers.deps import ServerDeps
from appliance.settings import Settings
from appliance.system.disk_facts import DirectoryFacts
from appliance.system.host_facts import AuthorityFacts, CertificateFacts
from appliance.tenants.deps import TenantDeps


@dataclass(frozen=True, slots=True)
class Probes:
    """Sources of the facts. Those that do not return an Awaitable block and run in a thread."""

    redis: Callable[[], Awaitable[RedisFacts]]
    """Raises StoreDown."""
    database: Callable[[], Awaitable[DatabaseFacts]] | None
    """Raises DatabaseDown. None: no database is configured."""
    server: Callable[[Target], Awaitable[ServerFacts]]
    directory: Callable[[Path, bool], DirectoryFacts]
    """Takes the path, and whether to try to write there."""
    certificate: Callable[[Path, Path], CertificateFacts]
    authorities: Callable[[Path], AuthorityFacts]
    resolve: Callable[[str], str]
    """Returns why a name cannot be resolved; empty: it can."""
    file_limit: Callable[[], int]
    user: str
    """Name of the user that this process runs as."""
    player: Callable[[Server], Awaitable[PlayerBuild | None]]
    """Returns which player of recordings a server has; None: it has none, or does not answer."""


@dataclass(frozen=True, slots=True)
class DoctorDeps:
    """Everything that doctor inspects."""

    settings: Settings
    log: Log
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    servers: ServerDeps
    callbacks: CallbackDeps
    tenants: TenantDeps
    recordings: RecordingDeps
    checksum_errors: ChecksumErrors
    fleet: FleetDeps
    probes: Probes | None = None
    """None: doctor is not available."""
