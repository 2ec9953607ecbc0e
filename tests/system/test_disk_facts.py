"""Directories: good, missing, not a directory, without permission, on another disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from appliance.system.disk_facts import MISSING, NOT_A_DIRECTORY, inspect_directory
from tests.doubles.redis_processes import short_directory

ROOT = Path(__file__).resolve().parents[2]
UNPRIVILEGED = 65534
DEADLINE_S = 40.0

PROGRAM = f"""
import os, sys
from pathlib import Path

from appliance.system.disk_facts import inspect_directory

if os.geteuid() == 0:  # root may write everywhere
    os.setgroups([])
    os.setgid({UNPRIVILEGED})
    os.setuid({UNPRIVILEGED})
facts = inspect_directory(Path(sys.argv[1]))
print(facts.problem, facts.creatable)
"""


def inspect_unprivileged(path: Path) -> str:
    """Return the problem and whether the path is creatable, as seen without root's permissions."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return done.stdout.strip()


def test_good_directory_is_writable_and_not_changed(tmp_path: Path) -> None:
    facts = inspect_directory(tmp_path)

    assert (facts.path, facts.problem) == (str(tmp_path), "")
    assert facts.device == os.stat(tmp_path).st_dev
    assert 0 < facts.free_bytes < facts.size_bytes
    assert 0 < facts.free_inodes <= 1
    assert list(tmp_path.iterdir()) == []


def test_missing_path_is_distinguished_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")

    missing = inspect_directory(tmp_path / "a" / "b")
    assert (missing.problem, missing.creatable) == (MISSING, True)
    below_file = inspect_directory(tmp_path / "file" / "b")
    assert (below_file.problem, below_file.creatable) == (MISSING, False)
    assert inspect_directory(tmp_path / "file").problem == NOT_A_DIRECTORY
    assert inspect_directory(tmp_path / "link").problem == NOT_A_DIRECTORY


def test_directory_without_permission_is_reported() -> None:
    with short_directory() as directory:
        directory.chmod(0o755)
        closed = directory / "closed"
        closed.mkdir(mode=0o555)

        assert inspect_unprivileged(closed) == "Permission denied False"
        assert inspect_unprivileged(directory / "closed" / "more") == "missing False"


def test_directory_is_not_written_when_only_read() -> None:
    assert inspect_directory(Path("/proc/self"), write=False).problem == ""
    assert inspect_directory(Path("/proc/self")).problem


def test_other_file_system_has_another_device(tmp_path: Path) -> None:
    assert inspect_directory(Path("/proc"), write=False).device != os.stat(tmp_path).st_dev
