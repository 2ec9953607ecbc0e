"""The spool directory, where tars arrive, and the work directory, where they are unpacked.

Holds no rule about what becomes of a tar. Truth: the disk. Everything here blocks and is called in
threads. Names that begin with a dot are somebody's temporary files and are left alone; our own are
`.upload-…`. In the work directory only `appliance-import-…` is ours: a Scalelite may use it too.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from appliance.recordings.import_model import SpooledTar, UnpackedFormat, is_tar_name
from appliance.recordings.metadata_xml import MAX_BYTES
from appliance.recordings.recording import is_record_id
from appliance.recordings.tar_extract import TarLimits, extract_tar
from appliance.recordings.tar_format import DiskFull
from appliance.settings.model import RecordingSettings
from appliance.system.file_system import has_room, rename_new, write_out

FAILED = "failed"
ABANDONED_UPLOAD_S = 24 * 3600.0
_WRITE_OUT_EVERY = 8 << 20
_LONGEST_NAME = 100
"""Of a name that gets something before or after it: names of files have at most 255 bytes."""
_METADATA = "metadata.xml"
_WORK_PREFIX, _UPLOAD_PREFIX = "appliance-import-", ".upload-"


class Spool:
    """The spool of these settings. Every method raises OSError."""

    def __init__(self, settings: RecordingSettings) -> None:
        self.directory = settings.spool_dir
        self._failed = settings.spool_dir / FAILED
        self._work = settings.work_dir
        self.limits = TarLimits(settings.max_files, settings.max_bytes)

    def make(self) -> None:
        """Make the directories that are missing."""
        for directory in (self.directory, self._work):
            directory.mkdir(parents=True, exist_ok=True)

    def scan(self) -> list[SpooledTar]:
        """Return the tars that are there, the oldest first."""
        with os.scandir(self.directory) as entries:
            names = [entry.name for entry in entries if is_tar_name(entry.name)]
        found = [tar for tar in map(self.look, names) if tar is not None]
        return sorted(found, key=lambda tar: tar.mtime_ns)

    def look(self, name: str) -> SpooledTar | None:
        """Return a tar as it is now; None: there is no regular file of this name."""
        return look_at(self.directory / name)

    def new_work(self, import_id: int) -> str:
        """Return the name of a work directory that nobody has; an import that was cancelled may
        leave a thread behind that is still busy in its own."""
        return f"{_WORK_PREFIX}{import_id}.{uuid.uuid4().hex[:12]}"

    def unpack(self, tar: SpooledTar, work: str, stop: Callable[[], bool]) -> list[UnpackedFormat]:
        """Unpack a tar and return what it holds. Raises as `extract_tar`."""
        target = self.make_work(work)
        extract_tar(self.directory / tar.name, target, self.limits, stop=stop)
        return self.unpacked(target)

    def make_work(self, work: str) -> Path:
        """Make a work directory."""
        target = self._work / work
        target.mkdir(parents=True, mode=0o700)
        return target

    def unpacked(self, target: Path) -> list[UnpackedFormat]:
        """Return what a work directory holds."""
        return [
            UnpackedFormat(folder.parent.name, folder.name, str(folder), _metadata_of(folder))
            for folder in sorted(target.glob("*/*"))
            if folder.is_dir()
        ]

    def show(self, unpacked: UnpackedFormat, metadata_xml: bytes) -> None:
        """Write another metadata.xml in the place of what was unpacked."""
        path = Path(unpacked.path) / _METADATA
        path.unlink()  # a hard link would change another file, too
        path.write_bytes(metadata_xml)

    def discard(self, work: str) -> None:
        """Remove what an import has unpacked."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._work / work)

    def leftovers(self) -> list[tuple[int, str]]:
        """Return the imports that have work directories, and those."""
        found = []
        for path in self._work.glob(f"{_WORK_PREFIX}*"):
            number = path.name.removeprefix(_WORK_PREFIX).partition(".")[0]
            if number.isdigit():
                found.append((int(number), path.name))
        return sorted(found)

    def accept(self, tar: SpooledTar) -> None:
        """Remove a tar that was imported, unless another one came in its place."""
        if self.look(tar.name) == tar:
            (self.directory / tar.name).unlink(missing_ok=True)

    def reject(self, tar: SpooledTar, reason: str) -> None:
        """Move a tar to `failed/`, with the reason beside it, unless another came in its place."""
        if self.look(tar.name) != tar:
            return
        self._failed.mkdir(exist_ok=True)
        target = self._failed / tar.name
        while target.exists():  # nothing is overwritten
            target = self._failed / f"{uuid.uuid4().hex[:8]}.{tar.name[-_LONGEST_NAME:]}"
        text = reason.encode("utf-8", "backslashreplace")
        with suppress(OSError):  # the disk may be full, the name too long; the journal says it too
            target.with_name(f"{target.name}.error").write_bytes(text + b"\n")
        (self.directory / tar.name).rename(target)

    def look_failed(self, name: str) -> SpooledTar | None:
        """Return a tar in `failed/`; None: there is none of this name."""
        if not is_tar_name(name) or "/" in name:
            return None
        return look_at(self._failed / name)

    def restore(self, name: str) -> None:
        """Move a tar from `failed/` back into the spool.

        Raises FileExistsError: there is another tar of this name.
        """
        rename_new(self._failed / name, self.directory / name)
        with suppress(OSError):  # it is back, whatever becomes of the text
            (self._failed / f"{name}.error").unlink(missing_ok=True)

    def failed_names(self) -> list[str]:
        """Return the tars in `failed/`."""
        if not self._failed.is_dir():
            return []
        return sorted(path.name for path in self._failed.iterdir() if is_tar_name(path.name))

    def open_upload(self, record_id: str) -> Upload:
        """Begin to write a tar that a BBB server sends."""
        return Upload(self.directory, record_id)

    def remove_abandoned_uploads(self) -> None:
        """Remove uploads that a crash left behind."""
        for path in self.directory.glob(f"{_UPLOAD_PREFIX}*"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_UPLOAD_S:
                    path.unlink()


class Upload:
    """A tar on its way into the spool, under a temporary name until it is whole."""

    def __init__(self, directory: Path, record_id: str) -> None:
        if not is_record_id(record_id):
            raise ValueError("not a recordID")
        self._directory = directory
        self._target = directory / f"{record_id[:_LONGEST_NAME]}.tar"
        self._path = directory / f"{_UPLOAD_PREFIX}{uuid.uuid4().hex}"
        self._unwritten_bytes = 0
        self._file: BinaryIO = self._path.open("xb")

    def write(self, chunk: bytes) -> None:
        """Append. Raises DiskFull: hardly anything would be left on the disk."""
        if not has_room(self._directory, len(chunk)):
            raise DiskFull("the spool is full")
        self._file.write(chunk)
        self._unwritten_bytes += len(chunk)
        if self._unwritten_bytes >= _WRITE_OUT_EVERY:
            self._unwritten_bytes = 0
            write_out(self._file.fileno())

    def finish(self) -> None:
        """Let the watcher have it. On the disk when this returns: the sender deletes its own."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        try:
            rename_new(self._path, self._target)
        except FileExistsError:  # not imported yet: both will be
            unlike = f"{self._target.stem}.{uuid.uuid4().hex[:8]}.tar"
            rename_new(self._path, self._target.with_name(unlike))
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def abort(self) -> None:
        """Remove what came so far."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def look_at(path: Path) -> SpooledTar | None:
    """Return a file as it is now; None: there is no regular file."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not path.is_file() or path.is_symlink():
        return None
    return SpooledTar(path.name, status.st_size, status.st_mtime_ns, status.st_ino)


def _metadata_of(folder: Path) -> bytes | None:
    try:
        with (folder / _METADATA).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
