"""Dependencies of the use cases in privacy/."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.log import Log
from appliance.privacy.store import PrivacyStore
from appliance.recordings.deps import RecordingDeps
from appliance.usage.deps import UsageDeps


@dataclass(frozen=True, slots=True)
class PrivacyDeps:
    """Dependencies of erasing traces."""

    log: Log
    recordings: RecordingDeps
    reports: AnalyticsFiles
    usage: UsageDeps | None
    """None: there is no database, and no traces in it."""
    store: PrivacyStore
