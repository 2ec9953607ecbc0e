"""The committed sample and reference are up to date and valid."""

from __future__ import annotations

import re
from pathlib import Path

from appliance.settings.reading import KNOWN_NAMES, VARIABLES
from appliance.settings.reference import render_reference, render_sample
from tests.doubles.settings import settings_of

ROOT = Path(__file__).resolve().parents[2]
HOW = "run: make docs"
ASSIGNMENT = re.compile(r"^#([A-Z][A-Z0-9_]+)=(.*)$", re.MULTILINE)


def test_sample_file_is_equal_to_the_code() -> None:
    committed = (ROOT / "config/scalelite-appliance.default").read_text()

    assert committed == render_sample(), HOW


def test_reference_is_equal_to_the_code() -> None:
    committed = (ROOT / "docs/configuration.md").read_text()

    assert committed == render_reference(), HOW


def test_sample_has_every_variable_once_and_commented_out() -> None:
    sample = render_sample()

    assert all(line == "" or line.startswith("#") for line in sample.split("\n"))
    assert [match[1] for match in ASSIGNMENT.finditer(sample)] == [
        variable.name for variable in VARIABLES
    ]


def test_sample_without_its_comment_marks_is_the_default_configuration() -> None:
    variables = {match[1]: match[2] for match in ASSIGNMENT.finditer(render_sample())}
    # The variable that is required, and the one where an empty value has a meaning.
    del variables["LOADBALANCER_SECRET"], variables["FSAPI_PASSWORD"]

    assert settings_of(**variables) == settings_of()


def test_sample_values_need_no_quotes_for_systemd() -> None:
    values = [match[2] for match in ASSIGNMENT.finditer(render_sample())]

    assert not [value for value in values if re.search(r"[\s\"'\\#;$]", value)]


def test_every_known_name_is_in_both_files() -> None:
    for text in (render_sample(), render_reference()):
        # The reference states the rule for NAME_FILE once.
        names = {name for name in KNOWN_NAMES if not name.endswith("_FILE")}
        assert not {name for name in names if name not in text}


def test_every_variable_has_a_meaning() -> None:
    assert not [variable.name for variable in VARIABLES if not variable.meaning]
    assert not [v.name for v in VARIABLES if v.meaning[-1] not in ".:"]


def test_examples_are_valid() -> None:
    for variable in VARIABLES:
        if variable.example:
            variable.kind.parse(variable.example)
