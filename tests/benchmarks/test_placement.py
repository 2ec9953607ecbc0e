"""benchmarks/placement.py: its command line, and a short run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.simulation.replay import Outcome
from benchmarks.placement import Task, parse_options, render_goal, summarise

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "arguments", [["--traces", "x"], ["--seeds", "0"], ["--script", "/nonexistent"], ["further"]]
)
def test_wrong_options_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_options(arguments)

    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("peak", "verdict"), [(105.0, "reached"), (112.0, "above"), (120.0, "FAR ABOVE")]
)
def test_goal_is_judged_against_the_oracle(peak: float, verdict: str) -> None:
    outcomes = [
        Outcome("steady", rule, load, 90.0, 0, 0.0, ((8.0, load),))
        for rule, load in (("oracle", 100.0), ("product", peak))
    ]

    rows = summarise({Task("steady", 1, False, False, ""): outcomes})

    assert render_goal(rows).endswith(verdict)


def test_run_writes_table_json_and_picture(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/placement.py", "--quick", "--traces", "timetable"),
            *("--output", tmp_path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "timetable" in done.stdout
    (figures,) = tmp_path.glob("placement-*.json")
    rules = {row["rule"] for row in json.loads(figures.read_text())["rows"]}
    assert {"oracle", "product", "product, no forecast", "Scalelite"} <= rules
    (picture,) = tmp_path.glob("placement-*.svg")
    assert picture.read_text().startswith("<svg")
