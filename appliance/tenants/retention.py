"""How long recordings are kept: the appliance's setting, and those of the tenants that have one.

Pure. In doubt a recording is kept: nothing is ever deleted by a value that cannot be read.
Truth: spec (recordings, Retention). Which recordings are too old is asked of the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PARAM = "RECORDING_RETENTION_DAYS"
"""Name of the variable, and of the tenant's setting that goes before it."""
MAX_DAYS = 99_999
"""273 years; more is a slip."""

_DAYS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,6})?").fullmatch


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """After how many days a recording is deleted; None: never."""

    default_days: float | None = None
    own_days: Mapping[str, float | None] = field(default_factory=dict)
    """By tenant id, of the tenants that have a setting: it counts for their recordings alone."""
    faulty: Mapping[str, str] = field(default_factory=dict)
    """The values that cannot be read, by tenant id: these tenants' recordings are all kept."""

    @property
    def keep_all(self) -> bool:
        """Whether no recording can be too old."""
        return self.default_days is None and not any(self.own_days.values())


def is_retention(text: str) -> bool:
    """Whether a text can be read as days; 0 or nothing: for ever."""
    return not text.strip() or _DAYS(text.strip()) is not None


def retention_rules(
    default_days: float | None, settings: Iterable[tuple[str, str]]
) -> RetentionRules:
    """Return the rules; `settings` are (tenant id, value), of which the longest time counts."""
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
