"""Gives the bytes of a tar that may be compressed by gzip, xz or zstd, told apart by magic number.

Memory stays small whatever the archive claims. Truth: RFC 1952, the .xz format, RFC 8878. The
standard library reads zstd from Python 3.14 on only; before, the program `zstd` is called, and
where it is missing such a tar is refused with these words.
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

from appliance.recordings.tar_format import BrokenTar

_GZIP, _XZ, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_XZ_MEMORY_BYTES = 256 << 20
"""`xz -9` needs 65 MiB; a hostile header may ask for 4 GiB."""
_ZSTD_MEMORY = "256MiB"
_CHUNK = 1 << 18
_MAX_AFTER_END = 64 << 20


class Readable(Protocol):
    """What read(n) is asked of."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end."""


class TarStream:
    """The archive's bytes in order, without compression."""

    def __init__(self, source: Readable) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes. Raises BrokenTar: it ends before, or is not well packed."""
        parts = []
        while size > 0:
            part = self.read_some(size)
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_some(self, size: int) -> bytes:
        """Return 1 to `size` bytes. Raises BrokenTar as `read`."""
        part = self._read(size)
        if not part:
            raise BrokenTar("the archive is cut off")
        return part

    def finish(self) -> None:
        """Read what follows the archive's end: the packers' checksums come last.

        Raises BrokenTar: they do not fit, or much follows.
        """
        left = _MAX_AFTER_END
        while part := self._read(_CHUNK):
            left -= len(part)
            if left < 0:
                raise BrokenTar("much follows the archive's end")

    def _read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile):
            raise BrokenTar("the compressed archive is damaged or cut off") from None


@contextmanager
def open_tar_stream(path: Path) -> Iterator[TarStream]:
    """Open a tar. Raises BrokenTar (zstd is missing), OSError."""
    with path.open("rb", buffering=_CHUNK) as file:
        magic = file.read(8)
        file.seek(0)
        if magic.startswith(_ZSTD):
            with _run_zstd(file) as output:
                yield TarStream(output)
        elif magic.startswith(_XZ):
            yield TarStream(io.BufferedReader(_XzReader(file), _CHUNK))
        elif magic.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield TarStream(unpacked)
        else:
            yield TarStream(file)


class _XzReader(io.RawIOBase):
    """lzma.LZMAFile with a limit of memory, which that cannot be given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._new: Callable[[], lzma.LZMADecompressor] = lambda: lzma.LZMADecompressor(
            lzma.FORMAT_XZ, _XZ_MEMORY_BYTES
        )
        self._decompressor = self._new()
        self._began = False

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer. Raises EOFError: cut off."""
        while True:
            data = b""
            if self._decompressor.needs_input and not self._decompressor.eof:
                data = self._file.read(_CHUNK)
                if not data:
                    if self._began:
                        raise EOFError
                    return 0
                self._began = True
            if self._decompressor.eof:  # another stream may follow
                rest = self._decompressor.unused_data.lstrip(b"\0") or self._file.read(_CHUNK)
                if not rest:
                    return 0
                self._decompressor, data = self._new(), rest
            part = self._decompressor.decompress(data, len(buffer))
            if part:
                buffer[: len(part)] = part
                return len(part)


class _Output:
    """What a program writes; that it failed is known at the end."""

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
        raise BrokenTar("packed by zstd, and the program zstd is not installed")
    command = [program, "-dcq", f"--memory={_ZSTD_MEMORY}"]
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # the program reads where the descriptor stands
    with subprocess.Popen(
        command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            yield _Output(process)
        finally:
            process.stdout.close()
            process.kill()
