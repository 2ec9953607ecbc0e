"""The dependencies of every feature, composed once by wiring/ for the ASGI applications."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.audit.trail import AuditTrail
from appliance.backup.transfer import BackupDeps
from appliance.bbb.checksum_errors import ChecksumErrors
from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.callbacks.deps import CallbackDeps
from appliance.dialin.deps import DialInDeps
from appliance.doctor.deps import DoctorDeps
from appliance.events.journal import EventJournal
from appliance.fault_log import FaultLog
from appliance.fleet.deps import FleetDeps
from appliance.instruments import Metrics
from appliance.log import Log
from appliance.meetings.deps import MeetingDeps
from appliance.metrics.deps import MetricsDeps
from appliance.pool.deps import PoolDeps
from appliance.privacy.deps import PrivacyDeps
from appliance.privacy.store import PrivacyStore
from appliance.recordings.deps import RecordingDeps
from appliance.redis.store import RedisStores
from appliance.servers.deps import ServerDeps
from appliance.settings import Settings
from appliance.takeover.deps import TakeoverDeps
from appliance.tenants.deps import TenantDeps
from appliance.tokens.deps import TokenDeps
from appliance.usage.deps import UsageDeps


@dataclass(frozen=True, slots=True)
class Features:
    """The dependencies of each feature of one appliance."""

    settings: Settings
    log: Log
    faults: FaultLog
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    metrics: Metrics
    redis: RedisStores
    audit: AuditTrail
    pool: PoolDeps
    tenants: TenantDeps
    tokens: TokenDeps
    callbacks: CallbackDeps
    recordings: RecordingDeps
    servers: ServerDeps
    fleet: FleetDeps
    meetings: MeetingDeps
    dialin: DialInDeps
    doctor: DoctorDeps
    takeover: TakeoverDeps
    exposition: MetricsDeps
    checksum_errors: ChecksumErrors
    events: EventJournal
    analytics_files: AnalyticsFiles
    """Also with ANALYTICS_STORE off: older reports are still pruned and erased."""
    usage: UsageDeps | None = None
    """None: there is no database."""

    @property
    def privacy(self) -> PrivacyDeps:
        """Return the dependencies of erasing traces, which has none of its own."""
        usage = self.usage
        return PrivacyDeps(
            self.log,
            self.recordings,
            self.analytics_files,
            usage,
            PrivacyStore(None if usage is None else usage.table.database, self.redis.background),
        )

    @property
    def backup(self) -> BackupDeps:
        """Return the dependencies of backup and restore, which have none of their own."""
        database = None if self.usage is None else self.usage.table.database
        return BackupDeps(self.log, self.now_ms, self.redis.background, database)
