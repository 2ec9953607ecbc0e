"""The command line of callbacks: every command with its values, help and examples."""

from __future__ import annotations

import pytest

from appliance.callbacks.rules import CallbackState
from appliance.ctl import callbacks
from appliance.ctl.callback_arguments import STATES
from tests.doubles.ctl_usage import check_command, check_refusal


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
    check_command(words, run, capsys)


@pytest.mark.parametrize(
    "words", ["callbacks drop", "callbacks list --state x", "callbacks list --limit 0"]
)
def test_bad_usage_is_one_line_and_exit_code_2(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(words, capsys)


def test_every_state_can_be_asked_for() -> None:
    assert tuple(CallbackState) == STATES
