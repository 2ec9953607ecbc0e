"""Reads a tar archive that may be compressed by gzip, xz or zstd, recognized by magic number.

Memory use is bounded whatever the archive claims. The tarfile module's own streams are not used:
they do not check gzip's CRC, accept a truncated file, and unpack a whole input block at once.
zstd is in the standard library from Python 3.14 on; before that the program `zstd` is run.

Source: RFC 1952, the .xz file format, RFC 8878.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from appliance.recordings.imports.model import BrokenTar, HostileTar

MAX_HEADER_BYTES = 64 << 10
"""Per member, with its extension headers: the longest path has 4096 bytes. It also limits how deep
tarfile recurses, one level for each extension header of 512 bytes."""

_GZIP, _XZ, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_XZ_MEMORY_BYTES = 256 << 20
"""`xz -9` needs 65 MiB; a hostile header may ask for 4 GiB."""
_ZSTD_MEMORY = "256MiB"
_BUFFER_BYTES = 1 << 18
_MAX_TRAILING_BYTES = 64 << 20


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end."""


class TarStream:
    """The uncompressed archive, as the file object from which tarfile reads headers.

    tarfile reads an extension header of any size in one call and any number of them in a row, so
    everything it reads is charged to the current member. Every method raises BrokenTar if the
    archive is truncated or its compression is damaged.
    """

    def __init__(self, source: Readable, plain: BinaryIO | None = None) -> None:
        """`plain`: the archive itself, if it is not compressed and can be skipped over."""
        self._source = source
        self._plain = plain
        self._position = 0
        self._member_bytes = 0
        self.header_bytes = 0
        """Of all members so far, with padding."""

    def start_member(self) -> None:
        """Expect the headers of the next member."""
        self._member_bytes = 0

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes of headers or padding. Raises HostileTar: too many."""
        self._member_bytes += size
        self.header_bytes += size
        if self._member_bytes > MAX_HEADER_BYTES:
            raise HostileTar("the headers of a member are too large")
        parts = []
        while size > 0:
            parts.append(self.read_data(size))
            size -= len(parts[-1])
        return b"".join(parts)

    def read_data(self, size: int) -> bytes:
        """Return 1 to `size` bytes of a member's data."""
        part = self._read(size)
        if not part:
            raise BrokenTar("the archive is truncated")
        self._position += len(part)
        return part

    @property
    def can_skip(self) -> bool:
        """Return whether members can be skipped without being read."""
        return self._plain is not None

    def skip(self, size: int) -> int:
        """Skip `size` bytes of a member's data; return the offset at which they begin."""
        assert self._plain is not None
        offset = self._position
        if offset + size > os.fstat(self._plain.fileno()).st_size:
            raise BrokenTar("the archive is truncated")
        self._position = self._plain.seek(offset + size)
        return offset

    def tell(self) -> int:
        """Return the position in the uncompressed archive."""
        return self._position

    def seek(self, position: int) -> None:
        """Skip the padding up to a position. Raises HostileTar as `read`."""
        if position < self._position:
            raise BrokenTar("the sizes in the headers contradict each other")
        self.read(position - self._position)

    def finish(self, check: Callable[[], None]) -> None:
        """Read what follows the end of the archive, since compressors put their checksums last.

        `check` is called for each block. Raises BrokenTar: a checksum does not match, or too much
        data follows.
        """
        left = _MAX_TRAILING_BYTES
        while part := self._read(_BUFFER_BYTES):
            check()
            left -= len(part)
            if left < 0:
                raise BrokenTar("too much data follows the end of the archive")

    def _read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile):
            raise BrokenTar("the compressed archive is damaged or truncated") from None


@contextmanager
def open_tar_stream(source: Path | int) -> Iterator[TarStream]:
    """Open an archive by path or descriptor, which stays open.

    Raises BrokenTar (the program zstd is missing), OSError.
    """
    by_path = isinstance(source, Path)
    with open(source, "rb", buffering=_BUFFER_BYTES, closefd=by_path) as file:
        if not by_path:
            file.seek(0)
        magic = file.read(8)
        file.seek(0)
        if magic.startswith(_ZSTD):
            with _run_zstd(file) as output:
                yield TarStream(output)
        elif magic.startswith(_XZ):
            yield TarStream(io.BufferedReader(_XzReader(file), _BUFFER_BYTES))
        elif magic.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield TarStream(unpacked)
        else:
            yield TarStream(file, file)


class _XzReader(io.RawIOBase):
    """A reader like lzma.LZMAFile, which has no memory limit."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decompressor = _new_xz_decompressor()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer. Raises EOFError: the file is truncated."""
        while True:
            data = b""
            if self._decompressor.eof:  # another stream may follow
                data = self._decompressor.unused_data.lstrip(b"\0") or self._file.read(
                    _BUFFER_BYTES
                )
                if not data:
                    return 0
                self._decompressor = _new_xz_decompressor()
            elif self._decompressor.needs_input:
                data = self._file.read(_BUFFER_BYTES)
                if not data:
                    raise EOFError
            part = self._decompressor.decompress(data, len(buffer))
            if part:
                buffer[: len(part)] = part
                return len(part)


def _new_xz_decompressor() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY_BYTES)


class _Output:
    """The output of a program, whose failure is known at its end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._process = process
        self._output = process.stdout

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes. Raises EOFError: the program failed."""
        part = self._output.read(size)
        if not part and self._process.wait() != 0:
            raise EOFError
        return part


@contextmanager
def _run_zstd(file: BinaryIO) -> Iterator[Readable]:
    program = shutil.which("zstd")
    if program is None:
        raise BrokenTar("compressed by zstd, and the program zstd is not installed")
    command = [program, "-dcq", f"--memory={_ZSTD_MEMORY}"]
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # the program shares the descriptor's position
    with subprocess.Popen(
        command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            yield _Output(process)
        finally:
            process.stdout.close()
            process.kill()
