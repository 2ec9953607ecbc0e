"""Parameters and tenants: what is dropped, what is added, and which call a setting is for."""

from __future__ import annotations

import pytest

from appliance.bbb.params import Params
from appliance.model import Tenant, TenantId
from appliance.tenants.params import add_tenant, calls_of_setting, drop_reserved

KEPT: Params = (
    ("meetingID", "room"),
    ("meta_tenant", "x"),
    ("meta_tenants-id", "x"),
    ("tenant-id", "x"),
    ("meta_x", "meta_tenant-id"),
)


@pytest.mark.parametrize(
    "name",
    [
        "meta_tenant-id",
        "meta_Tenant-ID",
        "META_TENANT-ID",
        "meta_tenant-",
        "meta_tenant-meeting-id",
    ],
)
def test_reserved_parameter_is_dropped(name: str) -> None:
    assert drop_reserved((KEPT[0], (name, "other"), *KEPT[1:], (name, ""))) == KEPT


def test_tenant_is_added_in_place_of_what_was_there() -> None:
    tenant = Tenant(TenantId("t-1"), "school", ("s",))
    params = (("meta_tenant-id", "t-2"), ("name", "x"), ("meta_tenant-id", "t-3"))
    assert add_tenant(params, tenant) == (
        ("meta_tenant-id", "t-1"),
        ("name", "x"),
        ("meta_tenant-name", "school"),
    )


@pytest.mark.parametrize(
    ("param", "call", "calls"),
    [
        ("duration", "", ("create",)),
        ("welcome", "", ("create",)),
        ("meta_x", "", ("create",)),
        ("unheard-of", "", ("create",)),
        ("role", "", ("join",)),
        ("userdata-bbb_skip_check_audio", "", ("join",)),
        ("logoutURL", "", ("create", "join")),
        ("duration", "join", ("join",)),
        ("role", "create", ("create",)),
        ("role", "end", ("end",)),
        ("RECORDING_RETENTION_DAYS", "", ()),
        ("RECORDING_RETENTION_DAYS", "create", ()),
    ],
)
def test_setting_is_for_the_call_it_names_or_those_that_know_it(
    param: str, call: str, calls: tuple[str, ...]
) -> None:
    assert calls_of_setting(param, call) == calls
