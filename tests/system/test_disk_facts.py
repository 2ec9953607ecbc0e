"""Directories as they are found: good, missing, no directory, without rights, on another disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from appliance.system.disk_facts import look_at_directory
from tests.doubles.redis_processes import short_directory

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
DEADLINE_S = 40.0


def look_as_nobody(path: Path) -> str:
    """Return the problem that somebody without rights has (root may write everywhere)."""
    program = (
        "import sys; from pathlib import Path\n"
        "from appliance.system.disk_facts import look_at_directory\n"
        "facts = look_at_directory(Path(sys.argv[1])); print(facts.problem, facts.creatable)"
    )
    # What is imported beforehand need not be readable for nobody.
    become = f"import os, {'appliance.system.disk_facts'}\nif os.geteuid() == 0:\n"
    become += f"    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    done = subprocess.run(
        [sys.executable, "-c", become + program, str(path)],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return done.stdout.strip()


def test_good_directory_is_writable_and_left_as_it_was(tmp_path: Path) -> None:
    facts = look_at_directory(tmp_path)

    assert (facts.path, facts.problem) == (str(tmp_path), "")
    assert facts.device == os.stat(tmp_path).st_dev
    assert 0 < facts.free_bytes < facts.size_bytes
    assert 0 < facts.free_inodes <= 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_or_no_directory_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")

    missing = look_at_directory(tmp_path / "a" / "b")
    assert (missing.problem, missing.creatable) == ("missing", True)
    below_file = look_at_directory(tmp_path / "file" / "b")
    assert (below_file.problem, below_file.creatable) == ("missing", False)
    assert look_at_directory(tmp_path / "file").problem == "no directory"
    assert look_at_directory(tmp_path / "link").problem == "no directory"


def test_directory_without_rights_is_found() -> None:
    with short_directory() as directory:
        directory.chmod(0o755)
        closed = directory / "closed"
        closed.mkdir(mode=0o555)

        assert look_as_nobody(closed) == "Permission denied False"
        assert look_as_nobody(directory / "closed" / "more") == "missing False"


def test_directory_that_is_only_read_is_not_written() -> None:
    assert look_at_directory(Path("/proc/self"), write=False).problem == ""
    assert look_at_directory(Path("/proc/self")).problem


def test_another_file_system_is_another_device(tmp_path: Path) -> None:
    assert look_at_directory(Path("/proc"), write=False).device != os.stat(tmp_path).st_dev
