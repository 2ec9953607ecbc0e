"""`ctl tenants limits`, `tenants show` and rules in `tenant-settings`."""

from __future__ import annotations

import pytest

from appliance.ctl.tenants import MODES
from appliance.settings import param_rules
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import open_features


def test_modes_of_ctl_are_those_of_the_rules() -> None:
    assert MODES == param_rules.MODES


async def test_limits_of_a_pool_without_tenants_are_set_shown_and_removed(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_features(redis_url, redis_namespace, DEFAULT_CREATE_PARAMS="welcome=Hi") as res,
        open_control(res) as control,
    ):
        none = await control.ctl("tenants", "limits", "default")
        assert (none.code, none.out) == (0, "default has no limits\n")

        words = ("tenants", "limits", "default", "max_meetings=5", "max_duration=90")
        done = await control.ctl(*words)
        assert done.code == 0
        assert [line.split() for line in done.out.splitlines()[1:]] == [
            ["max_meetings", "5", "0"],
            ["max_duration", "90"],
        ]
        shown = await control.ctl("tenants", "show", "default")
        assert "\twelcome=Hi\n" in shown.out
        assert "\tduration=90\n" in shown.out
        removed = await control.ctl("tenants", "limits", "default", "max_meetings=", "--json")
        assert removed.json == {
            **{"id": "", "name": "default"},
            "limits": {"max_duration": {"limit": 90.0, "used": None, "near": False}},
        }
        other = await control.ctl("tenants", "limits", "school")
        assert (other.code, "Multitenancy is disabled" in other.err) == (1, True)
        assert len(res.log.named("tenant_limits_changed")) == 2  # type: ignore[attr-defined]


@pytest.fixture
async def control(redis_url: str, redis_namespace: str):  # type: ignore[no-untyped-def]
    """Open the control socket of an appliance with the tenant `school`."""
    async with (
        open_features(
            redis_url,
            redis_namespace,
            MULTITENANCY_ENABLED="true",
            CREATE_PARAM_RULES="duration cap 200; duration cap 30 version=4.*",
        ) as res,
        open_control(res) as opened,
    ):
        await opened.post("addTenant", {"tenant": {"name": "school", "secrets": "s"}})
        yield opened


async def test_a_tenant_is_addressed_by_name_and_wrong_limits_are_refused(
    control: ControlDouble,
) -> None:
    done = await control.ctl("tenants", "limits", "school", "max_users=10", "--json")
    assert (done.json["name"], done.json["limits"]["max_users"]["limit"]) == ("school", 10)

    for word, code, reason in (
        ("max_users", 2, "'max_users' is not name=value"),
        ("max_rooms=1", 1, "max_rooms is not a limit; there are max_meetings"),
        ("max_users=-1", 1, "max_users must be a whole number"),
    ):
        done = await control.ctl("tenants", "limits", "school", "max_meetings=3", word)
        assert (done.code, done.out) == (code, "")
        assert done.err.startswith(reason)
    unchanged = (await control.ctl("tenants", "limits", "school", "--json")).json
    assert list(unchanged["limits"]) == ["max_users"]
    assert (await control.ctl("tenants", "limits", "unknown")).code == 1

    changed = await control.post("setTenantLimits", {"id": "School", "limits": {"max_users": 9.0}})
    assert changed["limits"]["max_users"]["limit"] == 9


async def test_rules_are_added_listed_shown_and_removed(control: ControlDouble) -> None:
    add = ("tenant-settings", "add", "school")
    for words in (
        ("duration", "100", "--mode", "cap"),
        ("logo", "--mode", "remove"),
        ("meetingLayout", "A:B", "--mode", "map", "--version", "4.*"),
        ("userID", "--mode", "require", "--call", "join"),
        ("welcome", "Hello", "--mode", "override"),
    ):
        done = await control.ctl(*add, *words)
        assert (done.code, done.err) == (0, ""), words

    listed = (await control.ctl("tenant-settings", "list", "school", "--json")).json
    by_param = {one["param"]: one for one in listed}
    assert (by_param["duration"]["mode"], by_param["duration"]["override"]) == ("cap", "")
    assert by_param["meetingLayout"]["version"] == "4.*"
    assert (by_param["welcome"]["mode"], by_param["welcome"]["override"]) == ("override", "true")
    text = (await control.ctl("tenant-settings", "list", "school")).out
    assert "\tparam: duration\n\tvalue: 100\n\tmode: cap\n" in text

    shown = (await control.ctl("tenants", "show", "school")).out
    assert "setting: meetingLayout map A:B version=4.*\n" in shown
    assert "\tduration=100\n" in shown
    assert "\twelcome=Hello\n" in shown
    assert "\tuserID=(required)\n" in shown

    # Rules for versions, those of the pool as well.
    assert "rule of the pool: create duration cap 30 version=4.*\n" in shown
    general, _, on_4 = shown.partition("create on servers of version 4.*:\n")
    assert "\tduration=30\n" not in general
    create, _, join = on_4.partition("join on servers of version 4.*:\n")
    assert {"\tduration=30", "\twelcome=Hello"} <= set(create.splitlines())
    assert "\tuserID=(required)" in join

    again = await control.ctl(*add, "duration", "5", "--mode", "cap")
    assert "the tenant has a setting of duration already" in again.err
    removed = await control.ctl("tenant-settings", "remove", by_param["duration"]["id"])
    assert removed.code == 0
    assert "\tduration=200\n" in (await control.ctl("tenants", "show", "school")).out


async def test_values_that_the_appliance_decides_are_not_shown_as_those_of_settings(
    control: ControlDouble,
) -> None:
    for param, value in (("voiceBridge", "123"), ("meetingEndedURL", "http://x"), ("logo", "l")):
        await control.ctl("tenant-settings", "add", "school", param, value, "true")
    plain = (await control.ctl("tenants", "show", "school")).out
    await control.ctl("tenants", "update", "school", "--lrs-endpoint", "https://lrs.example")

    shown = (await control.ctl("tenants", "show", "school")).out

    create = shown.partition("\ncreate:\n")[2].partition("join:")[0].split("\n")
    assert {
        *("\tvoiceBridge=(the appliance's)", "\tmeetingEndedURL=(the appliance's)", "\tlogo=l"),
        "\tmeta_secret-lrs-payload=(encrypted for the server)",
    } <= set(create)
    assert "lrs-payload" not in plain


async def test_wrong_rules_are_refused(control: ControlDouble) -> None:
    add = ("tenant-settings", "add", "school")
    for words, code, reason in (
        (("duration", "x", "--mode", "cap"), 1, "cap takes a whole number"),
        (("duration", "5"), 2, "say true, false or --mode"),
        (("duration", "5", "true", "--mode", "cap"), 2, "say true, false or --mode"),
        (("logo", "x", "--mode", "remove"), 1, "remove takes no value"),
        (("meetingID", "x", "--mode", "default", "--version", "4"), 1, "meetingID"),
    ):
        done = await control.ctl(*add, *words)
        assert (done.code, done.out) == (code, ""), words
        assert done.err.startswith(reason), done.err
