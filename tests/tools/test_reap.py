"""tools/reap.py: processes that a command leaves behind are ended, its exit code is returned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REAP = Path(__file__).resolve().parents[2] / "tools" / "reap.py"
IGNORES_SIGTERM = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
)


def run_under_reap(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script under reap.py."""
    return subprocess.run(
        [sys.executable, REAP, "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(("script", "code"), [("true", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_exit_code_is_passed_on(script: str, code: int) -> None:
    assert run_under_reap(script).returncode == code


@pytest.mark.parametrize(
    ("orphan", "last_signal"),
    [
        ("sleep 60 >/dev/null &", "SIGTERM"),
        ("setsid sleep 60 >/dev/null &", "SIGTERM"),
        # The pipe makes the script wait until the process ignores SIGTERM.
        (
            f'mkfifo $D/up; {sys.executable} -c "{IGNORES_SIGTERM}" >$D/up & read x <$D/up;',
            "SIGKILL",
        ),
    ],
    ids=["plain", "own session", "ignores SIGTERM"],
)
def test_orphan_is_ended(orphan: str, last_signal: str, tmp_path: Path) -> None:
    answer = run_under_reap(f"D={tmp_path}; {orphan} echo $!")

    assert answer.returncode == 0
    assert last_signal in answer.stderr
    assert not Path("/proc", answer.stdout.strip()).exists()
