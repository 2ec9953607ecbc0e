"""Reads the headers of tar archives, and decides what in a stranger's archive is acceptable.

Not the standard library's tarfile: that takes an archive cut off between two members for a whole
one (then a recording would lose files without a word), and reads extended headers and sparse maps
of any size into memory. Truth: POSIX.1-2008 pax Interchange Format, GNU tar's manual (Basic Tar
Format), spec (recordings, importer 2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

BLOCK = 512
MAX_EXTENSION_BYTES = 1 << 20
"""Of a long name or an extended header: a path has at most 4096 bytes."""
_MAX_PATH, _MAX_PART, _MAX_DEPTH = 4096, 255, 64
_SET_UID, _SET_GID = 0o4000, 0o2000
_MAX_DIGITS = 18
_ZERO_BLOCK = bytes(BLOCK)
_OCTAL = re.compile(rb"[0-7]+")

FILE, HARD_LINK, SYMLINK, DIRECTORY = b"0", b"1", b"2", b"5"
LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL = b"L", b"K", b"x", b"g"
EXTENSIONS = (LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL)
_SAME_AS_FILE = (b"\0", b"7")


class BrokenTar(Exception):
    """Not a whole tar archive. Its text is safe to log."""


class HostileTar(Exception):
    """An archive that no BBB server makes. Its text is safe to log."""


class DiskFull(Exception):
    """The archive does not fit on the disk now. Its text is safe to log."""


class Stopped(Exception):
    """Asked to stop in the middle."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """One header. `name` and `link_name` are as the archive has them, still to be checked."""

    name: str
    kind: bytes
    mode: int
    size: int
    """Bytes of data that follow."""
    link_name: str

    @property
    def padded_size(self) -> int:
        """Return the bytes of data with their padding."""
        return -(-self.size // BLOCK) * BLOCK


def parse_header(block: bytes) -> TarMember | None:
    """Read one header block; None for the block of zeros that ends the archive.

    Raises BrokenTar.
    """
    if block == _ZERO_BLOCK:
        return None
    if len(block) != BLOCK or not _checksum_fits(block):
        raise BrokenTar("not a tar header")
    name = _string(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _string(block[345:500])):
        name = f"{prefix}/{name}"
    kind = block[156:157]
    if kind in _SAME_AS_FILE:
        # Before POSIX a directory was a file whose name ends in a slash.
        kind = DIRECTORY if name.endswith("/") else FILE
    size = _number(block[124:136])
    return TarMember(
        name=name,
        kind=kind,
        mode=_number(block[100:108]),
        size=size if kind == FILE or kind in EXTENSIONS else 0,
        link_name=_string(block[157:257]),
    )


def apply_extension(pending: dict[str, str], kind: bytes, data: bytes) -> None:
    """Note what an extension header says about the next member. Raises BrokenTar, HostileTar."""
    if kind == LONG_NAME:
        pending["path"] = _string(data)
    elif kind == LONG_LINK:
        pending["linkpath"] = _string(data)
    elif kind == PAX:
        pending.update(_pax_records(data))


def extend(member: TarMember, pending: dict[str, str]) -> TarMember:
    """Return a member with what its extension headers said. Raises BrokenTar, HostileTar."""
    if any(key.startswith("GNU.sparse") for key in pending):
        raise HostileTar("a sparse file")
    size = member.size
    if "size" in pending and member.kind == FILE:
        text = pending["size"]
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
            raise BrokenTar("a size that is no number")
        size = int(text)
    return replace(
        member,
        name=pending.get("path", member.name),
        link_name=pending.get("linkpath", member.link_name),
        size=size,
    )


def check_member(member: TarMember) -> None:
    """Raise HostileTar for a device, a pipe, an unknown type, or a set-uid bit."""
    if member.kind not in (FILE, DIRECTORY, HARD_LINK, SYMLINK):
        raise HostileTar("a member that is no file, directory or link")
    # Directories below a set-gid directory have that bit by themselves; we never set it.
    if member.mode & _SET_UID or (member.mode & _SET_GID and member.kind == FILE):
        raise HostileTar("a set-uid or set-gid bit")


def safe_parts(name: str) -> tuple[str, ...]:
    """Split a member's name into what is below the target; `.` parts are dropped.

    Raises HostileTar: absolute, `..`, too long or too deep.
    """
    if name.startswith("/"):
        raise HostileTar("an absolute name")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise HostileTar("a name with ..")
    _check_lengths(parts)
    return parts


def link_target(link: tuple[str, ...], member: TarMember) -> tuple[str, ...]:
    """Return what a link stands for, as a path below the target.

    `link` is the link's own path. A symbolic link counts from its directory, a hard link from the
    top. Raises HostileTar: it leaves the format's directory (`{format}/{recordID}`).
    """
    if member.kind == HARD_LINK:
        parts = safe_parts(member.link_name)
    else:
        parts = _resolve(link[:-1], member.link_name)
    if len(parts) < 3 or parts[:2] != link[:2]:
        raise HostileTar("a link that leaves its directory")
    return parts


def _resolve(directory: tuple[str, ...], target: str) -> tuple[str, ...]:
    if target.startswith("/"):
        raise HostileTar("a link that leaves its directory")
    parts = list(directory)
    for part in target.split("/"):
        if part == "..":
            if not parts:
                raise HostileTar("a link that leaves its directory")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    _check_lengths(tuple(parts))
    return tuple(parts)


def _check_lengths(parts: tuple[str, ...]) -> None:
    if len(parts) > _MAX_DEPTH or sum(map(len, parts)) > _MAX_PATH:
        raise HostileTar("a name that is too long")
    if any(len(part.encode("utf-8", "surrogateescape")) > _MAX_PART for part in parts):
        raise HostileTar("a name that is too long")


def _checksum_fits(block: bytes) -> bool:
    try:
        written = _number(block[148:156])
    except (BrokenTar, HostileTar):
        return False
    return written == sum(block[:148]) + sum(block[156:]) + 8 * ord(" ")


def _number(field: bytes) -> int:
    """Read a number: octal digits, or base 256 as GNU and star write large ones."""
    if field[0] == 0x80:
        number = int.from_bytes(field[1:], "big")
        if number >= 10**_MAX_DIGITS:
            raise HostileTar("a number that is too large")
        return number
    digits = field.split(b"\0")[0].strip()
    if not digits:
        return 0
    if not _OCTAL.fullmatch(digits):
        raise BrokenTar("a header field that is no number")
    return int(digits, 8)


def _string(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "surrogateescape")


def _pax_records(data: bytes) -> dict[str, str]:
    """Read `length key=value\\n` records. Raises BrokenTar."""
    records = {}
    at = 0
    while at < len(data) and data[at]:
        blank = data.find(b" ", at, at + 10)
        if blank < 0 or not data[at:blank].isdigit():
            raise BrokenTar("an extended header that cannot be read")
        end = at + int(data[at:blank])
        key, equals, value = data[blank + 1 : end - 1].partition(b"=")
        if end > len(data) or not equals or data[end - 1 : end] != b"\n":
            raise BrokenTar("an extended header that cannot be read")
        if b"\0" in value:
            raise HostileTar("a name with a zero byte")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at = end
    return records
