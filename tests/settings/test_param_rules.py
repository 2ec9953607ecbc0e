"""Rules for parameters as text: what is accepted, what is refused, and back again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import ParamRule
from appliance.settings import SettingsError
from appliance.settings.param_rules import MODES, WITHOUT_VALUE, parse_rules, render_rule
from tests.doubles.settings import settings_of


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("duration cap 120", [ParamRule("duration", "cap", "120")]),
        (" a  REMOVE ;; b require; ", [ParamRule("a", "remove"), ParamRule("b", "require")]),
        ("a map x:y version=4.*", [ParamRule("a", "map", "x:y", "4.*")]),
        ("a remove version=2.?.*", [ParamRule("a", "remove", "", "2.?.*")]),
        ("welcome override Hello all", [ParamRule("welcome", "override", "Hello all")]),
        (r"welcome override a\;b", [ParamRule("welcome", "override", "a;b")]),
        ("a override", [ParamRule("a", "override", "")]),
    ],
)
def test_rules_are_parsed(text: str, rules: list[ParamRule]) -> None:
    assert list(parse_rules(text)) == rules


@pytest.mark.parametrize(
    "text",
    [
        *("", ";", "a", "a limit 5", "a cap", "a cap x", "a cap -1", "a cap 1.5", "a floor"),
        *("a remove b", "a require b", "a map b", "a append", "a append ,", "a cap 5 version="),
        *("checksum remove", "meetingID remove", "meta_tenant-id remove", "a cap 5 version=4 x"),
        *("META_Tenant-name override x", "a override \x07", "ü remove", "a cap 5 version=ü"),
    ],
)
def test_a_wrong_rule_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_rules(text)
    if text.strip(";"):
        with pytest.raises(SettingsError, match="CREATE_PARAM_RULES"):
            settings_of(CREATE_PARAM_RULES=text)


def test_the_wrong_one_of_many_rules_is_named() -> None:
    with pytest.raises(SettingsError, match=r"rule 2: cap takes a whole number .*; expected NAME"):
        settings_of(CREATE_PARAM_RULES="a remove;; duration cap many; b remove")
    with pytest.raises(SettingsError, match="rule 1: meta_tenant-x cannot be changed"):
        settings_of(JOIN_PARAM_RULES="meta_tenant-x remove")


@given(
    st.lists(
        st.builds(
            ParamRule,
            st.text("ab.[]", min_size=1),
            st.sampled_from([*set(MODES) - WITHOUT_VALUE - {"cap", "floor", "append", "map"}]),
            st.text("xy;\\ =").map(str.strip).filter(lambda one: not one.endswith("\\")),
            st.sampled_from(["", "4.*", "3.0.?"]),
        ),
        min_size=1,
    )
)
def test_rules_are_rendered_as_they_are_parsed(rules: list[ParamRule]) -> None:
    assert list(parse_rules("; ".join(map(render_rule, rules)))) == [
        ParamRule(rule.param, rule.mode, rule.value, rule.version) for rule in rules
    ]
