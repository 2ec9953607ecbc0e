"""Whether there is room on a disk, with something left for whoever shares it. Blocks."""

from __future__ import annotations

import os
from pathlib import Path

RESERVE_BYTES = 256 << 20
"""So much stays free: the database and the log may be on the same disk."""
RESERVE_SHARE = 20
"""On a small disk only this part of it: a twentieth."""


def has_room(directory: Path, size: int) -> bool:
    """Whether a file system has room for so many bytes more, and the reserve. Raises OSError."""
    disk = os.statvfs(directory)
    reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_SHARE)
    return disk.f_bavail * disk.f_frsize - size >= reserve
