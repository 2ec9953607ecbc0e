"""benchmarks/large: scenarios are found, measured and rendered."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.large.__main__ import run_scenario
from benchmarks.large.noise import Noise
from benchmarks.large.scenario import Figure, Scenario, Setting, find_scenarios
from benchmarks.large.table import Result, as_json, render_markdown

ROOT = Path(__file__).resolve().parents[2]


def measured(setting: Setting) -> Iterator[Figure]:
    assert setting.directory.is_dir()
    yield Figure("size", 0.5, "MB", 1.0)
    yield Figure("time", float(setting.sized(2_000, 120)), "ms", 20.0)


def failing(_setting: Setting) -> Iterator[Figure]:
    yield Figure("size", 1.0, "MB")
    raise ValueError("no server")


def test_scenarios_are_found_by_name() -> None:
    assert {"metrics", "status"} <= find_scenarios().keys()


def test_scenario_yields_figures_and_the_noise_meanwhile() -> None:
    result = run_scenario(Scenario("one", "One", measured), quick=True)

    assert [figure.value for figure in result.figures] == [0.5, 120.0]
    assert not result.failure
    assert 0 <= result.noise.foreign_cores < 1000
    assert result.noise.late_p99_ms <= result.noise.late_worst_ms


def test_failing_scenario_keeps_its_figures() -> None:
    result = run_scenario(Scenario("two", "Two", failing), quick=True)

    assert [figure.what for figure in result.figures] == ["size"]
    assert result.failure == "ValueError: no server"


def test_table_says_what_was_reached_and_how_noisy_the_machine_was() -> None:
    figures = (Figure("size", 0.5, "MB", 1.0), Figure("time", 1234.5, "ms", 20.0))
    result = Result("one", "One", figures, Noise(0.5, 3.0, 12.0), 61.0, "broke")

    lines = render_markdown([result]).splitlines()

    assert lines[2:4] == [
        "| One | size | 0.50 MB | ≤ 1 MB | yes |",
        "|  | time | 1,234 ms | ≤ 20 ms | no |",
    ]
    assert "0.50 cores, a busy machine" in lines[5]
    assert "FAILED: broke" in lines[5]
    assert [each["reached"] for each in as_json([result])[0]["figures"]] == [True, False]


def test_unknown_scenario_is_refused_and_the_known_ones_are_listed() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "benchmarks.large", *words]
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )

    assert "not known: nothing" in run("--only", "nothing").stderr
    assert "metrics" in run("--list").stdout


def test_results_are_json(tmp_path: Path) -> None:
    result = run_scenario(Scenario("one", "One", measured), quick=True)

    (tmp_path / "file").write_text(json.dumps(as_json([result])))

    assert json.loads((tmp_path / "file").read_text())[0]["name"] == "one"
