"""The command line of callbacks: every command with its values, help and examples."""

from __future__ import annotations

import pytest

from appliance.core.callbacks import CallbackState
from appliance.ctl import callbacks
from appliance.ctl.arguments import build_parser
from appliance.ctl.callback_arguments import STATES


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ("callbacks", callbacks.show),
        ("callbacks list", callbacks.show),
        ("callbacks list --state failed --limit 3", callbacks.show),
        ("callbacks retry", callbacks.retry),
        ("callbacks retry 1 r2", callbacks.retry),
        ("callbacks drop 1", callbacks.drop),
    ],
)
def test_command_is_found_and_has_help(
    words: str, run: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_parser().parse_args(words.split()).run is run
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args([*words.split(), "--help"])
    assert stop.value.code == 0
    assert "usage: scalelite-appliance ctl" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", ["callbacks drop", "callbacks list --state x", "callbacks list --limit 0"]
)
def test_wrong_usage_is_refused(words: str) -> None:
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(words.split())
    assert stop.value.code == 2


def test_every_state_can_be_asked_for() -> None:
    assert tuple(CallbackState) == STATES
