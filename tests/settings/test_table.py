"""Order and shown defaults of the table of variables."""

from __future__ import annotations

import pytest

from appliance.settings.kinds import BOOLEAN, SECRET, count, duration, per_minute
from appliance.settings.table import Variable, variables_of

A = Variable("A", BOOLEAN, True, "")
B = Variable("B", SECRET, None, "", default_text="generated")
C = Variable("C", duration("min"), 2.5, "")


def test_variables_are_in_the_order_of_their_definition() -> None:
    namespace = {"A": A, "other": 1, "B": B, "C": C}

    assert variables_of(namespace) == (A, B, C)
    assert variables_of(namespace, after="A") == (B, C)


@pytest.mark.parametrize(
    ("variable", "shown"),
    [
        (A, "true"),
        (B, "generated"),
        (C, "2.5 min"),
        (Variable("D", per_minute(), 30, ""), "30/min"),
        (Variable("E", count(), 0, "", default_text="none"), "0 (none)"),
        (Variable("F", count(), None, ""), ""),
    ],
)
def test_default_is_shown_with_its_unit(variable: Variable[object], shown: str) -> None:
    assert variable.shown_default() == shown


def test_only_secrets_have_a_file() -> None:
    assert [A.secret, B.secret] == [False, True]
    assert B.file_name == "B_FILE"
