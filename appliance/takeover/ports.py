"""What a look at a Scalelite's stores needs of the world, as Protocols; adapters implement them.

Methods of the pool raise StoreDown, those of the recordings DatabaseDown; methods of the files
block and raise OSError: they are called in threads. None of them changes anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.doctor.server_findings import ServerFacts
from appliance.model import Target
from appliance.takeover.pool_findings import PoolState
from appliance.takeover.recording_findings import (
    DirectoryState,
    Places,
    SchemaState,
    SurveyedRecording,
)


class PoolSurvey(Protocol):
    """The keys in Redis."""

    async def read_pool(self) -> PoolState:
        """Return everything that is there."""


class RecordingSurvey(Protocol):
    """The tables in PostgreSQL."""

    async def read_schema(self) -> SchemaState:
        """Return what of Scalelite's tables is there."""

    async def count_by_state(self) -> Mapping[str, int]:
        """Return how many recordings are in each state; an empty name is none."""

    async def callbacks(self, limit: int) -> list[tuple[str, str | None]]:
        """Return the newest callbacks that are still to come: meeting id and attributes."""

    async def page(self, after: int, limit: int) -> list[SurveyedRecording]:
        """Return the next recordings, deleted ones too, by the row's id."""

    async def known(self, record_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that recordings have."""


class SurveyFiles(Protocol):
    """The directories."""

    def directories(self) -> list[DirectoryState]:
        """Return what the directories are."""

    def tars(self) -> Mapping[str, float]:
        """Return the tars in the spool with their age in seconds."""

    def failed_tars(self) -> Sequence[str]:
        """Return the tars that were given up."""

    def where(self, record_ids: Iterable[str]) -> Mapping[str, Places]:
        """Return where the files of each recording are, by format."""

    def folders(self) -> Sequence[str]:
        """Return the directories that hold those of recordings."""

    def recordings_in(self, folder: str) -> Sequence[str]:
        """Return the recordings that have files in one of these."""


@dataclass(frozen=True, slots=True)
class TakeoverSources:
    """What there is to look at."""

    pool: PoolSurvey | None
    """None: no REDIS_URL (a look without a running appliance)."""
    recordings: RecordingSurvey | None
    """None: recordings are disabled, or no DATABASE_URL."""
    files: SurveyFiles
    ask_server: Callable[[Target], Awaitable[ServerFacts]]
    """Asks a server what changes nothing there; whatever goes wrong is a fact, too."""
