"""The spool directory, where tars arrive, and the work directory, where they are unpacked.

importer.py decides what happens to a tar. Everything blocks and is called in threads. Names that
begin with a dot are temporary files of other programs and are ignored, except for uploads over HTTP
(`.upload-…`) and imported tars that are being removed (`.done-…`). In the work directory only
`appliance-import-…` is touched, since a Scalelite may use it, too.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from appliance.recordings.imports.metadata_xml import MAX_BYTES
from appliance.recordings.imports.model import (
    MAX_NAME_ID,
    UPLOAD_SUFFIX,
    DiskFull,
    SpooledTar,
    UnpackedFormat,
    is_tar_name,
)
from appliance.recordings.imports.tar import TarLimits, extract_tar
from appliance.recordings.objects.tar_slices import SUFFIX, forget_slices, write_slices
from appliance.recordings.recording import is_record_id
from appliance.recordings.storage import METADATA, Transfer
from appliance.settings.model import RecordingSettings
from appliance.system.file_system import has_room, rename_new, sync_directory, write_out

if TYPE_CHECKING:
    from appliance.recordings.objects.worker import ObjectWorker

FAILED = "failed"
ABANDONED_UPLOAD_S = 24 * 3600.0
_WRITE_OUT_EVERY = 8 << 20
_LONGEST_NAME = 200
"""Bytes of a name that gets a prefix or suffix; a file name has at most 255."""
_WORK_MODE = 0o700
_WORK_PREFIX, _UPLOAD_PREFIX, _DONE_PREFIX = "appliance-import-", ".upload-", ".done-"


class Spool:
    """The spool and work directories. Every method raises OSError."""

    def __init__(self, settings: RecordingSettings, *, worker: ObjectWorker | None = None) -> None:
        """`worker`: unpacks tars whose files are soon in a bucket."""
        self._worker = worker
        self.directory = settings.spool_dir
        self._failed = settings.spool_dir / FAILED
        self._work = settings.work_dir
        self.limits = TarLimits(settings.max_files, settings.max_bytes)

    def make(self) -> None:
        """Make missing directories."""
        for directory in (self.directory, self._work):
            directory.mkdir(parents=True, exist_ok=True)

    def scan(self) -> list[SpooledTar]:
        """Return the tars, oldest first."""
        with os.scandir(self.directory) as entries:
            names = [entry.name for entry in entries if is_tar_name(entry.name)]
        found = [tar for tar in map(self.look, names) if tar is not None]
        return sorted(found, key=lambda tar: tar.mtime_ns)

    def look(self, name: str) -> SpooledTar | None:
        """Return the current version of a tar; None: no regular file has this name."""
        return look_at(self.directory / name)

    def new_work(self, import_id: int) -> str:
        """Return an unused name for a work directory; the thread of a cancelled import may still
        write to its own."""
        return f"{_WORK_PREFIX}{import_id}.{uuid.uuid4().hex[:12]}"

    def unpack(self, tar: SpooledTar, work: str, stop: Callable[[], bool]) -> list[UnpackedFormat]:
        """Unpack a tar and return its formats. Raises as `extract_tar`."""
        target, path = self.make_work(work), self.directory / tar.name
        if self._worker is None:
            extract_tar(path, target, self.limits, stop=stop)
        else:
            self._worker.call(unpack_for_bucket, path, target, self.limits, stop=stop)
        return self.unpacked(target)

    def make_work(self, work: str) -> Path:
        """Make a work directory."""
        target = self._work / work
        target.mkdir(parents=True, mode=_WORK_MODE)
        return target

    def unpacked(self, target: Path) -> list[UnpackedFormat]:
        """Return the formats in a work directory."""
        return [
            UnpackedFormat(folder.parent.name, folder.name, str(folder), _metadata_of(folder))
            for folder in sorted(target.glob("*/*"))
            if folder.is_dir()
        ]

    def show(self, unpacked: UnpackedFormat, metadata_xml: bytes) -> None:
        """Replace the metadata.xml of an unpacked format."""
        path = Path(unpacked.path) / METADATA
        path.unlink()  # writing to a hard link would change another file
        path.write_bytes(metadata_xml)

    def discard(self, work: str) -> None:
        """Remove a work directory."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._work / work)
        forget_slices(self._work / work)

    def leftovers(self) -> list[tuple[int, str]]:
        """Return the work directories, each with the id of its import."""
        found = set()
        for path in self._work.glob(f"{_WORK_PREFIX}*"):
            name = path.name.removesuffix(SUFFIX)
            number = name.removeprefix(_WORK_PREFIX).partition(".")[0]
            if number.isdigit():
                found.add((int(number), name))
        return sorted(found)

    def accept(self, tar: SpooledTar) -> None:
        """Remove an imported tar, unless another one has replaced it."""
        aside = self.directory / f"{_DONE_PREFIX}{_unique(tar.name)}"
        if self._move_out(tar, aside):
            aside.unlink(missing_ok=True)

    def reject(self, tar: SpooledTar, reason: str) -> None:
        """Move a tar to `failed/` with the reason beside it, unless another one has replaced it."""
        self._failed.mkdir(exist_ok=True)
        target = self._failed / tar.name
        while target.exists():  # never overwrite a file
            target = self._failed / _unique(tar.name)
        if not self._move_out(tar, target):
            return
        text = reason.encode("utf-8", "backslashreplace")
        with suppress(OSError):  # disk full or name too long; the journal has the reason, too
            target.with_name(f"{target.name}.error").write_bytes(text + b"\n")

    def _move_out(self, tar: SpooledTar, target: Path) -> bool:
        """Rename a tar to a new name; False: another one has replaced it, and stays in the spool.

        It is compared again under its new name, which no other program puts a file under: between
        a look and a rename, or an unlink, another tar may get the old one.
        """
        if self.look(tar.name) != tar:
            return False
        try:
            rename_new(self.directory / tar.name, target)
        except FileNotFoundError:
            return False
        moved = look_at(target)
        if moved is not None and replace(moved, name=tar.name) == tar:
            return True
        self._put_back(target, tar.name)
        return False

    def _put_back(self, path: Path, name: str) -> None:
        """Move a file into the spool, beside another one that has its name by now."""
        with suppress(FileNotFoundError):  # another appliance was faster (put_back_aside)
            try:
                rename_new(path, self.directory / name)
            except FileExistsError:
                rename_new(path, self.directory / _unique(name))

    def put_back_aside(self) -> None:
        """Move tars that a crash left aside while they were removed back into the spool.

        One that was imported is then removed again.
        """
        for path in self.directory.glob(f"{_DONE_PREFIX}*"):
            self._put_back(path, path.name.removeprefix(_DONE_PREFIX).partition(".")[2])

    def look_failed(self, name: str) -> SpooledTar | None:
        """Return a tar in `failed/`; None: none has this name."""
        if not is_tar_name(name) or "/" in name:
            return None
        return look_at(self._failed / name)

    def restore(self, name: str) -> None:
        """Move a tar from `failed/` back into the spool.

        Raises FileExistsError: the spool has another tar of this name.
        """
        rename_new(self._failed / name, self.directory / name)
        with suppress(OSError):  # the tar is restored, even if this fails
            (self._failed / f"{name}.error").unlink(missing_ok=True)

    def failed_names(self) -> list[str]:
        """Return the names of the tars in `failed/`."""
        if not self._failed.is_dir():
            return []
        return sorted(path.name for path in self._failed.iterdir() if is_tar_name(path.name))

    def open_upload(self, record_id: str) -> Upload:
        """Start to receive a tar from a BBB server."""
        return Upload(self.directory, record_id)

    def remove_abandoned_uploads(self) -> None:
        """Remove uploads left behind by a crash."""
        for path in self.directory.glob(f"{_UPLOAD_PREFIX}*"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_UPLOAD_S:
                    path.unlink()


def unpack_for_bucket(source: Path, target: Path, limits: TarLimits, *, transfer: Transfer) -> None:
    """Unpack a tar whose files are soon in a bucket, in the worker; see extract_tar."""
    if any(target.iterdir()):  # of a process that was killed
        shutil.rmtree(target)
        target.mkdir(mode=_WORK_MODE)
    inside = dict[str, int]()
    with source.open("rb", buffering=0) as file:
        tar = SpooledTar.of(str(source), os.fstat(file.fileno()))
        extract_tar(file.fileno(), target, limits, stop=transfer.stop.is_set, inside=inside)
    write_slices(target, tar, inside)


class Upload:
    """A tar being received, under a temporary name until it is complete."""

    def __init__(self, directory: Path, record_id: str) -> None:
        if not is_record_id(record_id):
            raise ValueError("not a recordID")
        self._directory = directory
        self._name = record_id[:MAX_NAME_ID]
        self._path = directory / f"{_UPLOAD_PREFIX}{uuid.uuid4().hex}"
        self._unwritten_bytes = 0
        self._file: BinaryIO = self._path.open("xb")

    def write(self, chunk: bytes) -> None:
        """Append. Raises DiskFull: the disk's reserve would be used."""
        if not has_room(self._directory, len(chunk)):
            raise DiskFull("the spool is full")
        self._file.write(chunk)
        self._unwritten_bytes += len(chunk)
        if self._unwritten_bytes >= _WRITE_OUT_EVERY:
            self._unwritten_bytes = 0
            write_out(self._file.fileno())

    def finish(self) -> None:
        """Sync the tar and give it its final name; the sender may then delete its copy."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        try:
            rename_new(self._path, self._directory / f"{self._name}{UPLOAD_SUFFIX}")
        except FileExistsError:  # not imported yet: keep both
            unlike = f"{self._name}.{uuid.uuid4().hex[:8]}{UPLOAD_SUFFIX}"
            rename_new(self._path, self._directory / unlike)
        sync_directory(self._directory)

    def abort(self) -> None:
        """Remove the received part."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _unique(name: str) -> str:
    """Return a name for a file beside another one; it keeps the end, and so the suffix."""
    return f"{uuid.uuid4().hex[:8]}.{os.fsdecode(os.fsencode(name)[-_LONGEST_NAME:])}"


def look_at(path: Path) -> SpooledTar | None:
    """Return the current version of a file; None: not a regular file."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not path.is_file() or path.is_symlink():
        return None
    return SpooledTar.of(path.name, status)


def _metadata_of(folder: Path) -> bytes | None:
    try:
        with (folder / METADATA).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
