"""The BBB player that is installed below PLAYBACK_DIR, and how another one takes its place.

A new one is staged beside the old one, checked, and exchanged for it in one step; until then, and
if anything fails, the old one stays. Everything blocks and is called in threads; fetching it from a
server is in source.py. Raises OSError, UnusablePlayer.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from appliance.recordings.imports.model import BrokenTar, DiskFull, HostileTar
from appliance.recordings.imports.tar import TarLimits, extract_tar
from appliance.recordings.player.files import (
    INDEX,
    MANIFEST,
    MAX_BYTES,
    MAX_FILE_BYTES,
    MAX_FILES,
    PLAYER_PATH,
    VERSION_FILE,
    PlayerBuild,
    UnusablePlayer,
    is_optional,
    is_safe_name,
    parse_manifest,
    parse_version,
)
from appliance.system.file_system import has_room, replace_directory, sync_directory

_RECORD = ".installed.json"
_STAGED = ".2.3-"
_LEFT_OVER_S = 3600.0
"""Older files were left by an installation that was killed: none takes that long."""


@dataclass(frozen=True, slots=True)
class InstalledPlayer:
    """The player that is there."""

    build: PlayerBuild = field(default_factory=PlayerBuild)
    source: str = ""
    """The server or directory that it came from; empty: it was copied there by hand."""
    installed_ms: int | None = None
    files: int = 0
    bytes: int = 0


class PlayerDirectory:
    """The directory of the player of presentation/2.3, which need not exist."""

    def __init__(self, playback_dir: Path) -> None:
        self.path = playback_dir / PLAYER_PATH

    def is_installed(self) -> bool:
        """Whether there is a player."""
        return (self.path / INDEX).is_file()

    def read(self) -> InstalledPlayer | None:
        """Return what is installed; None: nothing is."""
        try:
            modified_s = (self.path / INDEX).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None
        with suppress(OSError, ValueError, TypeError, KeyError):
            found: dict[str, Any] = json.loads((self.path / _RECORD).read_bytes())
            return InstalledPlayer(**{**found, "build": PlayerBuild(**found["build"])})
        files, size = _measure(self.path)
        build = _inspect(self.path, int(modified_s * 1000))
        return InstalledPlayer(build, files=files, bytes=size)

    def install_tar(
        self, tar: int, source: str, now_ms: int, built_ms: int | None
    ) -> InstalledPlayer:
        """Install the player that a tar contains, given as a descriptor."""
        staged = self.stage()
        try:
            extract_tar(tar, staged, TarLimits(2 * MAX_FILES, MAX_BYTES))
            for path in staged.rglob("*"):
                if not is_safe_name(path.relative_to(staged).as_posix()):
                    raise UnusablePlayer(f"a file is called {path.name!r}")
            return self.put(staged, source, now_ms, built_ms)
        except (BrokenTar, HostileTar) as error:
            raise UnusablePlayer(f"the files cannot be taken: {error}") from None
        except DiskFull:
            raise _full() from None
        finally:
            discard(staged)

    def stage(self) -> Path:
        """Make an empty directory on the player's disk, for `put`; `discard` it in the end."""
        parent = self.path.parent
        parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        for old in parent.glob(f"{_STAGED}*"):
            if time.time() - old.lstat().st_mtime > _LEFT_OVER_S:
                discard(old)
        return Path(tempfile.mkdtemp(prefix=_STAGED, dir=parent))

    def put(self, staged: Path, source: str, now_ms: int, built_ms: int | None) -> InstalledPlayer:
        """Check what was staged, and exchange it for the player that is there."""
        if not _has_index(staged):
            raise UnusablePlayer(f"there is no {INDEX}: it is not BigBlueButton's player")
        with suppress(FileNotFoundError):
            for name in parse_manifest((staged / MANIFEST).read_bytes())[0]:
                if not is_optional(name) and not (staged / name).is_file():
                    raise UnusablePlayer(f"{name} is missing, which {MANIFEST} names")
        build = replace(_inspect(staged, None), built_ms=built_ms)
        installed = InstalledPlayer(build, source, now_ms, *_measure(staged))
        (staged / _RECORD).write_text(json.dumps(asdict(installed)), encoding="utf-8")
        _seal(staged)
        _exchange(staged, self.path)
        return installed


def discard(staged: Path) -> None:
    """Remove what was staged, or the player that it has replaced; nothing may be there."""
    if staged.is_symlink():  # an operator's, in place of the directory
        staged.unlink(missing_ok=True)
    shutil.rmtree(staged, ignore_errors=True)


def check_room(staged: Path, size: int) -> None:
    """Check that a file of that size may be added."""
    if size > MAX_FILE_BYTES:
        raise UnusablePlayer(f"a file has more than {MAX_FILE_BYTES >> 20} MiB")
    if not has_room(staged, size):
        raise _full()


def _full() -> UnusablePlayer:
    return UnusablePlayer("it would fill the disk")


def _has_index(directory: Path) -> bool:
    return (directory / INDEX).is_file()


def _inspect(directory: Path, built_ms: int | None) -> PlayerBuild:
    """Return which build lies in a directory, from its files."""
    version = build = ""
    with suppress(OSError):
        version = parse_version((directory / VERSION_FILE).read_bytes()[:100])
    with suppress(OSError, UnusablePlayer):
        build = parse_manifest((directory / MANIFEST).read_bytes())[1]
    return PlayerBuild(version, build, built_ms)


def _measure(directory: Path) -> tuple[int, int]:
    """Return the number of files and their size in bytes."""
    files = [path for path in directory.rglob("*") if path.is_file() and path.name != _RECORD]
    return len(files), sum(path.stat().st_size for path in files)


def _seal(directory: Path) -> None:
    """Let a web server read everything, and write it to the disk."""
    for folder, _, names in os.walk(directory):
        for name in (*names, ""):
            path = os.path.join(folder, name) if name else folder
            os.chmod(path, 0o644 if name else 0o755)
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _exchange(staged: Path, target: Path) -> None:
    """Put a directory where another one may be, and remove that one."""
    old = replace_directory(staged, target, lambda: target.parent / f"{_STAGED}{uuid.uuid4().hex}")
    if old is not None:
        discard(old)
    sync_directory(target.parent)
