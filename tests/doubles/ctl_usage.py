"""Checks of ctl's command line."""

from __future__ import annotations

import pytest

from appliance.ctl.arguments import build_parser


def check_command(words: str, run: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that a command runs a function and has help."""
    assert build_parser().parse_args(words.split()).run is run

    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args([*words.split(), "--help"])
    assert stop.value.code == 0
    assert "usage: scalelite-appliance ctl" in capsys.readouterr().out


def check_refusal(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that a command line is refused with one line and exit code 2."""
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(words.split())

    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
