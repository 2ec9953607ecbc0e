"""A move of recordings between disk and bucket as data. moving.py does it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from appliance.recordings.storage import Transfer


@dataclass(frozen=True, slots=True)
class MoveResult:
    """A recording that was moved, or why it was not."""

    record_id: str
    problem: str | None


@dataclass(slots=True)
class Move:
    """A move of recordings, running or ended."""

    to_bucket: bool
    dry_run: bool
    concurrency: int = 2
    total: int = 0
    """Recordings to be moved; 0: not known yet."""
    running: bool = True
    results: list[MoveResult] = field(default_factory=list)
    transfer: Transfer = field(default_factory=Transfer)
    asked_s: float = math.inf
    """When its progress was read last, on Trio's clock; infinite: the move continues without."""

    @property
    def to(self) -> str:
        """Return the destination as `ctl` names it."""
        return "s3" if self.to_bucket else "disk"
