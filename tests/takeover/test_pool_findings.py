"""The finding for each inconsistency that a Scalelite may leave in Redis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.takeover.findings import Verdict
from appliance.takeover.pool_findings import PoolState, expected_type, judge_pool, state_of

URL = "https://bbb1.example.org/bigbluebutton/api"


def server(**changes: str) -> dict[str, str]:
    values = {"url": URL, "secret": "s", "online": "true", "state": "enabled", **changes}
    return {name: value for name, value in values.items() if value}


def meeting(server_id: str = "bbb1", **changes: str) -> dict[str, str]:
    return {"server_id": server_id, "moderator_pw": "mp", "voice_bridge": "70001", **changes}


GOOD = PoolState(
    servers={"bbb1": server(), "bbb2": server(url=f"{URL}/", state="cordoned")},
    enabled=frozenset({"bbb1"}),
    loads=frozenset({"bbb1"}),
    cordoned_loads=frozenset({"bbb2"}),
    meetings={"math": meeting(tenant_id="t1"), "art": meeting("bbb2", voice_bridge="70002")},
    voice_bridges={"70001": "math", "70002": "art"},
    tenants={"t1": {"name": "school", "secrets": "s1:s2"}},
    tenant_names={"school": "t1"},
    settings={"s1": {"param": "record", "value": "true", "override": "false", "tenant_id": "t1"}},
)


def findings(state: PoolState, *, multitenancy: bool = True) -> dict[tuple[str, str], Any]:
    """Return the names, or the number of unnamed items, by verdict and text."""
    return {
        (one.verdict.value, one.text): list(one.names) or one.total
        for one in judge_pool(state, multitenancy=multitenancy)
    }


def test_consistent_pool_is_only_counted() -> None:
    assert findings(GOOD) == {
        ("fine", "cordoned servers"): 1,
        ("fine", "enabled servers"): 1,
        ("fine", "meetings"): 2,
        ("fine", "voice bridge numbers in use"): 2,
        ("fine", "tenants"): 1,
        ("fine", "tenant settings"): 1,
    }


CASES: list[tuple[dict[str, Any], str, str, Any]] = [
    ({"servers": {}}, "person", "servers", 0),
    (
        {"servers": {**GOOD.servers, "gone": None}},
        "self",
        "servers whose removal was not completed",
        ["gone"],
    ),
    (
        {"stray_servers": frozenset({"x"})},
        "person",
        "records of servers that are not in the list of servers",
        ["x"],
    ),
    (
        {"servers": {**GOOD.servers, "a": server(url="not a url"), "b": server(secret="")}},
        "person",
        "servers without a usable url or secret",
        ["a", "b"],
    ),
    (
        {"servers": {**GOOD.servers, "a": server(state="resting")}},
        "person",
        "servers with an unknown state, which counts as disabled",
        ["a"],
    ),
    (
        {
            "servers": {
                **GOOD.servers,
                **{m: server(load_multiplier=m) for m in ("x", "-1", "0", "nan", "inf")},
                "fine": server(load_multiplier="2.5"),
            }
        },
        "person",
        "servers whose load multiplier is not a number above 0, which counts as 1",
        ["-1", "0", "inf", "nan", "x"],
    ),
    (
        {"loads": frozenset({"bbb1", "bbb2", "gone"})},
        "self",
        "servers in the wrong list of loads",
        ["bbb2", "gone"],
    ),
    (
        {"meetings": {**GOOD.meetings, "over": None}},
        "self",
        "meetings that have ended, but are still listed",
        ["over"],
    ),
    (
        {"meetings": {**GOOD.meetings, "lost": meeting("gone", voice_bridge="")}},
        "self",
        "meetings whose server was removed",
        ["lost"],
    ),
    (
        {"meetings": {**GOOD.meetings, "x": meeting(tenant_id="gone", voice_bridge="")}},
        "person",
        "meetings of tenants that were removed",
        ["x"],
    ),
    (
        {
            "voice_bridges": {**GOOD.voice_bridges, "9": "over", "8": "detached"},
            "claimed": frozenset({"detached"}),
        },
        "self",
        "voice bridge numbers of meetings that have ended",
        ["9"],
    ),
    (
        {"meetings": {**GOOD.meetings, "x": meeting()}},
        "person",
        "voice bridge numbers that several meetings use",
        ["70001"],
    ),
    (
        {"tenants": {**GOOD.tenants, "t2": None}},
        "person",
        "tenants whose removal was not completed",
        ["t2"],
    ),
    (
        {"tenants": {"t1": {"name": "school", "secrets": ""}}},
        "person",
        "tenants that no request can reach",
        ["t1 (it has no secret)"],
    ),
    (
        {"tenant_names": {"school": "t1", "old": "t1", "lost": "t9"}},
        "person",
        "tenant names that lead to no tenant of that name",
        ["lost", "old"],
    ),
    ({"tenant_names": {}}, "person", "tenants that cannot be found by their name", ["t1"]),
    (
        {"settings": {**GOOD.settings, "s2": None}},
        "fine",
        "tenant settings whose removal was not completed, which have no effect",
        ["s2"],
    ),
    (
        {"settings": {"s1": {"override": "yes"}}},
        "person",
        "tenant settings whose override is neither true nor false, which counts as false",
        ["s1"],
    ),
    (
        {"stray_settings": frozenset({"s3"})},
        "fine",
        "tenant settings of tenants that were removed, which have no effect",
        ["s3"],
    ),
    (
        {"wrong_types": ("meetings",)},
        "person",
        "keys of the wrong type",
        ["meetings"],
    ),
    ({"others": 3}, "fine", "other keys, which are not changed", 3),
]


@pytest.mark.parametrize(("change", "verdict", "text", "names"), CASES, ids=[c[2] for c in CASES])
def test_inconsistency_is_reported_and_nothing_else(
    change: dict[str, Any], verdict: str, text: str, names: Any
) -> None:
    found = findings(replace(GOOD, **change))

    assert found[verdict, text] == names
    others = {key for key in found if key[0] != "fine" and key != (verdict, text)}
    # Without servers all meetings are lost, too.
    assert change == {"servers": {}} or not others


def test_tenants_need_a_person_when_they_contradict_multitenancy() -> None:
    off = findings(GOOD, multitenancy=False)
    none = findings(PoolState(servers=GOOD.servers), multitenancy=True)

    assert [names for (verdict, _), names in off.items() if verdict == "person"] == [["t1"]]
    assert ("person", "tenants") in none
    assert not [
        one
        for one in judge_pool(PoolState(servers=GOOD.servers), multitenancy=False)
        if one.verdict is Verdict.PERSON
    ]


@pytest.mark.parametrize(
    ("record", "enabled", "state"),
    [
        (server(state=""), True, "enabled"),
        (server(state=""), False, "disabled"),
        (server(state="cordoned"), True, "cordoned"),
        (server(state="resting"), True, "disabled"),
    ],
)
def test_state_of_old_records_is_read_from_a_set(
    record: dict[str, str], enabled: bool, state: str
) -> None:
    members = frozenset({"a"}) if enabled else frozenset[str]()
    assert state_of(PoolState(servers={"a": record}, enabled=members), "a") == state


@pytest.mark.parametrize(
    ("key", "type_"),
    [
        ("servers", "set"),
        ("server_load", "zset"),
        ("voice_bridges", "hash"),
        ("server:meeting:x", "hash"),
        ("tenant_settings:1", "set"),
        ("tenant_setting:1", "hash"),
        ("protector_token_ab", "string"),
        ("appliance:servers", None),
        ("bbb1.example.org", None),
    ],
)
def test_type_of_a_key_follows_from_its_name(key: str, type_: str | None) -> None:
    assert expected_type(key) == type_


def test_repr_holds_no_record() -> None:
    assert "s1:s2" not in repr(GOOD)
