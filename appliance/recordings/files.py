"""The files of recordings: `{publish dir or unpublish dir}/{format}/{recordID}`, moved atomically.

A reader finds the old files of a format, the new ones or none, never a part of them: copies are
made beside their place and renamed into it. Everything blocks and is called in threads. Callers
hold the row lock or the import lock of a recording, so calls for one recording do not overlap.

Beside the formats are `.incoming` (copies in progress) and `.removed` (renamed aside for removal);
the name of a format has no dot.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path

from appliance.recordings.file_locations import FileLocations
from appliance.recordings.recording import is_format, is_record_id
from appliance.recordings.storage import METADATA, NewObjects, Rewrite, Transfer
from appliance.recordings.text_tracks.caption_files import CaptionFiles
from appliance.recordings.text_tracks.rules import TextTrack
from appliance.settings.model import RecordingSettings
from appliance.system.file_system import (
    has_room,
    replace_directory,
    sync_directory,
    sync_file_system,
    write_out,
)
from appliance.system.new_file import new_file

INCOMING, REMOVED = ".incoming", ".removed"
ABANDONED_S = 24 * 3600.0
"""Age from which a copy in progress counts as left behind by a crash; long, since another appliance
on the same NFS may be copying a large recording."""

_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644  # readable by nginx


class RecordingFiles(FileLocations):
    """The published and the unpublished files. Every method raises OSError."""

    def __init__(self, settings: RecordingSettings, captions: CaptionFiles | None = None) -> None:
        super().__init__(settings)
        self._published = settings.publish_dir
        self._unpublished = settings.unpublish_dir
        self._captions = captions or CaptionFiles()

    def publish(self, record_id: str, format: str) -> bool:
        """Move a format to the published files; False: no files. Completes interrupted moves."""
        return _move(self._unpublished, self._published, record_id, format)

    def unpublish(self, record_id: str, format: str) -> bool:
        """Move a format to the unpublished files; False: no files. Completes interrupted moves."""
        return _move(self._published, self._unpublished, record_id, format)

    def find(self, format: str, record_id: str) -> Path | None:
        """Return the directory of a format, the published one first; None: no files."""
        if not (is_format(format) and is_record_id(record_id)):
            return None
        for root in (self._published, self._unpublished):
            path = root / format / record_id
            if path.is_dir():
                return path
        return None

    def has(self, format: str, record_id: str) -> bool:
        """Return whether a format has files, published or not."""
        return self.find(format, record_id) is not None

    def is_published(self, format: str, record_id: str) -> bool:
        """Return whether a format has published files."""
        known = is_format(format) and is_record_id(record_id)
        return known and (self._published / format / record_id).is_dir()

    def check(self) -> None:
        """Do nothing: a disk that fails is noticed in time."""

    def new_objects(
        self, source: str, record_id: str, format: str, *, published: bool
    ) -> NewObjects | None:
        """Return None: `empty_trash` finds what a crash leaves."""
        return None

    def stage(
        self, source: str, record_id: str, format: str, *, published: bool, transfer: Transfer
    ) -> str:
        """Move or copy a directory to the file system of its destination; return its new path.

        This is the slow step: `place`, which follows, only renames. `source` may not exist
        afterwards.
        """
        _check(record_id, format)
        directory = Path(source)
        root, name = self._root(published), f"{format}.{record_id}"
        _set_modes(directory)  # permits the move
        staged = _aside(root, INCOMING, name)
        try:
            directory.rename(staged)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            staged = _copy_into(root, directory, name)
        return str(staged)

    def new_staged(self, record_id: str, format: str, *, published: bool) -> str:
        """Make an empty directory on the file system of its destination, for `place`."""
        _check(record_id, format)
        staged = _aside(self._root(published), INCOMING, f"{format}.{record_id}")
        staged.mkdir()
        return str(staged)

    def record_ids(self) -> list[str]:
        """Return the recordings with files."""
        roots = (self._published, self._unpublished)
        folders = [root / name for root in roots for name in _formats_below(root)]
        names = {path.name for folder in folders for path in _children(folder)}
        return sorted(filter(is_record_id, names))

    def unstage(self, staged: str) -> None:
        """Remove a staged directory that will not be placed."""
        shutil.rmtree(staged, ignore_errors=True)

    def place(self, source: str, record_id: str, format: str, *, published: bool) -> None:
        """Make a directory the files of a format, replacing the present ones.

        One rename on the same file system, else a copy, a sync and a rename. Afterwards `source`
        does not exist, and the files survive a power failure. Captions that users added are carried
        over.
        """
        _check(record_id, format)
        root, other = self._root(published), self._root(not published)
        directory = Path(source)
        for old in (other, root):
            self._captions.carry_over(old / format / record_id, directory)
        _set_modes(directory)
        sync_file_system(directory)
        _put(directory, root, record_id, format)
        _discard(other, other / format / record_id)
        shutil.rmtree(directory, ignore_errors=True)  # exists only after a copy

    def _root(self, published: bool) -> Path:
        return self._published if published else self._unpublished

    def remove(self, record_id: str, format: str | None = None) -> None:
        """Rename the files of a recording aside, or of one format; `empty_trash` removes them."""
        if not is_record_id(record_id):
            return
        for root in (self._published, self._unpublished):
            for name in _formats_below(root) if format is None else (format,):
                _discard(root, root / name / record_id)

    def read_tracks(self, record_id: str, format: str) -> list[TextTrack]:
        """Return the text tracks of the index whose files exist."""
        directory = self.find(format, record_id)
        return [] if directory is None else self._captions.read_tracks(directory)

    def read_track(self, record_id: str, format: str, track: TextTrack) -> bytes:
        """Return the file of a text track."""
        directory = self.find(format, record_id)
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), track.file_name)
        return (directory / track.file_name).read_bytes()

    def write_track(self, record_id: str, format: str, track: TextTrack, webvtt: bytes) -> bool:
        """Add a text track or replace the one of its kind and language; False: no files."""
        directory = self.find(format, record_id)
        if directory is None:
            return False
        self._captions.write_track(directory, track, webvtt)
        return True

    def rewrite_metadata(self, record_id: str, format: str, rewrite: Rewrite) -> None:
        """Change the metadata.xml of a format, published or not. Raises what `rewrite` does."""
        known = is_format(format) and is_record_id(record_id)
        for root in (self._published, self._unpublished) if known else ():
            path = root / format / record_id / METADATA
            with suppress(FileNotFoundError):
                content = rewrite(path.read_bytes())
                if content is not None:
                    with new_file(path, _FILE_MODE) as file:
                        file.write(content)

    def empty_trash(self, *, abandoned_s: float = ABANDONED_S) -> None:
        """Remove files that were renamed aside, and copies that a crash left behind."""
        for root in (self._published, self._unpublished):
            for path in _children(root / REMOVED):
                _delete(path)
            for path in _children(root / INCOMING):
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_ctime > abandoned_s:
                        _delete(path)


def _check(record_id: str, format: str) -> None:
    if not (is_format(format) and is_record_id(record_id)):
        raise ValueError("not a format and a recordID")


def _move(source_root: Path, target_root: Path, record_id: str, format: str) -> bool:
    if not (is_format(format) and is_record_id(record_id)):
        return False
    source, target = source_root / format / record_id, target_root / format / record_id
    if not source.is_dir():
        return target.is_dir()
    # Both exist: an interrupted move. Scalelite may have stopped during its copy or its removal, so
    # the larger one is complete; the appliance only between the two, so both are complete.
    if target.is_dir() and _size(target) > _size(source):
        _discard(source_root, source)
        return True
    _put(source, target_root, record_id, format)
    _discard(source_root, source)
    return True


def _put(source: Path, root: Path, record_id: str, format: str) -> None:
    """Make `source` the directory of a format below `root`; the present one goes to the trash."""
    target = root / format / record_id
    _make(target.parent)
    try:
        _replace(source, root, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        staged = _copy_into(root, source, f"{format}.{record_id}")
        try:
            _replace(staged, root, target)
        except OSError:
            shutil.rmtree(staged, ignore_errors=True)
            raise
    sync_directory(target.parent)


def _copy_into(root: Path, source: Path, name: str) -> Path:
    """Copy a directory to the file system of `root`, aside, and sync it."""
    staged = _aside(root, INCOMING, name)
    try:
        _copy(source, staged)
        _set_modes(staged)
        sync_file_system(staged)
    except OSError:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return staged


def _copy(source: Path, staged: Path) -> None:
    """Copy a tree. Raises OSError at the first file that fails."""
    if not has_room(staged.parent, _size(source)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        shutil.copytree(source, staged, symlinks=True, copy_function=_copy_file)
    except _NotCopiedError as error:
        raise error.reason from None
    except shutil.Error as error:
        # From directories: copytree continues after it, and it has no errno.
        raise OSError(errno.EIO, str(error.args[0][0][2])) from None


class _NotCopiedError(Exception):
    """A file could not be copied; after an OSError copytree would continue."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _copy_file(source: str, target: str) -> None:
    try:
        shutil.copy2(source, target)
        with open(target, "rb") as file:
            write_out(file.fileno())
    except OSError as error:
        raise _NotCopiedError(error) from error


def _replace(source: Path, root: Path, target: Path) -> None:
    """Rename onto a directory that may exist, which goes into the trash."""
    if replace_directory(source, target, partial(_aside, root, REMOVED, target.name)) == source:
        _discard(root, source)


def _discard(root: Path, path: Path) -> None:
    """Rename a directory, if it exists, into the trash of its root."""
    with suppress(FileNotFoundError):
        path.rename(_aside(root, REMOVED, path.name))
        sync_directory(path.parent)


def _aside(root: Path, kind: str, name: str) -> Path:
    _make(root / kind)
    return root / kind / f"{name[:150]}.{uuid.uuid4().hex}"


def _make(directory: Path) -> None:
    """Make a directory that nginx can read, regardless of the umask."""
    if not directory.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(_DIRECTORY_MODE)
        sync_directory(directory.parent)


def _formats_below(root: Path) -> list[str]:
    return [path.name for path in _children(root) if is_format(path.name)]


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def _delete(path: Path) -> None:
    """Remove a tree or a link to one; another appliance may be removing it, too."""
    with suppress(FileNotFoundError):
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path)


def _size(directory: Path) -> int:
    return sum(
        (Path(folder) / name).lstat().st_size
        for folder, _, names in os.walk(directory)
        for name in names
    )


def _set_modes(directory: Path) -> None:
    for folder, _, names in os.walk(directory):
        os.chmod(folder, _DIRECTORY_MODE)
        for name in names:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(_FILE_MODE)
