"""The host as /metrics shows it: room on the disks, and the end of the TLS certificate. Blocks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from appliance.settings import Settings
from appliance.system.host_facts import read_certificate


@dataclass(frozen=True, slots=True)
class DiskStatus:
    """The file system of a directory."""

    directory: str
    """Which one: state, spool, work, published, unpublished."""
    free_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A snapshot of the host."""

    disks: tuple[DiskStatus, ...] = ()
    certificate_ends_s: float | None = None
    """In seconds since the epoch; None: no TLS, or it cannot be read."""


class HostReader:
    """Reads the state of the host; remembers the certificate until its file changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._certificate: tuple[tuple[int, int], float | None] | None = None

    def read(self) -> HostStatus:
        """Read the state. A directory on NFS may hang."""
        found = [_read_disk(name, path) for name, path in self._directories()]
        disks = tuple(disk for disk in found if disk is not None)
        return HostStatus(disks, self._read_certificate())

    def _directories(self) -> list[tuple[str, Path]]:
        stores, recordings = self._settings.stores, self._settings.recordings
        found = [("state", stores.state_dir)]
        if not recordings.disabled:
            found += [
                ("spool", recordings.spool_dir),
                ("work", recordings.work_dir),
                ("published", recordings.publish_dir),
                ("unpublished", recordings.unpublish_dir),
            ]
        return found

    def _read_certificate(self) -> float | None:
        web = self._settings.web
        if web.tls_cert_file is None or web.tls_key_file is None:
            return None
        try:
            status = os.stat(web.tls_cert_file)
        except OSError:
            return None
        version = (status.st_mtime_ns, status.st_ino)
        if self._certificate is None or self._certificate[0] != version:
            facts = read_certificate(web.tls_cert_file, web.tls_key_file)
            self._certificate = (version, None if facts.problem else facts.ends_s)
        return self._certificate[1]


def _read_disk(name: str, path: Path) -> DiskStatus | None:
    """Return None if the directory cannot be read; doctor says why."""
    try:
        room = os.statvfs(path)
    except OSError:
        return None
    return DiskStatus(name, room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize)
