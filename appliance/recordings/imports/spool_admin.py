"""The tars that an operator can import: in the spool, in `failed/`, or anywhere on this machine.

A tar elsewhere is named by its path, and is neither moved nor removed by its import. Everything
blocks and is called in threads.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from appliance.recordings.imports.model import SpooledTar, UnpackedFormat, is_tar_name
from appliance.recordings.imports.spool import FAILED, Spool, look_at
from appliance.recordings.imports.tar import extract_tar
from appliance.recordings.summary import FailedTar
from appliance.settings.model import RecordingSettings

_MAX_REASON = 4000


class SpoolAdmin:
    """The spool, `failed/` and other files. Every method raises OSError."""

    def __init__(self, settings: RecordingSettings) -> None:
        self._settings = settings
        self._spool = Spool(settings)

    def scan(self) -> list[SpooledTar]:
        """Return the tars in the spool, oldest first; none if the spool does not exist yet."""
        try:
            return self._spool.scan()
        except FileNotFoundError:
            return []

    def list_failed(self) -> list[FailedTar]:
        """Return the tars in `failed/`, each with the reason beside it."""
        found = []
        for name in self._spool.failed_names():
            tar = self._spool.look_failed(name)
            if tar is not None:
                path = self._spool.directory / FAILED / f"{name}.error"
                found.append(FailedTar(tar, _read_reason(path)))
        return found

    def count_failed(self) -> int:
        """Return the number of tars in `failed/`."""
        return len(self._spool.failed_names())

    def find_file(self, path: str) -> SpooledTar:
        """Return a file of this machine, named relative to the spool if it is a tar there
        (`r1.tar`, `failed/r1.tar`), else by its real path. Raises OSError: not a readable file.
        """
        real = Path(os.path.realpath(path))
        status = real.stat()
        if not real.is_file():
            raise OSError(errno.EINVAL, "not a regular file")
        with real.open("rb"):
            pass  # raises PermissionError
        name = str(real)
        spool = self._spool.directory
        if is_tar_name(real.name):  # the watcher ignores other names, even in the spool
            if str(real.parent) == os.path.realpath(spool):
                name = real.name
            elif str(real.parent) == os.path.realpath(spool / FAILED):
                name = f"{FAILED}/{real.name}"
        return SpooledTar.of(name, status)

    def handed_file(self, path: str, descriptor: int) -> SpooledTar:
        """Return an open file, named by its path. Raises OSError: not a regular file."""
        return _look_at_open(path, descriptor)

    def failed_path(self, name: str) -> str | None:
        """Return the path of a tar in `failed/`; None: none has this name."""
        found = self._spool.look_failed(name)
        return None if found is None else str(self._spool.directory / FAILED / name)

    def one_file(self, progress: Callable[[int], None], descriptor: int | None) -> FileSpool:
        """Return a spool for files anywhere; `progress` gets the size of each chunk in bytes.

        descriptor: of the open file; None: it is opened by its path.
        """
        return FileSpool(self._settings, progress, descriptor)


class FileSpool(Spool):
    """Files anywhere, named by absolute paths and unpacked like those of the spool."""

    def __init__(
        self,
        settings: RecordingSettings,
        progress: Callable[[int], None],
        descriptor: int | None = None,
    ) -> None:
        super().__init__(settings)
        self._progress = progress
        self._descriptor = descriptor

    def look(self, name: str) -> SpooledTar | None:
        """Return the current version of a file."""
        if self._descriptor is not None:
            return _look_at_open(name, self._descriptor)
        found = look_at(Path(name))
        return None if found is None else replace(found, name=name)

    def unpack(self, tar: SpooledTar, work: str, stop: Callable[[], bool]) -> list[UnpackedFormat]:
        """Unpack a file and return its formats. Raises as `extract_tar`."""
        target = self.make_work(work)
        source = Path(tar.name) if self._descriptor is None else self._descriptor
        extract_tar(source, target, self.limits, stop=stop, progress=self._progress)
        return self.unpacked(target)

    def accept(self, tar: SpooledTar) -> None:
        """Keep the file."""

    def reject(self, tar: SpooledTar, reason: str) -> None:
        """Keep the file; the journal has the reason."""


def _look_at_open(name: str, descriptor: int) -> SpooledTar:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return SpooledTar.of(name, status)


def _read_reason(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_REASON).decode("utf-8", "replace").strip() or None
    except OSError:
        return None
