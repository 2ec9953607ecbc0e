"""benchmarks/api.py: its command line, and a short run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.api import parse_options
from benchmarks.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]


def test_options_are_parsed() -> None:
    options = parse_options(
        ["--connections", "8,2,8", "--scenarios", "join,index", "--rounds", "5", "--seconds", "0.5"]
    )

    assert (options.connections, options.scenarios) == ((8, 2), ("join", "index"))
    assert (options.rounds, options.seconds) == (5, 0.5)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scenarios", "nothing"],
        ["--connections", "0"],
        ["--connections", "1,x"],
        ["--seconds", "-1"],
        ["--seconds", "nan"],
        ["--rounds", "0"],
        ["--profile", "nothing"],
        ["further"],
    ],
)
def test_wrong_options_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_options(arguments)

    assert stopped.value.code == 2
    assert "usage: benchmarks/api.py" in capsys.readouterr().err


def test_quick_run_measures_every_scenario_and_writes_its_results(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "api.py", "--quick", "--output", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    [document] = [json.loads(path.read_text()) for path in tmp_path.glob("api-*.json")]
    assert [cell["scenario"] for cell in document["cells"]] == list(SCENARIOS)
    for cell in document["cells"]:
        assert cell["median"]["errors"] == 0
        assert cell["median"]["requests"] > 0
        assert cell["median"]["cpu_ms"] > 0
    assert len(list(tmp_path.glob("api-*.svg"))) == 1
    assert "logged warnings" not in done.stdout


def test_profile_explains_the_installation_of_py_spy_when_it_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "api.py", "--profile", "join"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PATH": str(tmp_path)},
    )

    assert done.returncode == 1
    assert "py-spy is needed for a profile" in done.stderr
