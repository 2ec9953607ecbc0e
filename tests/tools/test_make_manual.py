"""`tools/make_manual.py DIR` writes three files, with nothing installed, the same each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 20.0


def run_tool(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    # -S: without the packages of the virtual environment, as a package build has it.
    return subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "tools/make_manual.py"), *words],
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        cwd="/",
    )


def test_files_are_written_alike_each_time_and_dated_as_the_build_says(tmp_path: Path) -> None:
    first = run_tool(str(tmp_path / "a" / "b"), SOURCE_DATE_EPOCH="86400")
    second = run_tool(str(tmp_path / "c"), SOURCE_DATE_EPOCH="86400")

    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert second.returncode == 0
    files = {path.name: path.read_text() for path in (tmp_path / "a" / "b").iterdir()}
    assert set(files) == {
        *("scalelite-appliance.8", "scalelite-appliance.bash", "_scalelite-appliance"),
    }
    assert files == {path.name: path.read_text() for path in (tmp_path / "c").iterdir()}
    assert '8 "1970\\-01\\-02"' in files["scalelite-appliance.8"]


def test_wrong_usage_is_exit_code_2() -> None:
    done = run_tool()

    assert done.returncode == 2
    assert "usage" in done.stderr
