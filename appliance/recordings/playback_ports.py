"""What playback needs of the world, as Protocols; adapters implement them.

The methods of files block: they are called in threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from appliance.recordings.playback_rules import NotAFile


class OpenedFile(Protocol):
    """A regular file that is open."""

    name: str
    size: int
    modified_ns: int

    def read(self, offset: int, count: int) -> bytes:
        """Return so many bytes, fewer only at the end. Raises OSError."""

    def close(self) -> None:
        """Close it."""


class ServedFiles(Protocol):
    """Published recordings and the BBB player. Raises OSError if the disk does not do."""

    def open_published(
        self, format: str, record_id: str, names: Sequence[str]
    ) -> OpenedFile | NotAFile:
        """Open a file of a published recording."""

    def open_player(self, names: Sequence[str]) -> OpenedFile | NotAFile:
        """Open a file of the player."""
