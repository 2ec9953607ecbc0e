"""The command line of doctor."""

from __future__ import annotations

import pytest

from appliance.ctl import doctor
from tests.doubles.ctl_usage import check_command, check_refusal


def test_command_is_found_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    check_command("doctor --json", doctor.doctor, capsys)


def test_bad_usage_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal("doctor me", capsys)
