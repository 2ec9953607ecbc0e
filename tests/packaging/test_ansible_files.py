"""The Ansible role: what it writes is read as it was meant. tools/deb_test runs it in a guest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from appliance.settings.environment_file import parse_environment_file

ROLE = Path(__file__).resolve().parents[2] / "deploy/ansible/roles/scalelite_appliance"


def load(name: str) -> Any:
    return yaml.safe_load((ROLE / name).read_text())


def test_every_variable_is_described_with_its_default() -> None:
    defaults = load("defaults/main.yml")
    options = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]

    assert {name: option["default"] for name, option in options.items()} == defaults


def test_no_other_variable_is_used() -> None:
    text = "".join(path.read_text() for path in ROLE.rglob("tasks/*.yml"))
    text += (ROLE / "templates/settings.j2").read_text()
    used = set(re.findall(r"\bscalelite_appliance_\w+", text))
    registered = set(re.findall(r"register: (\w+)", text))

    assert used - registered == set(load("defaults/main.yml"))


@pytest.mark.parametrize(
    "value", ["plain", "two words", "a \"b\" 'c'", r"back\slash \\ \n", "$HOME `x` #!", "ü=1"]
)
def test_settings_are_read_as_they_were_given(value: str) -> None:
    # Two filters of Ansible's own.
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["combine"] = lambda one, other: one | other
    environment.filters["regex_replace"] = lambda text, old, new: re.sub(old, new, text)
    template = environment.from_string((ROLE / "templates/settings.j2").read_text())

    written = template.render(
        scalelite_appliance_settings={"B": value, "ON": True, "N": 7},
        scalelite_appliance_secrets={"A": value},
    )

    assert parse_environment_file(written) == {"A": value, "B": value, "ON": "true", "N": "7"}
