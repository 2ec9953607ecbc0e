"""The files of a directory that are to be stored in a bucket. Blocks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.recordings.imports.model import BrokenTar
from appliance.recordings.objects.keys import is_key
from appliance.recordings.objects.tar_slices import Content, read_slices
from appliance.recordings.storage import METADATA
from appliance.recordings.text_tracks.caption_files import INDEX


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file, and the key that it will have."""

    path: Path
    key: str
    size: int
    content: Content
    """`path`, or where its contents are in the tar of an import."""

    @property
    def is_late(self) -> bool:
        """Whether it is uploaded last, while the row of the recording is locked."""
        name = self.key.rpartition("/")[2]
        return name in (INDEX, METADATA) or name.startswith("caption_")


def local_files(source: str, prefix: str) -> list[LocalFile]:
    """Return the files below a directory, which may be a link itself.

    Raises BrokenTar: a name cannot be a key, or a link leads out of it or to a directory. A disk
    serves what is behind a link to a directory, so it must not be left out.
    """
    files, slices, root = [], read_slices(Path(source)), Path(source).resolve()
    for folder, folders, names in os.walk(source):
        for name in folders:
            if (Path(folder) / name).is_symlink():
                raise BrokenTar(f"a link to a directory cannot be stored: {name!a}")
        for name in sorted(names):
            path = Path(folder) / name
            if not path.is_file():
                continue  # a link to nothing
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise BrokenTar(f"a link leads out of the recording: {name!a}")
            key = prefix + path.relative_to(source).as_posix()
            if not is_key(key):
                raise BrokenTar(f"the name of a file cannot be that of an object: {name!a}")
            files.append(LocalFile(path, key, path.stat().st_size, slices.get(path, path)))
    return files


def new_names(source: str, prefix: str, present: Iterable[str]) -> tuple[str, ...]:
    """Return the files of a directory that have no object yet, by what follows the prefix.

    present: the keys of the objects. Raises BrokenTar.
    """
    there = set(present)
    files = local_files(source, prefix)
    return tuple(one.key.removeprefix(prefix) for one in files if one.key not in there)
