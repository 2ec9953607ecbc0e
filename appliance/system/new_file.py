"""Replacing a file as a whole. Blocks; imports little, since ctl uses it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def new_file(path: str | Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block has succeeded.

    A reader sees the old or the new one, also after a crash. A link is replaced, not followed.

    Raises OSError, and then `path` is as it was; also if it is a directory, a device or a pipe.
    """
    directory = os.path.dirname(path) or "."
    with _errors_about(path):
        _check_replaceable(path)
        descriptor, temporary = tempfile.mkstemp(
            prefix=f".{os.path.basename(path)}.", suffix=".new", dir=directory
        )
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _errors_about(path):
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def _check_replaceable(path: str | Path) -> None:
    """Raise OSError if a path is something that a file must not take the place of."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):  # root could replace /dev/null
        raise OSError(errno.EINVAL, "it is not a regular file")


@contextmanager
def _errors_about(path: str | Path) -> Iterator[None]:
    """Let errors name the file that was asked for, not the temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
