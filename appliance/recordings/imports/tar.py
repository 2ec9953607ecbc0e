"""Unpacks the tar archive of a recording into a directory, and writes nothing outside it.

tarfile parses the headers; what is accepted and what is written is decided here. Only directories
and regular files are created: a link becomes a second name of its target after all other members,
so no member can be written through it. Owner, mode and times are not taken from the archive.
Blocks; called in threads.

Source: POSIX.1-2024 pax (ustar and pax interchange formats), GNU tar manual, PEP 706.
"""

from __future__ import annotations

import errno
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any

from appliance.recordings.imports.model import BrokenTar, DiskFull, HostileTar, Stopped
from appliance.recordings.imports.tar_stream import TarStream, open_tar_stream
from appliance.system.file_system import has_room, start_write_out, write_out

_CHUNK_BYTES = 1 << 20
_CHECK_DISK_EVERY_BYTES = 64 << 20
_WRITE_OUT_EVERY_BYTES = 8 << 20
_SMALL_BYTES = 256 << 10
_READ_HERE = (".xml", ".json", ".vtt")
"""Ends of the names of files that an import itself reads."""
_INODE_BYTES = 4096
"""Estimated disk space of a directory or an empty file."""
_MAX_MEAN_HEADER_BYTES = 4096
"""Per allowed member, so that headers that compress well cannot keep an import busy."""
_MAX_LINKS_BYTES = 16 << 20
"""Of the names and targets of links, which are kept in memory to the end."""
_MAX_LINK_HOPS = 8
_MAX_PATH_BYTES, _MAX_PART_BYTES, _MAX_DEPTH = 4096, 255, 64
_SET_UID, _SET_GID = 0o4000, 0o2000
_KEPT_GLOBALS = ("path", "linkpath", "size")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CONFLICTS = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TarLimits:
    """Limits of one archive."""

    max_members: int
    """Including the directories that names imply."""
    max_bytes: int
    """Of all headers and files, unpacked."""


def extract_tar(
    source: Path | int,
    target: Path,
    limits: TarLimits,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _bytes: None,
    inside: dict[str, int] | None = None,
) -> int:
    """Unpack an archive into a directory that exists and is empty; return the bytes of its files.

    source: a path, or the descriptor of an open file.
    `stop` is asked for every member and every megabyte, `progress` gets the number of bytes written
    since the last call. `inside`: the files are read soon and then removed, so that they stay in
    memory, and members of an archive that is not compressed are not unpacked, but for those that an
    import reads: their offsets are added by their paths, and in their places are files of their
    sizes without contents. After an error, what was unpacked before stays in the directory.
    Raises HostileTar, BrokenTar, DiskFull, Stopped, OSError.
    """
    try:
        with open_tar_stream(source) as stream:
            return _Extraction(stream, target, limits, stop, progress, inside).run()
    except OSError as error:
        raise _translate(error) from error


def _translate(error: OSError) -> Exception:
    if error.errno in _FULL:
        return DiskFull("the disk is full")
    if error.errno in _CONFLICTS:
        return HostileTar("two members exclude each other")
    return error


class _Header(tarfile.TarInfo):
    """A header; a broken one is an error, where tarfile takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        """Read the next header. Raises BrokenTar, HostileTar, EOFHeaderError: a block of zeros."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except (tarfile.HeaderError, ValueError, OverflowError):
            raise BrokenTar("not a tar header") from None


def _read_members(stream: TarStream) -> Iterator[tarfile.TarInfo]:
    """Yield the members; the caller reads the data of each from the stream."""
    stream.start_member()
    # Not tarfile.open: its streams read ahead, so headers could not be told from data.
    source: Any = stream
    archive: Any = tarfile.TarFile(fileobj=source, tarinfo=_Header, encoding="utf-8")
    while (member := archive.next()) is not None:
        archive.members.clear()
        archive.pax_headers = {
            key: archive.pax_headers[key] for key in _KEPT_GLOBALS if key in archive.pax_headers
        }
        yield member
        stream.start_member()


def check_member(member: tarfile.TarInfo, target: str) -> Parts:
    """Return the path of a member below the target directory.

    Raises HostileTar: a device, a sparse file, a set-uid bit, an unsafe name, a link that leaves
    its recording; BrokenTar: a size that is not a number.
    """
    if member.sparse is not None or any(key.startswith("GNU.sparse") for key in member.pax_headers):
        raise HostileTar("a sparse file")
    # tarfile takes a size that is not a number for 0, and one in a global header unchecked.
    size = str(member.size)
    if member.isreg() and (member.size < 0 or member.pax_headers.get("size", size) != size):
        raise BrokenTar("a size that is not a number")
    # Directories below a set-gid directory get that bit by themselves; it is never set here.
    if member.mode & _SET_UID or (member.mode & _SET_GID and member.isreg()):
        raise HostileTar("a set-uid or set-gid bit")
    parts = safe_parts(member.name)
    if not parts and not member.isdir():
        raise HostileTar("a file without a name")
    if member.issym() or member.islnk():
        link_target(parts, member.linkname, hard=member.islnk())
    # A second check, of the names as the file system resolves them; about 0.1 ms a member.
    try:
        tarfile.data_filter(member, target)
    except tarfile.FilterError:
        raise HostileTar("a member that is neither a file, a directory nor a link") from None
    return parts


def safe_parts(name: str) -> Parts:
    """Split the name of a member into its parts; `.` and empty parts are dropped.

    Raises HostileTar: absolute, with `..` or a zero byte, too long or too deep.
    """
    if name.startswith("/"):
        raise HostileTar("an absolute name")
    parts = _split(name)
    if ".." in parts:
        raise HostileTar("a name with ..")
    return parts


def link_target(link: Parts, target: str, *, hard: bool) -> Parts:
    """Return the path below the target directory that a link refers to.

    The target of a symbolic link is relative to the link's directory, that of a hard link to the
    top. Raises HostileTar: it leaves the directory of the format (`{format}/{recordID}`).
    """
    if target.startswith("/"):
        raise HostileTar("a link that leaves its recording")
    parts: list[str] = [] if hard else list(link[:-1])
    for part in _split(target):
        if part != "..":
            parts.append(part)
        elif hard or not parts:
            raise HostileTar("a link that leaves its recording")
        else:
            parts.pop()
    if len(parts) < 3 or tuple(parts[:2]) != link[:2]:
        raise HostileTar("a link that leaves its recording")
    return tuple(parts)


def _split(name: str) -> Parts:
    if "\0" in name:
        raise HostileTar("a name with a zero byte")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    path = name.encode("utf-8", "surrogateescape")
    if len(path) > _MAX_PATH_BYTES or len(parts) > _MAX_DEPTH:
        raise HostileTar("a name that is too long")
    if any(len(part) > _MAX_PART_BYTES for part in path.split(b"/")):
        raise HostileTar("a name that is too long")
    return parts


class _Extraction:
    """The state of unpacking one archive."""

    def __init__(
        self,
        stream: TarStream,
        target: Path,
        limits: TarLimits,
        stop: Callable[[], bool],
        progress: Callable[[int], None],
        inside: dict[str, int] | None,
    ) -> None:
        self._stream = stream
        self._target = str(target)
        self._limits = limits
        self._stop = stop
        self._progress = progress
        self._read_soon, self._inside = inside is not None, {} if inside is None else inside
        self._members = 0
        self._bytes = 0
        self._unchecked_bytes = _CHECK_DISK_EVERY_BYTES
        self._unwritten_bytes = 0
        self._parent: Parts = ()
        """A directory that exists."""
        self._links: dict[str, str] = {}
        """Targets by name, both as paths below the target directory."""
        self._links_bytes = 0

    def run(self) -> int:
        """Unpack everything, links last."""
        for member in _read_members(self._stream):
            self._check_stop()
            parts = check_member(member, self._target)
            size = member.size if member.isreg() else 0
            inside = self._stays_inside(member)
            self._account(size, written=0 if inside else size)
            self._unpack(member, parts, inside)
        self._stream.finish(self._check_stop)
        for name in self._links:
            self._check_stop()
            self._link(name)
        return self._bytes

    def _check_stop(self) -> None:
        if self._stop():
            raise Stopped

    def _stays_inside(self, member: tarfile.TarInfo) -> bool:
        return (
            self._read_soon
            and self._stream.can_skip
            and member.isreg()
            and member.size > 0
            and not member.name.lower().endswith(_READ_HERE)
        )

    def _account(self, size: int, *, written: int | None = None, members: int = 1) -> None:
        """Count a member. Raises HostileTar: over a limit; DiskFull: it would fill the disk."""
        written = size if written is None else written
        self._members += members
        self._bytes += size
        header_bytes = self._stream.header_bytes
        if self._members > self._limits.max_members:
            raise HostileTar(f"more than {self._limits.max_members} files and directories")
        if self._bytes + header_bytes > self._limits.max_bytes:
            raise HostileTar(f"more than {self._limits.max_bytes} bytes")
        if header_bytes > self._limits.max_members * _MAX_MEAN_HEADER_BYTES:
            raise HostileTar("the headers are too large")
        self._unchecked_bytes += written + _INODE_BYTES
        if self._unchecked_bytes >= _CHECK_DISK_EVERY_BYTES:
            self._unchecked_bytes = 0
            if not has_room(Path(self._target), written):
                raise DiskFull("the archive would fill the disk")

    def _unpack(self, member: tarfile.TarInfo, parts: Parts, inside: bool) -> None:
        """Unpack a member, or leave its contents inside the archive."""
        name = "/".join(parts)
        if member.isdir():
            self._make_parent(parts)
            if not os.path.isdir(self._path(name)):
                os.mkdir(self._path(name))
            return
        # A later member replaces an earlier one of the same name (tar --append).
        self._links.pop(name, None)
        self._inside.pop(name, None)
        if member.isreg():
            self._make_parent(parts)
            if inside:
                self._inside[name] = self._stream.skip(member.size)
                with open(_create(self._path(name)), "wb") as file:
                    file.truncate(member.size)
            else:
                self._write(self._path(name), member.size)
        else:
            target = "/".join(link_target(parts, member.linkname, hard=member.islnk()))
            self._links_bytes += len(name) + len(target)
            if self._links_bytes > _MAX_LINKS_BYTES:
                raise HostileTar("too many links")
            self._links[name] = target

    def _path(self, name: str) -> str:
        return f"{self._target}/{name}"

    def _make_parent(self, parts: Parts) -> None:
        """Make the directories that the name of a member implies; each is counted."""
        parent = parts[:-1]
        if not parent or parent == self._parent:
            return
        path = self._path("/".join(parent))
        if not os.path.isdir(path):
            self._make_parent(parent)
            self._account(0)
            os.mkdir(path)
        self._parent = parent

    def _write(self, path: str, left: int) -> None:
        transient = self._read_soon and left <= _SMALL_BYTES
        write = start_write_out if self._read_soon else write_out
        with open(_create(path), "wb", buffering=0) as file:
            while left:
                self._check_stop()
                chunk = self._stream.read_data(min(left, _CHUNK_BYTES))
                left -= len(chunk)
                _write_all(file, chunk)
                self._progress(len(chunk))
                self._unwritten_bytes += len(chunk)
                if not transient and (self._unwritten_bytes >= _WRITE_OUT_EVERY_BYTES or not left):
                    self._unwritten_bytes = 0
                    write(file.fileno())

    def _link(self, name: str) -> None:
        """Give a file its second name."""
        target = name
        for _ in range(_MAX_LINK_HOPS):
            target = self._links[target]
            if target not in self._links:
                break
        else:
            raise HostileTar("a loop of links")
        if target in self._inside:
            self._inside[name] = self._inside[target]
        real, path = self._path(target), self._path(name)
        if not os.path.isfile(real):
            raise BrokenTar("a link to a file that is not in the archive")
        # Copied to another file system, each name becomes a file of its own.
        self._account(os.stat(real).st_size, members=0)
        self._make_parent(tuple(name.split("/")))
        with suppress(FileNotFoundError):
            os.unlink(path)
        os.link(real, path)


def _create(path: str) -> int:
    """Create a file, instead of any of the same name, and return its descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except FileExistsError:
        os.unlink(path)
        return os.open(path, flags, 0o644)


def _write_all(file: RawIOBase, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) or 0 :]
