"""Free space, without a reserve that depends on the size of the disk."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.system.file_system import RESERVE_BYTES, RESERVE_SHARE, has_room


def test_room_ends_at_the_reserve(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    reserve = min(RESERVE_BYTES, total // RESERVE_SHARE)
    slack = 200 << 20  # other processes write to this disk, too
    assert has_room(tmp_path, free - reserve - slack)
    assert not has_room(tmp_path, free - reserve + slack)
    assert not has_room(tmp_path, total)
