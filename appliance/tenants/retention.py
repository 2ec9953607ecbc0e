"""The retention time of recordings: the appliance's setting and those of tenants.

Pure. If a tenant's value is invalid, its recordings are kept. The database selects the recordings
that are too old. Source: docs/recordings.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PARAM = "RECORDING_RETENTION_DAYS"
"""Name of the variable, and of the tenant's setting that overrides it."""
MAX_DAYS = 99_999
"""273 years; more is a mistake."""

_DAYS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,6})?").fullmatch


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Retention times in days; None: recordings are never deleted."""

    default_days: float | None = None
    own_days: Mapping[str, float | None] = field(default_factory=dict)
    """The values of tenants that have a setting, by tenant id."""
    faulty: Mapping[str, str] = field(default_factory=dict)
    """Invalid values, by tenant id; all recordings of these tenants are kept."""

    @property
    def keep_all(self) -> bool:
        """Whether no recording is ever deleted."""
        return self.default_days is None and not any(self.own_days.values())


def is_retention(text: str) -> bool:
    """Whether a text is a valid number of days; 0 or empty means unlimited."""
    return not text.strip() or _DAYS(text.strip()) is not None


def retention_rules(
    default_days: float | None, settings: Iterable[tuple[str, str]]
) -> RetentionRules:
    """Return the rules; `settings` are (tenant id, value). Of several the longest time is used."""
    own: dict[str, float | None] = {}
    faulty: dict[str, str] = {}
    for tenant_id, value in settings:
        text = value.strip()
        if not is_retention(text):
            faulty[tenant_id] = value
        days = float(text) if text and tenant_id not in faulty else 0.0
        before = own.get(tenant_id, days)
        own[tenant_id] = max(days, before) if days and before else None
    return RetentionRules(default_days, own, faulty)
