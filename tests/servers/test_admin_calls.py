"""The requests of the admin calls about servers (tests/admin has the calls themselves)."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.admin_calls.fields import BadRequest, read_field, read_fields
from appliance.admin_calls.refusal import Refused
from appliance.servers.admin_requests import (
    AddServerRequest,
    PanicServerRequest,
    ServerIdRequest,
    UpdateServerRequest,
)
from appliance.servers.values import NewServer, ServerChange


def read_new(**fields: Any) -> NewServer:
    return read_fields(AddServerRequest, fields).server.parse()


def read_change(**fields: Any) -> ServerChange:
    return read_fields(UpdateServerRequest, {"id": "x", **fields}).server.parse()


def test_new_server_is_read() -> None:
    fields = {"url": "u", "secret": "s", "load_multiplier": "2.5", "tag": "t", "max_users": 5}
    expected = NewServer("u", "s", load_multiplier=2.5, tag="t", max_users=5)

    assert read_new(**fields) == read_new(server=fields) == expected
    # Scalelite: 0 means not given.
    for nothing in (0, "0", "", None):
        assert read_new(url="u", secret="s", load_multiplier=nothing) == NewServer("u", "s")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"url": "u"},
        {"url": "u", "secret": ""},
        {"url": 1, "secret": "s"},
        {"url": "u", "secret": "s", "load_multiplier": "much"},
        {"url": "u", "secret": "s", "load_multiplier": True},
        {"url": "u", "secret": "s", "load_multiplier": [1]},
        {"url": "u", "secret": "s", "max_users": 1.5},
        {"url": "u", "secret": "s", "max_users": "1e400"},
        {"url": "u", "secret": "s", "tag": {}},
        {"server": "x"},
    ],
)
def test_new_server_is_refused_when_a_field_is_odd(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read_new(**fields)


def test_change_leaves_what_is_not_given() -> None:
    assert read_change() == ServerChange()
    assert read_change(secret="", load_multiplier="") == ServerChange()
    assert read_change(tag="", max_users="0") == ServerChange(tag="", max_users=0)
    assert read_change(server={"tag": "t"}, max_users=1) == ServerChange(tag="t")


def test_state_that_is_unknown_is_refused_in_scalelites_words() -> None:
    with pytest.raises(BadRequest, match="Invalid state parameter: off"):
        read_change(state="off")


def test_id_stands_beside_or_inside_server() -> None:
    assert read_fields(ServerIdRequest, {"server": {"id": "in"}}).id == "in"
    assert read_field(ServerIdRequest, {"id": "by", "server": {"id": "in"}}, "id") == "by"
    with pytest.raises(Refused, match=r"Couldn't find server with id= \(id is missing\)"):
        read_fields(ServerIdRequest, {"server": {}})


def test_flags_of_panic_stand_beside_or_inside_server() -> None:
    for fields in ({"keep_state": True}, {"server": {"keep_state": True}}):
        assert read_fields(PanicServerRequest, {"id": "x", **fields}).keep_state is True
