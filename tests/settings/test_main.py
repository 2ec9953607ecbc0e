"""The command that prints the generated files."""

from __future__ import annotations

import pytest

from appliance.settings.__main__ import main
from appliance.settings.reference import render_reference, render_sample


def test_file_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample"]) == 0
    assert capsys.readouterr().out == render_sample()
    assert main(["reference"]) == 0
    assert capsys.readouterr().out == render_reference()


@pytest.mark.parametrize("arguments", [[], ["other"], ["sample", "reference"]])
def test_wrong_usage_is_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: ")
