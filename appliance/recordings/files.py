"""The files of recordings: `{publish dir or unpublish dir}/{format}/{recordID}`, moved as wholes.

Holds no rule about who may see what. A reader finds a format's old files, its new ones or none,
never half of them: what is copied is copied beside its place and renamed into it. Truth: the disk.
Everything here blocks and is called in threads; two calls for one recording at a time are kept
apart by its row lock or its import's lock, not here.

Beside the formats stand `.incoming` (copies under way) and `.removed` (renamed aside, to be
emptied); no format's name has a dot.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

from appliance.recordings.caption_files import CaptionFiles
from appliance.recordings.recording import is_format, is_record_id
from appliance.settings.model import RecordingSettings
from appliance.system.file_system import exchange, has_room, write_out

INCOMING, REMOVED = ".incoming", ".removed"
ABANDONED_S = 24 * 3600.0
"""A copy whose top directory nobody touched for so long is a crash's leftover. Not less: another
appliance on the same NFS may be copying a large recording."""

_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644  # nginx reads them (spec: Playback)
_LIBC = ctypes.CDLL(None, use_errno=True)


class RecordingFiles:
    """The published and the unpublished files. Every method raises OSError."""

    def __init__(self, settings: RecordingSettings) -> None:
        self._published = settings.publish_dir
        self._unpublished = settings.unpublish_dir

    def publish(self, record_id: str, format: str) -> bool:
        """Move a format to the published ones; False: it is nowhere. Repairs a half-made move."""
        return _move(self._unpublished, self._published, record_id, format)

    def unpublish(self, record_id: str, format: str) -> bool:
        """Move a format to the unpublished ones; False: it is nowhere. Repairs a half-made move."""
        return _move(self._published, self._unpublished, record_id, format)

    def find(self, format: str, record_id: str) -> Path | None:
        """Return the directory of a format, the published one first; None: it is nowhere."""
        if not (is_format(format) and is_record_id(record_id)):
            return None
        for root in (self._published, self._unpublished):
            path = root / format / record_id
            if path.is_dir():
                return path
        return None

    def is_published(self, format: str, record_id: str) -> bool:
        """Whether a format's files stand among the published ones."""
        known = is_format(format) and is_record_id(record_id)
        return known and (self._published / format / record_id).is_dir()

    def formats(self, record_id: str) -> set[str]:
        """Return the formats that have files, published or not."""
        if not is_record_id(record_id):
            return set()
        return {
            name
            for root in (self._published, self._unpublished)
            for name in _formats_below(root)
            if (root / name / record_id).is_dir()
        }

    def stage(self, source: str, record_id: str, format: str, *, published: bool) -> str:
        """Bring a directory to the file system of where it belongs; return where it is then.

        What takes long is done here: `place`, which follows, only renames. `source` may be gone.
        """
        _check(record_id, format)
        directory = Path(source)
        root, name = self._root(published), f"{format}.{record_id}"
        _set_modes(directory)  # so that we may move it
        staged = _aside(root, INCOMING, name)
        try:
            directory.rename(staged)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            staged = _copy_into(root, directory, name)
        return str(staged)

    def unstage(self, staged: str) -> None:
        """Remove what was brought there, and is not placed after all."""
        shutil.rmtree(staged, ignore_errors=True)

    def place(self, source: str, record_id: str, format: str, *, published: bool) -> None:
        """Move a directory to where this format's files belong, instead of any that are there.

        On the same file system by one rename, else copied, synced and renamed. On the disk when it
        returns, power failure included. `source` is gone then. Captions that users have added to
        the old files are among the new ones.
        """
        _check(record_id, format)
        root, other = self._root(published), self._root(not published)
        directory = Path(source)
        for old in (other, root):
            CaptionFiles().carry_over(old / format / record_id, directory)
        _set_modes(directory)
        _sync(directory)
        _put(directory, root, record_id, format)
        _discard(other, other / format / record_id)
        shutil.rmtree(directory, ignore_errors=True)  # there only if it was copied

    def _root(self, published: bool) -> Path:
        return self._published if published else self._unpublished

    def remove(self, record_id: str) -> None:
        """Rename every copy of every format aside; `empty_trash` removes them."""
        if not is_record_id(record_id):
            return
        for root in (self._published, self._unpublished):
            for format in _formats_below(root):
                _discard(root, root / format / record_id)

    def empty_trash(self, *, abandoned_s: float = ABANDONED_S) -> None:
        """Remove what was renamed aside, and copies that a crash left behind."""
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
    # Both: a move that was cut off, by Scalelite in the middle of its copy or its removal (what is
    # larger is whole), by us between the two (both are whole).
    if target.is_dir() and _size(target) > _size(source):
        _discard(source_root, source)
        return True
    _put(source, target_root, record_id, format)
    _discard(source_root, source)
    return True


def _put(source: Path, root: Path, record_id: str, format: str) -> None:
    """Make `source` the directory of this format below `root`; the one before goes to the trash."""
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
    _sync_directory(target.parent)


def _copy_into(root: Path, source: Path, name: str) -> Path:
    """Copy a directory to the file system of `root`, aside; it is on the disk then."""
    staged = _aside(root, INCOMING, name)
    try:
        _copy(source, staged)
        _set_modes(staged)
        _sync(staged)
    except OSError:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return staged


def _copy(source: Path, staged: Path) -> None:
    """Copy a tree. Raises OSError at the first file that cannot be."""
    if not has_room(staged.parent, _size(source)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        shutil.copytree(source, staged, symlinks=True, copy_function=_copy_file)
    except _NotCopiedError as error:
        raise error.reason from None
    except shutil.Error as error:
        # Of directories; it goes on with the others and has no errno.
        raise OSError(errno.EIO, str(error.args[0][0][2])) from None


class _NotCopiedError(Exception):
    """A file could not be copied; copytree goes on after an OSError."""

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
    """Rename onto a directory that may be there: in one step where the system can exchange."""
    try:
        source.rename(target)  # onto an empty one too
        return
    except OSError as error:
        # Not a directory: somebody has moved it to another disk and left a link.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
    if exchange(source, target):
        _discard(root, source)
        return
    # NFS cannot exchange: for the moment between the two a reader finds nothing.
    old = _aside(root, REMOVED, target.name)
    target.rename(old)
    try:
        source.rename(target)
    except OSError:
        old.rename(target)
        raise


def _discard(root: Path, path: Path) -> None:
    """Rename a directory into its root's trash, if it is there."""
    with suppress(FileNotFoundError):
        path.rename(_aside(root, REMOVED, path.name))
        _sync_directory(path.parent)


def _aside(root: Path, kind: str, name: str) -> Path:
    _make(root / kind)
    return root / kind / f"{name[:150]}.{uuid.uuid4().hex}"


def _make(directory: Path) -> None:
    """Make a directory that nginx may enter, whatever our umask is."""
    if not directory.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(_DIRECTORY_MODE)
        _sync_directory(directory.parent)


def _formats_below(root: Path) -> list[str]:
    return [path.name for path in _children(root) if is_format(path.name)]


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def _delete(path: Path) -> None:
    """Remove a tree, or a link to one, that another appliance may be removing too."""
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


def _sync(directory: Path) -> None:
    """Write the whole file system out: one call for 5,000 files, not one each (syncfs(2))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(directory))
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
