"""A fork of ctl is like a Python of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.control import run_ctl, start_ctl


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (("servers", "--help"), {"COLUMNS": "60"}),
        (("secret", "generate", "--nothing"), {}),
        (("status",), {"CTL_SOCKET": "/nonexistent/ctl.sock"}),
        (("config", "check"), {"PORT": "high"}),
    ],
)
def test_fork_answers_as_a_python_of_its_own(
    words: tuple[str, ...], variables: dict[str, str], tmp_path: Path
) -> None:
    socket = tmp_path / "ctl.sock"

    forked = run_ctl(socket, *words, **variables)

    assert forked == start_ctl(socket, *words, **variables)
    assert forked.out or forked.err


def test_fork_reads_its_standard_input(tmp_path: Path) -> None:
    where = str(tmp_path / "backup")

    refused = run_ctl(tmp_path / "ctl.sock", "backup", where, stdin="x\n")

    assert refused == start_ctl(tmp_path / "ctl.sock", "backup", where, stdin="x\n")
    assert refused.code
