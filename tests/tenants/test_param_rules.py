"""Rules for parameters: each mode, their order, and what holds for any rules."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bbb.errors import ApiError
from appliance.bbb.params import Params, get
from appliance.model import ParamRule, Tenant, TenantId
from appliance.settings.param_rules import MODES, parse_rules
from appliance.tenants.param_rules import (
    UNLIMITED_AT_ZERO,
    apply_rules,
    cap_duration,
    merge_create_params,
    merge_join_params,
    needs_version,
)
from appliance.tenants.store import parse_tenant
from tests.doubles.settings import settings_of


def apply(text: str, *params: tuple[str, str], version: str | None = None) -> dict[str, str]:
    """Apply rules of one layer."""
    return dict(apply_rules(params, (parse_rules(text),), version))


@pytest.mark.parametrize(
    ("rules", "given", "expected"),
    [
        ("a cap 5", {"a": "6"}, {"a": "5"}),
        ("a cap 5", {"a": "5"}, {"a": "5"}),
        ("a cap 5", {"a": "0"}, {"a": "0"}),
        ("a cap 5", {"a": "many"}, {"a": "5"}),
        ("a cap 5", {"a": "-7"}, {"a": "5"}),
        ("a cap 5", {"a": "9" * 40}, {"a": "5"}),
        ("a cap 5", {}, {}),
        ("duration cap 60", {}, {"duration": "60"}),
        ("duration cap 60", {"duration": "0"}, {"duration": "60"}),
        ("maxParticipants cap 0", {}, {}),
        ("a floor 5", {"a": "4"}, {"a": "5"}),
        ("a floor 5", {"a": "6"}, {"a": "6"}),
        ("a floor 5", {}, {}),
        ("duration floor 60", {}, {}),
        ("duration floor 60", {"duration": "0"}, {"duration": "0"}),
        ("duration floor 60", {"duration": "30"}, {"duration": "60"}),
        ("a append x,y", {}, {"a": "x,y"}),
        ("a append x, y", {"a": "z,x"}, {"a": "z,x,y"}),
        ("a append x", {"a": ""}, {"a": "x"}),
        ("a remove", {"a": "1", "b": "2"}, {"b": "2"}),
        ("a map 1:2", {"a": "1"}, {"a": "2"}),
        ("a map 1:2", {"a": "11"}, {"a": "11"}),
        ("a map 1:2; a map 2:3", {"a": "1"}, {"a": "2"}),
        ("a map x:y:z", {"a": "x"}, {"a": "y:z"}),
        ("a require", {"a": "1"}, {"a": "1"}),
        ("a default 1", {}, {"a": "1"}),
        ("a default 1", {"a": ""}, {"a": ""}),
        ("a override 1", {"a": "2"}, {"a": "1"}),
        # BBB lower-cases the names of metadata, so a rule is for every spelling.
        ("meta_a remove", {"meta_A": "1", "META_a": "2"}, {"META_a": "2"}),
        ("meta_Ab override x", {"meta_aB": "1"}, {"meta_Ab": "x"}),
        ("a remove", {"A": "1"}, {"A": "1"}),
        # One mode after the other, whatever the order of the rules.
        ("a floor 10; a cap 5", {"a": "7"}, {"a": "5"}),
        ("a cap 5; a map x:9", {"a": "x"}, {"a": "5"}),
        ("a remove; a require", {"a": "1"}, {}),
        ("a require; a default 1", {}, {"a": "1"}),
    ],
)
def test_rules_change_parameters(
    rules: str, given: dict[str, str], expected: dict[str, str]
) -> None:
    assert apply(rules, *given.items()) == expected


@pytest.mark.parametrize("params", [(), (("a", ""),), (("a", "  "),)])
def test_require_refuses_a_call_without_the_parameter(params: Params) -> None:
    with pytest.raises(ApiError) as refused:
        apply_rules(params, (parse_rules("a require"),))
    assert (refused.value.key, refused.value.http_status) == ("missingParameter", 200)
    assert "a" in refused.value.message


def test_rules_of_a_version_apply_only_to_servers_that_have_it() -> None:
    rules = "meetingLayout map CUSTOM_LAYOUT:SMART_LAYOUT version=4.*"
    asked = ("meetingLayout", "CUSTOM_LAYOUT")

    assert apply(rules, asked)["meetingLayout"] == "CUSTOM_LAYOUT"
    assert apply(rules, asked, version="3.0.9")["meetingLayout"] == "CUSTOM_LAYOUT"
    assert apply(rules, asked, version="4.0.0-rc.1")["meetingLayout"] == "SMART_LAYOUT"
    assert apply("a cap 1", ("a", "2"), version="4.0.0") == {"a": "2"}
    assert needs_version((parse_rules(rules),))
    assert not needs_version((parse_rules("a cap 1"), ()))


def test_metadata_is_one_parameter_in_whatever_case() -> None:
    api = settings_of(
        DEFAULT_CREATE_PARAMS="meta_A=pool,meta_B=pool",
        OVERRIDE_CREATE_PARAMS="meta_C=pool",
        CREATE_PARAM_RULES="meta_D default 1; meta_d override 2",
        CREATE_EXCLUDE_PARAMS="meta_E",
    ).api
    settings = [
        *(("meta_a", "tenant", False, ""), ("meta_B", "tenant", True, "")),
        *(("meta_b", "default", False, ""), ("meta_c", "tenant", False, "")),
        *(("A", "1", False, ""), ("a", "2", False, "")),
    ]
    rules = [
        {"param": param, "mode": mode, "value": value, "version": "", "call": "", "order": order}
        for order, (param, mode, value) in enumerate(
            (("meta_F", "default", "x"), ("meta_f", "append", "y"))
        )
    ]
    stored = {"id": "t", "name": "school", "secrets": "s", "settings": settings, "lrs": {}}
    tenant = parse_tenant(json.dumps({**stored, "rules": list(map(json.dumps, rules))}))

    merged = merge_create_params((("meta_CC", "1"), ("meta_e", "1")), api, tenant)

    assert dict(merged) == {
        **{"meta_a": "tenant", "meta_b": "tenant", "meta_c": "pool", "meta_d": "2"},
        **{"meta_f": "x,y", "meta_CC": "1", "A": "1", "a": "2"},
        **{"meta_tenant-id": "t", "meta_tenant-name": "school"},
    }
    assert len(dict(merged)) == len(merged)


def test_rules_of_the_tenant_come_after_those_of_the_pool() -> None:
    api = settings_of(
        CREATE_PARAM_RULES="maxParticipants cap 50; welcome override Hello",
        JOIN_PARAM_RULES="role map MODERATOR:VIEWER",
        DEFAULT_CREATE_PARAMS="maxParticipants=80",
        MAX_MEETING_DURATION="30",
    ).api
    tenant = Tenant(
        TenantId("t"),
        "school",
        ("s",),
        create_rules=parse_rules("maxParticipants floor 100; duration floor 600"),
        join_rules=parse_rules("role map VIEWER:MODERATOR"),
    )

    pool = dict(merge_create_params((), api, None))
    own = dict(merge_create_params((("duration", "10"),), api, tenant))

    assert (pool["maxParticipants"], pool["welcome"], pool["duration"]) == ("50", "Hello", "30")
    assert (own["maxParticipants"], own["duration"]) == ("100", "30")
    assert own["meta_tenant-name"] == "school"
    assert merge_join_params((("role", "MODERATOR"),), api, tenant) == (("role", "MODERATOR"),)
    assert merge_join_params((("role", "MODERATOR"),), api, None) == (("role", "VIEWER"),)


NAMES = st.sampled_from(["a", "b", "duration"])
TEXTS = st.text("019x,: ", max_size=4)
PARAMS = st.lists(st.tuples(NAMES, TEXTS), max_size=6).map(tuple)
RULES = st.lists(
    st.one_of(
        st.builds(
            ParamRule, NAMES, st.sampled_from(["cap", "floor"]), st.integers(0, 200).map(str)
        ),
        st.builds(ParamRule, NAMES, st.sampled_from(["append", "default", "override"]), TEXTS),
        st.builds(ParamRule, NAMES, st.just("map"), st.text("019:", max_size=3).map(":".__add__)),
        st.builds(ParamRule, NAMES, st.just("remove")),
    ),
    max_size=6,
).map(tuple)


@given(PARAMS, RULES)
def test_the_order_of_different_modes_in_a_layer_does_not_matter(
    params: Params, rules: tuple[ParamRule, ...]
) -> None:
    by_mode = tuple(sorted(rules, key=lambda rule: MODES.index(rule.mode)))
    assert apply_rules(params, (rules,)) == apply_rules(params, (by_mode,))


@given(PARAMS, RULES)
def test_rules_change_nothing_but_their_parameters(
    params: Params, rules: tuple[ParamRule, ...]
) -> None:
    touched = {rule.param for rule in rules}
    after = apply_rules(params, (rules,))
    assert [pair for pair in after if pair[0] not in touched] == [
        pair for pair in params if pair[0] not in touched
    ]


@given(PARAMS, NAMES, st.integers(1, 200))
def test_a_cap_is_never_exceeded_and_changes_nothing_twice(
    params: Params, name: str, bound: int
) -> None:
    layers = ((ParamRule(name, "cap", str(bound)),),)
    after = apply_rules(params, layers)
    value = get(after, name)
    if value is None:
        assert name not in UNLIMITED_AT_ZERO
    else:
        assert 0 <= int(value) <= bound
        assert name not in UNLIMITED_AT_ZERO or int(value) > 0
    assert apply_rules(after, layers) == after


@given(PARAMS, NAMES, TEXTS)
def test_append_adds_each_item_once_and_keeps_the_others(
    params: Params, name: str, more: str
) -> None:
    layers = ((ParamRule(name, "append", more),),)
    after = apply_rules(params, layers)
    items = (get(after, name) or "").split(",")
    wanted = [item.strip() for item in f"{get(params, name) or ''},{more}".split(",")]
    assert len(items) == len(set(items))
    assert set(filter(None, items)) == set(filter(None, wanted))
    assert apply_rules(after, layers) == after


@pytest.mark.parametrize(
    ("value", "max_min", "sent"),
    [
        (None, 0, None),
        ("", 0, ""),
        ("abc", 0, "abc"),
        ("500", 0, "500"),
        (None, 90, "90"),
        ("", 90, "90"),
        ("0", 90, "90"),
        ("00", 90, "90"),
        ("91", 90, "90"),
        ("90", 90, "90"),
        ("89", 90, "89"),
        ("1", 90, "1"),
        ("030", 90, "030"),
        ("-1", 90, "90"),
        (" 30 ", 90, "30"),
        (" 300 ", 90, "90"),
        ("30.5", 90, "90"),
        ("3_0", 90, "90"),
        ("٣", 90, "90"),
        ("abc", 90, "90"),
        ("9" * 10_000, 90, "90"),
    ],
)
def test_duration_is_held_within_the_limit(
    value: str | None, max_min: int, sent: str | None
) -> None:
    given = () if value is None else (("duration", value),)
    assert get(cap_duration(given, max_min), "duration") == sent
