"""Watch one directory for finished files: inotify(7) by ctypes, on Trio's event loop.

Reports changes by processes of this machine, not files that another machine writes over NFS.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

# <sys/inotify.h>
_CLOSE_WRITE, _MOVED_TO, _DELETE_SELF, _MOVE_SELF = 0x8, 0x80, 0x400, 0x800
_Q_OVERFLOW, _IGNORED, _ONLYDIR = 0x4000, 0x8000, 0x01000000
_HEADER = struct.Struct("iIII")
_READ_BYTES = 64 * 1024
_LIBC = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """The events of a directory, opened by open_directory_watch."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def next_names(self) -> list[str] | None:
        """Wait for files that were closed after writing or moved in, and return their names.

        None: events were lost, so the directory must be listed.
        Raises FileNotFoundError: the directory is gone.
        """
        while True:
            await trio.lowlevel.wait_readable(self._descriptor)
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                continue
            names: list[str] = []
            for mask, name in _events(data):
                if mask & (_IGNORED | _DELETE_SELF | _MOVE_SELF):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                if mask & _Q_OVERFLOW:
                    return None
                names.append(name)
            return names


@asynccontextmanager
async def open_directory_watch(directory: Path) -> AsyncIterator[DirectoryWatch]:
    """Watch a directory without its subdirectories. Raises OSError."""
    descriptor = _checked(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    try:
        mask = _CLOSE_WRITE | _MOVED_TO | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
        _checked(_LIBC.inotify_add_watch(descriptor, os.fsencode(directory), mask))
        yield DirectoryWatch(descriptor)
    finally:
        trio.lowlevel.notify_closing(descriptor)
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _events(data: bytes) -> Iterator[tuple[int, str]]:
    at = 0
    while at < len(data):
        _, mask, _, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        yield mask, os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length
