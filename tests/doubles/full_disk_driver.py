"""A program that imports recordings onto full file systems (tmpfs).

It must run in a mount namespace of its own, so that no mount remains. Arguments: database URL,
directory. Prints `ok`, or fails.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import trio

from appliance.recordings.imports.model import ImportState
from tests.doubles.import_tools import NO_PAUSES, ImportBench, open_import_bench
from tests.doubles.recording_tars import recording_tar

MEGABYTES = 30
FORMATS = {
    "presentation": {f"{number}.svg": b"<svg/>" for number in range(20)},
    "video": {f"{number}.webm": bytes(1 << 20) for number in range(MEGABYTES)},
}


def mount(path: Path, options: str) -> None:
    """Mount or remount a tmpfs."""
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)


async def check_waits(bench: ImportBench, name: str) -> None:
    """Check that an import waits for space, leaves no files or rows, and counts no attempt."""
    assert await bench.run(name) == NO_PAUSES.disk_s
    await trio.sleep(NO_PAUSES.disk_s)
    (entry,) = await bench.journal.list_imports()
    assert (entry.state, entry.attempts) == (ImportState.WAITING, 0), entry
    assert "disk" in (entry.error or ""), entry
    assert list((bench.root / "work").iterdir()) == []
    assert not any(path.is_dir() for path in (bench.root / "published/.incoming").glob("*"))
    assert await bench.find("r1") is None


async def main(database_url: str, root: Path) -> None:
    """Import with a full work directory, full published directories, and enough space."""
    work, published = root / "work", root / "published"
    mount(work, "size=24m")
    mount(published, "size=200m,nr_inodes=30")  # enough bytes, but too few inodes
    async with open_import_bench(database_url, root) as bench:
        tar = recording_tar(root, "r1", FORMATS)
        tar.rename(root / "spool" / tar.name)
        await check_waits(bench, tar.name)
        mount(work, "remount,size=200m")
        await check_waits(bench, tar.name)
        mount(published, "remount,size=24m,nr_inodes=1000")
        await check_waits(bench, tar.name)
        mount(published, "remount,size=200m")
        assert await bench.run(tar.name) is None
        assert len(bench.tree()) == sum(map(len, FORMATS.values())) + len(FORMATS)
        assert list((root / "spool").iterdir()) == []
        found = await bench.find("r1")
        assert found is not None
        assert len(found.formats) == len(FORMATS)
    sys.stdout.write("ok\n")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], Path(sys.argv[2]))
