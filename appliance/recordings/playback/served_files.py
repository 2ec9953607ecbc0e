"""Opens and reads the files that are served, and none outside their directory.

Access rules are in rules.py. Everything blocks and is called in threads. An opened file
stays readable after it is renamed or removed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from appliance.http.file_response import OpenedFile
from appliance.recordings.playback.rules import NotAFile
from appliance.recordings.player.installation import PlayerDirectory
from appliance.settings.model import RecordingSettings

INDEX = "index.html"
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
_FAULTS = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE})
"""Errors that do not tell whether a file exists."""


class ServedFiles:
    """The published recordings and the files of the BBB player."""

    def __init__(self, settings: RecordingSettings) -> None:
        self._published = settings.publish_dir
        self._player = settings.playback_dir

    def open_published(
        self, format: str, record_id: str, names: Sequence[str]
    ) -> OpenedFile | NotAFile:
        """Open a file of a published recording. Raises OSError.

        `format` and `record_id` are checked names, `names` come from playback_rules.split_path.
        """
        return open_inside(self._published / format, (record_id,), names)

    def has_player(self) -> bool:
        """Whether BBB's player of the format presentation is installed."""
        return PlayerDirectory(self._player).is_installed()

    def open_player(self, names: Sequence[str]) -> OpenedFile | NotAFile:
        """Open a file of the BBB player. Raises OSError."""
        return open_inside(self._player, (), names)


def open_inside(
    root: Path, directory: Sequence[str], names: Sequence[str]
) -> OpenedFile | NotAFile:
    """Open a file whose real path is below `root`/`directory`.

    An operator may make `root` or a directory above it a symbolic link; links below must not leave
    `root`/`directory`. If the last name is '', it stands for index.html. Raises OSError.
    """
    base = os.path.join(os.path.realpath(root), *directory)
    path = os.path.join(base, *names[:-1], names[-1] or INDEX)
    try:
        real = os.path.realpath(path, strict=True)
        if not real.startswith(base + os.sep):
            return NotAFile.DIRECTORY if real == base and names[-1] else NotAFile.MISSING
        descriptor = os.open(real, _FLAGS)
    except OSError as error:
        # ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EACCES, ENXIO (a socket), …: no file to serve.
        if error.errno in _FAULTS:
            raise
        return NotAFile.MISSING
    except ValueError:  # a surrogate, which no file name can contain
        return NotAFile.MISSING
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            kept, descriptor = descriptor, -1
            return OpenedFile(kept, os.path.basename(path), found)
        if stat.S_ISDIR(found.st_mode) and names[-1]:
            return NotAFile.DIRECTORY
        return NotAFile.MISSING
    finally:
        if descriptor >= 0:
            os.close(descriptor)
