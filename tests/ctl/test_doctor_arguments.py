"""The command line of doctor."""

from __future__ import annotations

import pytest

from appliance.ctl import doctor
from appliance.ctl.arguments import build_parser


def test_command_is_found() -> None:
    assert build_parser().parse_args(["doctor", "--json"]).run is doctor.doctor


def test_bad_usage_is_exit_code_2() -> None:
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(["doctor", "me"])

    assert stop.value.code == 2
