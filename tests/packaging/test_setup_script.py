"""The script that generates the secrets of the package, run on a directory of the test."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "packaging/deb/libexec/setup"
NAMES = ("LOADBALANCER_SECRET", "ADMIN_SECRET", "SECRET_KEY_BASE")


def run_setup(directory: Path, mktemp: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script in `directory`; `mktemp` stands in for the program of that name."""
    script = SCRIPT.read_text().replace("cd /etc/scalelite-appliance", f"cd {directory}")
    if mktemp:
        script = script.replace("$(mktemp ", f"$({mktemp} ")
    return subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, timeout=20, check=False
    )


def secrets_of(directory: Path) -> dict[str, str]:
    lines = (directory / "secrets.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_missing_secrets_are_generated_and_existing_ones_kept(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("ADMIN_SECRET=mine")

    done = run_setup(tmp_path)

    assert done.returncode == 0, done.stderr
    found = secrets_of(tmp_path)
    assert sorted(found) == sorted(NAMES)
    assert found["ADMIN_SECRET"] == "mine"
    assert {len(found[name]) for name in NAMES if name != "ADMIN_SECRET"} == {64}
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_when_every_secret_exists(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("".join(f"{name}=x\n" for name in NAMES))
    before = (tmp_path / "secrets.env").stat()

    # On a full disk no temporary file can be made.
    done = run_setup(tmp_path, mktemp="false")

    assert (done.returncode, done.stdout) == (0, "")
    after = (tmp_path / "secrets.env").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_failure_leaves_the_secrets_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("ADMIN_SECRET=mine\n")

    assert run_setup(tmp_path, mktemp="false").returncode != 0

    assert secrets_of(tmp_path) == {"ADMIN_SECRET": "mine"}
