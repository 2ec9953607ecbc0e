"""What analytics need of the world, as Protocols; adapters implement them. Methods block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredReport:
    """One kept report."""

    id: str
    """Of the run of the meeting: BBB's internal meeting id."""
    meeting_id: str
    """As the front-end knows it."""
    customer: str
    received_ms: int
    bytes: int


class AnalyticsFiles(Protocol):
    """Reports kept as files. Every method raises OSError."""

    def save(self, name: str, body: bytes) -> None:
        """Keep a report, in the place of an earlier one of that name."""

    def read(self, name: str) -> bytes | None:
        """Return a report, None if there is no such."""

    def names(self, limit: int) -> list[tuple[str, int, int]]:
        """Return name, time (ms) and bytes of the newest, newest first."""
