"""What can be stored of a tenant and its settings, and the reason where it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.bbb.endpoint import UnacceptableValue
from appliance.model import TenantId
from appliance.tenants.values import (
    TENANT_FIELDS,
    TenantChange,
    TenantRecord,
    TenantSetting,
    check_setting,
    check_tenant_change,
    unreachable_tenants,
)

SETTING = TenantSetting("", TenantId("t"), "welcome", "hello", override=True)


@pytest.mark.parametrize("name", ["a", "School", "school-2", "0", "x" * 63, "xn--bcher-kva"])
def test_name_may_be_any_host_label(name: str) -> None:
    assert check_tenant_change(TenantChange(name=name)).name == name


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a b", "-a", "a-", "a.b", "a_b", "bücher", "x" * 64, "a\n", "a:b", "*"),
        "https://a",
    ],
)
def test_name_that_is_no_host_label_is_refused(name: str) -> None:
    with pytest.raises(UnacceptableValue, match="the name must be one label of a host name"):
        check_tenant_change(TenantChange(name=name))


@pytest.mark.parametrize("secrets", ["a", "a:b", "a,b", "ü" * 255, "a" * 255 + ":" + "b" * 255])
def test_secrets_are_separated_by_colons(secrets: str) -> None:
    assert check_tenant_change(TenantChange(secrets=secrets)).secrets == secrets


@pytest.mark.parametrize("secrets", ["", ":", "a:", ":a", "a::b"])
def test_empty_secret_is_refused(secrets: str) -> None:
    with pytest.raises(UnacceptableValue, match="the secrets must not be empty"):
        check_tenant_change(TenantChange(secrets=secrets))


@pytest.mark.parametrize("secrets", ["a b", "a:b\n", "\x00", "a" * 256, "\ud800"])
def test_odd_secret_is_refused(secrets: str) -> None:
    with pytest.raises(UnacceptableValue, match="the secret must not") as refused:
        check_tenant_change(TenantChange(secrets=secrets))
    assert secrets not in str(refused.value)


def test_fields_of_lrs_and_keycloak_are_checked() -> None:
    good = TenantChange(
        lrs_endpoint="https://lrs.example.org/xapi",
        lrs_username="a user",
        lrs_password="p:ä, ss",
        kc_token_url="https://kc.example.org/realms/r/protocol/openid-connect/token",
        kc_client_id="",
    )

    assert check_tenant_change(good) == good
    assert list(good.given) == [
        *("lrs_endpoint", "lrs_username", "lrs_password", "kc_token_url", "kc_client_id")
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (TenantChange(lrs_endpoint="lrs.example.org"), "lrs_endpoint: the url must start with"),
        (TenantChange(kc_token_url="https:///token"), "kc_token_url: the url must have a host"),
        (TenantChange(lrs_username="a\nb"), "lrs_username must be at most 255 characters"),
        (TenantChange(kc_password="x" * 256), "kc_password must be at most 255 characters"),
    ],
)
def test_bad_field_is_refused_by_its_name(change: TenantChange, reason: str) -> None:
    with pytest.raises(UnacceptableValue, match=f"^{reason}"):
        check_tenant_change(change)


@pytest.mark.parametrize(
    "change",
    [
        {"param": "meta_x-y.z[]"},
        {"param": "notYetKnownToAnybody"},
        {"value": ""},
        {"value": "<b>Grüße</b>, %%CONFNAME%% 👩‍🏫 = ok; \\ 'x'"},
        {"call": "create"},
        {"call": "join", "param": "userdata-bbb_x"},
    ],
)
def test_setting_may_be_of_any_param(change: dict[str, str]) -> None:
    setting = replace(SETTING, **change)  # type: ignore[arg-type]

    assert check_setting(setting) == setting


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"param": ""}, "the param must"),
        ({"param": "a b"}, "the param must"),
        ({"param": "a\n"}, "the param must"),
        ({"param": "ä"}, "the param must"),
        ({"param": "x" * 256}, "the param must"),
        ({"param": "checksum"}, "checksum is each request's own"),
        ({"param": "meetingID"}, "meetingID is each request's own"),
        ({"param": "meta_Tenant-x"}, "meta_Tenant-x says whose"),
        ({"value": "a\nb"}, "the value must not hold control"),
        ({"value": "\x1b[2J"}, "the value must not hold control"),
        ({"value": "\ud800"}, "the value must not hold control"),
        ({"value": "x" * 16_385}, "the value must not be longer"),
        ({"call": "end"}, "call must be create or join"),
        ({"param": "RECORDING_RETENTION_DAYS", "value": "1 year"}, "RECORDING_RETENTION_DAYS must"),
    ],
)
def test_odd_setting_is_refused(change: dict[str, str], reason: str) -> None:
    with pytest.raises(UnacceptableValue, match=f"^{reason}"):
        check_setting(replace(SETTING, **change))  # type: ignore[arg-type]


def test_no_repr_shows_a_secret() -> None:
    values = dict.fromkeys(TENANT_FIELDS, "S3C")

    shown = repr(TenantRecord(TenantId("t"), **values)) + repr(TenantChange(**values))

    assert shown.count("S3C") == 2 * 6
    assert "lrs_password" not in shown
    assert "S3C" not in repr(replace(SETTING, value="S3C"))


def test_tenants_that_no_request_can_reach_are_found() -> None:
    tenants = [
        *(("1", "school", "s"), ("2", "SCHOOL", "s"), ("3", "uni", "s"), ("4", "my_class", ":s")),
        *(("5", "a.b", "s"), ("6", "", ""), ("7", "b\u00fccher", "s"), ("8", "empty", ":")),
    ]

    assert unreachable_tenants(tenants) == [
        ("1", "its name school is also that of 2"),
        ("2", "its name SCHOOL is also that of 1"),
        ("5", "no request has a host that begins with 'a.b'"),
        ("6", "no request has a host that begins with ''"),
        ("6", "it has no secret"),
        ("7", "no request has a host that begins with 'b\u00fccher'"),
        ("8", "it has no secret"),
    ]
