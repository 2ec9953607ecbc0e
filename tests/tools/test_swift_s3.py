"""The Swift of `make test-s3`, where it is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_missing_swift_is_said_and_is_no_failure_of_tests(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/swift_s3.py", "true"],
        env={"PATH": str(tmp_path), "TMPDIR": os.environ.get("TMPDIR", "/tmp")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 75
    assert "Swift cannot be started" in done.stderr
