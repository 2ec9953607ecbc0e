"""Retention times; recordings with invalid ones are kept."""

from __future__ import annotations

import pytest

from appliance.tenants.retention import RetentionRules, is_retention, retention_rules


@pytest.mark.parametrize(
    ("value", "days"),
    [("30", 30.0), (" 2.5 ", 2.5), ("0", None), ("0.0", None), ("", None), ("  ", None)],
)
def test_tenants_value_is_read(value: str, days: float | None) -> None:
    assert is_retention(value)
    rules = retention_rules(365.0, [("t", value)])
    assert (rules.own_days, rules.faulty, rules.default_days) == ({"t": days}, {}, 365.0)


@pytest.mark.parametrize("value", ["-1", "1e3", "30 days", "nan", "inf", "100000", "٣", "1,5", "x"])
def test_value_that_cannot_be_read_keeps_everything_of_the_tenant(value: str) -> None:
    assert not is_retention(value)
    rules = retention_rules(365.0, [("t", value)])
    assert (rules.own_days, rules.faulty) == ({"t": None}, {"t": value})


@pytest.mark.parametrize(
    ("values", "days"),
    [(("30", "10"), 30.0), (("10", "30"), 30.0), (("10", "0"), None), (("0", "10"), None)],
)
def test_longest_of_two_settings_counts(values: tuple[str, str], days: float | None) -> None:
    assert retention_rules(None, [("t", value) for value in values]).own_days == {"t": days}


@pytest.mark.parametrize("values", [("10", "x"), ("x", "10")])
def test_unreadable_beside_a_good_one_keeps_everything(values: tuple[str, str]) -> None:
    rules = retention_rules(1.0, [("t", value) for value in values])
    assert (rules.own_days, rules.faulty) == ({"t": None}, {"t": "x"})


def test_rules_know_whether_anything_can_be_too_old() -> None:
    assert RetentionRules().keep_all
    assert retention_rules(None, [("t", "0"), ("u", "x")]).keep_all
    assert not retention_rules(1.0, [("t", "0")]).keep_all
    assert not retention_rules(None, [("t", "7")]).keep_all
