"""Unpacks the tar of a recording into a directory of its own, and nothing anywhere else.

Only directories and regular files ever come to be: a link becomes a second name of the file that
it stands for, made after everything else, so that no later member can be written through it.
Which members are acceptable is decided in tar_format.py. Blocks; called in threads.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.recordings.tar_format import (
    BLOCK,
    DIRECTORY,
    EXTENSIONS,
    FILE,
    MAX_EXTENSION_BYTES,
    BrokenTar,
    DiskFull,
    HostileTar,
    Stopped,
    TarMember,
    apply_extension,
    check_member,
    extend,
    link_target,
    parse_header,
    safe_parts,
)
from appliance.recordings.tar_stream import TarStream, open_tar_stream
from appliance.system.file_system import has_room, write_out

_CHUNK = 1 << 20
_LOOK_AT_DISK_EVERY = 64 << 20
_WRITE_OUT_EVERY = 8 << 20
_MAX_LINK_HOPS = 8
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLASHES = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TarLimits:
    """What an archive may be at most."""

    max_members: int
    max_bytes: int
    """Of all files together, unpacked."""


def extract_tar(
    source: Path,
    target: Path,
    limits: TarLimits,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> int:
    """Unpack a tar into a directory that exists and is empty; return the bytes of its files.

    `stop` is asked every megabyte, `progress` is told the bytes written since. What was unpacked
    before an error stays in the directory.
    Raises HostileTar, BrokenTar, DiskFull, Stopped, OSError.
    """
    try:
        with open_tar_stream(source) as stream:
            return _Extraction(stream, target, limits, stop, progress).run()
    except OSError as error:
        raise _translate(error) from error


def _translate(error: OSError) -> Exception:
    if error.errno in _FULL:
        return DiskFull("the disk is full")
    if error.errno in _CLASHES:
        return HostileTar("two members that exclude each other")
    return error


class _Extraction:
    """One archive on its way."""

    def __init__(
        self,
        stream: TarStream,
        target: Path,
        limits: TarLimits,
        stop: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> None:
        self._stream = stream
        self._target = target
        self._limits = limits
        self._stop = stop
        self._progress = progress
        self._members = 0
        self._bytes = 0
        self._unlooked_bytes = _LOOK_AT_DISK_EVERY
        self._unwritten_bytes = 0
        self._links: dict[Parts, TarMember] = {}

    def run(self) -> int:
        """Unpack everything, links last."""
        pending: dict[str, str] = {}
        while (header := parse_header(self._stream.read(BLOCK))) is not None:
            self._members += 1
            if self._members > self._limits.max_members:
                raise HostileTar("too many members")
            if header.kind in EXTENSIONS:
                apply_extension(pending, header.kind, self._extension(header))
                continue
            self._unpack(extend(header, pending))
            pending = {}
        self._stream.finish()
        for path in self._links:
            self._link(path)
        return self._bytes

    def _extension(self, header: TarMember) -> bytes:
        if header.size > MAX_EXTENSION_BYTES:
            raise HostileTar("an extended header that is too large")
        return self._stream.read(header.padded_size)[: header.size]

    def _unpack(self, member: TarMember) -> None:
        check_member(member)
        parts = safe_parts(member.name)
        if member.kind == DIRECTORY:
            self._target.joinpath(*parts).mkdir(parents=True, exist_ok=True)
            return
        if not parts:
            raise HostileTar("a file without a name")
        # A later member of the same name stands for the earlier one (tar --append).
        self._links.pop(parts, None)
        if member.kind == FILE:
            self._write(self._target.joinpath(*parts), member)
        else:
            link_target(parts, member)
            self._links[parts] = member

    def _write(self, path: Path, member: TarMember) -> None:
        self._account(member.size)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        left = member.size
        with open(os.open(path, flags, 0o644), "wb", buffering=0) as file:
            while left:
                if self._stop():
                    raise Stopped
                chunk = self._stream.read_some(min(left, _CHUNK))
                left -= len(chunk)
                _write_all(file, chunk)
                self._progress(len(chunk))
                self._unwritten_bytes += len(chunk)
                if self._unwritten_bytes >= _WRITE_OUT_EVERY or not left:
                    self._unwritten_bytes = 0
                    write_out(file.fileno())
        if padding := member.padded_size - member.size:
            self._stream.read(padding)

    def _account(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.max_bytes:
            raise HostileTar("more bytes than allowed")
        self._unlooked_bytes += size
        if self._unlooked_bytes >= _LOOK_AT_DISK_EVERY:
            self._unlooked_bytes = 0
            if not has_room(self._target, size):
                raise DiskFull("the archive would fill the disk")

    def _link(self, path: Parts) -> None:
        """Give a file its second name. A name that a file has taken since stays the file's."""
        target = path
        for _ in range(_MAX_LINK_HOPS):
            target = link_target(target, self._links[target])
            if target not in self._links:
                break
        else:
            raise HostileTar("links that go round")
        real, name = self._target.joinpath(*target), self._target.joinpath(*path)
        if not real.is_file():
            raise BrokenTar("a link to a file that is not in the archive")
        # Copied to another disk each name is a file of its own.
        self._account(real.stat().st_size)
        name.parent.mkdir(parents=True, exist_ok=True)
        name.unlink(missing_ok=True)
        os.link(real, name)


def _write_all(file: object, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]  # type: ignore[attr-defined]
