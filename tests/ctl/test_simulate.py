"""`simulate`, without a running appliance."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def simulate(
    *arguments: str, top: tuple[str, ...] = ("simulate",)
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance", *top, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "CTL_SOCKET": "/nonexistent/ctl.sock"},
    )


def test_timetable_is_replayed_and_drawn(tmp_path: Path) -> None:
    table, picture = tmp_path / "t.csv", tmp_path / "p.svg"
    table.write_text("start,users,minutes,count\n08:00,12,30,8\n")

    done = simulate(
        str(table), "--multipliers", "1,0.5", "--capacity", "90", "--picture", str(picture)
    )

    assert done.stderr == ""
    assert done.returncode == 0
    assert "8 classes, " in done.stdout
    assert "on 2 servers (multipliers 1, 0.5)" in done.stdout
    assert "With 90 users each, 2 servers are enough" in done.stdout
    assert str(picture) in done.stdout
    assert picture.read_text().startswith("<svg")


def test_simulation_is_a_command_of_ctl_and_prints_json(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("start,users,minutes\n08:00,12,30\n")

    done = simulate(str(table), "--servers", "2", "--json", top=("ctl", "simulate"))

    assert json.loads(done.stdout)["servers"] == 2


def test_weights_are_compared_with_users_alone(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("start,users,minutes,cameras\n08:00,20,30,20\n08:00,20,30,0\n")
    weights = ("--per-video", "4", "--per-meeting", "1.5")

    done = simulate(str(table), "--servers", "2", "--capacity", "500", *weights)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^appliance, users only +\d+", done.stdout, re.MULTILINE)
    assert "highest load of a server (weighted load x multiplier)" in done.stdout
    assert "must carry a load of" in done.stdout
    for bad in ("-1", "nan", "inf", "x"):
        refused = simulate("--per-user", bad)
        assert (refused.returncode, "is not a number from 0" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "No such file"), ("start,users\n8,1\n", "line 2: start must be HH:MM")],
)
def test_unusable_file_is_one_line_and_exit_code_1(
    tmp_path: Path, text: str | None, says: str
) -> None:
    table = tmp_path / "t.csv"
    if text is not None:
        table.write_text(text)

    done = simulate(str(table))

    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "--servers 0",
        "--servers x",
        "--multipliers 1,-1",
        "--capacity 0",
        "--known 2",
        "--servers 2 --multipliers 1,1",
    ],
)
def test_invalid_options_are_wrong_usage(arguments: str) -> None:
    assert simulate(*arguments.split()).returncode == 2


def test_history_needs_the_running_appliance() -> None:
    done = simulate("--from-history")

    assert done.returncode == 3
    assert "not running" in done.stderr
