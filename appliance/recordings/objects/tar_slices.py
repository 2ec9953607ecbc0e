"""Files of an import that are still inside its tar, and are uploaded from there.

Unpacked, a recording of gigabytes would be written to the disk and read back only to be uploaded.
In the work directory such a file has a place holder of its size. Where its contents are is written
beside the work directory, where nothing of a tar is unpacked to. Everything blocks.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from appliance.recordings.imports.model import SpooledTar

SUFFIX = ".in-tar"


@dataclass(frozen=True, slots=True)
class TarSlice:
    """The contents of a file in a tar."""

    tar: SpooledTar
    """Named by its path."""
    offset: int
    size: int

    def open(self) -> io.RawIOBase:
        """Open the contents. Raises OSError: the tar cannot be read, or was changed or replaced."""
        file = io.FileIO(self.tar.name)
        if SpooledTar.of(self.tar.name, os.fstat(file.fileno())) != self.tar:
            file.close()
            raise OSError(errno.ESTALE, "the tar was changed during its import", self.tar.name)
        return _SliceReader(file, self.offset, self.size)


Content = Path | TarSlice
"""The source of the bytes of an object."""


def open_content(content: Content) -> io.RawIOBase:
    """Open a file without a buffer, or a slice. Raises OSError."""
    return content.open() if isinstance(content, TarSlice) else content.open("rb", buffering=0)


def content_size(content: Content) -> int:
    """Return the bytes of a file or slice. Raises OSError."""
    return content.size if isinstance(content, TarSlice) else content.stat().st_size


def write_slices(work: Path, tar: SpooledTar, offsets: Mapping[str, int]) -> None:
    """Note where the contents of the files of a work directory are, by their paths below it."""
    document = {"tar": astuple(tar), "offsets": offsets}
    _notes(work).write_text(json.dumps(document, ensure_ascii=True))


def read_slices(directory: Path) -> dict[Path, TarSlice]:
    """Return the files of `{work}/{format}/{recordID}` whose contents are in a tar."""
    work = directory.parent.parent
    try:
        document = json.loads(_notes(work).read_text())
    except FileNotFoundError:
        return {}
    tar, slices = SpooledTar(*document["tar"]), {}
    for name, offset in document["offsets"].items():
        path = work / name
        if path.is_relative_to(directory):
            slices[path] = TarSlice(tar, offset, path.stat().st_size)
    return slices


def forget_slices(work: Path) -> None:
    """Remove the note about a work directory."""
    with suppress(FileNotFoundError):
        _notes(work).unlink()


def _notes(work: Path) -> Path:
    return work.with_name(work.name + SUFFIX)


class _SliceReader(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: io.FileIO, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes: half the time of the inherited method, which copies them."""
        left = self._size - self._position
        count = left if size < 0 else min(size, left)
        part = os.pread(self._file.fileno(), max(count, 0), self._offset + self._position)
        self._position += len(part)
        return part

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer, up to the end of the part."""
        count = min(len(buffer), self._size - self._position)
        if count <= 0:
            return 0
        where = self._offset + self._position
        found = os.preadv(self._file.fileno(), [memoryview(buffer)[:count]], where)
        self._position += found
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position in the part."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position in the part."""
        return self._position

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()
        super().close()
