"""Stored reports about meetings: one file for each run, in STATE_DIR/analytics.

They contain the names of users, so only the appliance's user may read them. Those that are too old
(ANALYTICS_RETENTION_DAYS) are deleted, and the oldest when there are too many.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.system.new_file import new_file

DIRECTORY = "analytics"
MAX_FILES = 20_000
MAX_TOTAL_BYTES = 4 * 1024**3
_SUFFIX = ".json"
_PRUNE_EVERY = 50
"""Listing all files costs more than writing one."""


@dataclass(frozen=True, slots=True)
class StoredReport:
    """One stored report."""

    id: str
    """BBB's internal meeting id, which identifies the run of the meeting."""
    meeting_id: str
    """The front-end's id."""
    customer: str
    received_ms: int
    bytes: int


@dataclass(slots=True)
class AnalyticsFiles:
    """The stored reports. Names satisfy `analytics_rules.is_file_name`. Methods raise OSError."""

    state_dir: Path
    max_files: int = MAX_FILES
    max_total_bytes: int = MAX_TOTAL_BYTES
    _saved: int = 0

    @property
    def directory(self) -> Path:
        """Return the directory of the files."""
        return self.state_dir / DIRECTORY

    def save(self, name: str, body: bytes) -> None:
        """Write a report atomically and durably, replacing an earlier one."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with new_file(self.directory / f"{name}{_SUFFIX}") as file:
            file.write(body)
        if self._saved % _PRUNE_EVERY == 0:
            self._prune()
        self._saved += 1

    def rewrite(self, name: str, body: bytes) -> None:
        """Replace a report, which keeps its age."""
        path = self.directory / f"{name}{_SUFFIX}"
        before = path.stat()
        self.save(name, body)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def read(self, name: str) -> bytes | None:
        """Return a report, None if it does not exist."""
        path = self.directory / f"{name}{_SUFFIX}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def names(self, limit: int) -> list[tuple[str, int, int]]:
        """Return (name, modification time in ms, bytes) of the newest reports, newest first."""
        return self._all()[:limit]

    def _all(self) -> list[tuple[str, int, int]]:
        found = []
        try:
            entries = os.scandir(self.directory)
        except FileNotFoundError:
            return []
        with entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.endswith(_SUFFIX):
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    name = entry.name.removesuffix(_SUFFIX)
                    found.append((name, status.st_mtime_ns // 1_000_000, status.st_size))
        return sorted(found, key=lambda one: (one[1], one[0]), reverse=True)

    def prune_old(self, before_ms: int) -> int:
        """Delete the reports that were received before a time; return their number."""
        old = [name for name, received_ms, _ in self._all() if received_ms < before_ms]
        for name in old:
            self.remove(name)
        return len(old)

    def remove(self, name: str) -> None:
        """Delete a report, if it exists."""
        (self.directory / f"{name}{_SUFFIX}").unlink(missing_ok=True)

    def _prune(self) -> None:
        left = self.max_total_bytes
        for number, (name, _, size) in enumerate(self._all()):
            left -= size
            if number >= self.max_files or left < 0:
                self.remove(name)
