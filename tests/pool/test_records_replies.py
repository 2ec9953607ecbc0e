"""Replies of the scripts as the model: odd numbers and words of records that others wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.model import (
    Meeting,
    MeetingId,
    Server,
    ServerId,
    ServerState,
    Target,
    Tenant,
    TenantId,
)
from appliance.pool.records import parse_meeting, parse_server, parse_state
from appliance.servers.load import parse_observation
from appliance.servers.model import (
    DoubleMeeting,
    FailureResult,
    ObservationResult,
)
from appliance.servers.store import parse_failure
from appliance.tenants.store import parse_tenant

A = ServerId("a")
MEETING = {
    "id": "m",
    "server_id": "a",
    "moderator_pw": "pw",
    "voice_bridge": "123",
    "tenant_id": "t1",
    "placement": "7",
    "confirmed": 1,
    "creating": 0,
    "url": "http://a/api",
    "secret": "s",
    "state": "cordoned",
    "online": 1,
    "tag": "big",
    "run_ms": "1700000000000",
    "own_passwords": 1,
}


def meeting(**changes: Any) -> Meeting:
    return parse_meeting(list({**MEETING, **changes}.values()))


def test_meeting_is_parsed() -> None:
    assert meeting() == Meeting(
        id=MeetingId("m"),
        server_id=A,
        moderator_pw="pw",
        voice_bridge="123",
        tenant_id=TenantId("t1"),
        placement=7,
        confirmed=True,
        creating=False,
        server=Target(A, "http://a/api", "s", online=True),
        server_state=ServerState.CORDONED,
        own_passwords=True,
        server_tag="big",
        run_ms=1700000000000,
    )


def test_meeting_in_creation_is_parsed() -> None:
    found = meeting(confirmed=0, creating=1)
    assert (found.confirmed, found.creating) == (False, True)


def test_meeting_without_tenant_tag_server_or_run_is_parsed() -> None:
    found = meeting(tenant_id="", tag="", url="", online=0, run_ms="")
    assert (found.tenant_id, found.server_tag, found.server) == (None, None, None)
    assert found.run_ms is None


def test_meeting_shows_no_secret() -> None:
    shown = repr(meeting(moderator_pw="mp-hidden", secret="secret-hidden"))
    assert "hidden" not in shown


SERVER: dict[str, Any] = {
    "id": "a",
    "url": "http://a/api",
    "secret": "s",
    "state": "enabled",
    "online": "true",
    "load_multiplier": "2.5",
    "tag": "big",
    "meetings": "1",
    "users": "20",
    "largest_meeting": "12",
    "videos": "3",
    "bbb_version": "3.0.10",
    "max_meetings": "10",
    "max_users": "300",
    "load": "37.5",
    "unhealthy": "2",
    "suspicion": "",
    "unstable": 1,
    "dial_in": "a/{pin}",
    "dial_in_port": "5062",
}


def server(**changes: Any) -> Server:
    return parse_server(list({**SERVER, **changes}.values()))


def test_server_is_parsed() -> None:
    assert server() == Server(
        id=A,
        url="http://a/api",
        secret="s",
        state=ServerState.ENABLED,
        online=True,
        load_multiplier=2.5,
        tag="big",
        max_meetings=10,
        max_users=300,
        load=37.5,
        meetings=1,
        users=20,
        largest_meeting=12,
        videos=3,
        bbb_version="3.0.10",
        unhealthy_count=2,
        unstable=True,
        dial_in="a/{pin}",
        dial_in_port=5062,
    )


def test_server_with_nothing_but_a_url_is_parsed() -> None:
    empty = {name: "" for name in SERVER if name not in ("id", "url")}
    assert server(**empty) == Server(id=A, url="http://a/api", secret="")


@pytest.mark.parametrize(
    ("field", "text", "attribute", "value"),
    [
        ("online", "false", "online", False),
        ("online", "1", "online", False),
        ("state", "retired", "state", ServerState.DISABLED),
        ("load_multiplier", "0", "load_multiplier", 1.0),
        ("load_multiplier", "-1", "load_multiplier", 1.0),
        ("load_multiplier", "nan", "load_multiplier", 1.0),
        ("load_multiplier", "inf", "load_multiplier", 1.0),
        ("load_multiplier", "much", "load_multiplier", 1.0),
        ("load_multiplier", "1e-05", "load_multiplier", 1e-05),
        ("users", "12.0", "users", 12),
        ("users", "inf", "users", 0),
        ("users", "many", "users", 0),
        ("max_users", "nan", "max_users", None),
        ("load", "0", "load", 0.0),
        ("suspicion", "failed", "suspected", True),
        ("suspicion", "silent", "suspected", True),
        ("unstable", 0, "unstable", False),
    ],
)
def test_server_field_is_read(field: str, text: object, attribute: str, value: object) -> None:
    assert getattr(server(**{field: text}), attribute) == value


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("enabled", ServerState.ENABLED),
        ("cordoned", ServerState.CORDONED),
        ("disabled", ServerState.DISABLED),
        ("Enabled", ServerState.DISABLED),
        ("", ServerState.DISABLED),
    ],
)
def test_state_is_parsed(word: str, state: ServerState) -> None:
    assert parse_state(word) is state


OBSERVED: dict[str, Any] = {
    "known": True,
    "online": True,
    "came_online": False,
    "auto_disabled": False,
    "load": 37.5,
    "taken_back": ["m1"],
    "to_end": [["m2", "pw"]],
    "missing": [["m3", 7]],
    "doubles": [["m4", "b", 8, 2, 1, ""]],
}


def test_observation_is_parsed() -> None:
    assert parse_observation(json.dumps(OBSERVED)) == ObservationResult(
        online=True,
        load=37.5,
        taken_back=(MeetingId("m1"),),
        to_end=((MeetingId("m2"), "pw"),),
        missing=((MeetingId("m3"), 7),),
        doubles=(DoubleMeeting(MeetingId("m4"), ServerId("b"), 8, 2, new=True, action=""),),
    )


def test_empty_lists_of_lua_are_empty() -> None:
    # cjson cannot tell an empty list from an empty object.
    nothing: dict[str, Any] = {"taken_back": {}, "to_end": {}, "missing": {}, "doubles": {}}
    found = parse_observation(json.dumps({**OBSERVED, **nothing}))
    assert (found.taken_back, found.to_end, found.missing) == ((), (), ())


def test_observation_of_an_unknown_server_is_parsed() -> None:
    assert parse_observation('{"known": false}') == ObservationResult(known=False)


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (None, FailureResult(known=False)),
        ([1, 0, 0], FailureResult(unhealthy_count=1)),
        ([2, 1, 30], FailureResult(unhealthy_count=2, went_offline=True, detached=30)),
    ],
)
def test_failure_is_parsed(reply: list[int] | None, result: FailureResult) -> None:
    assert parse_failure(reply) == result


def tenant(*settings: tuple[str, str, bool, str], secrets: str = "s") -> Tenant:
    reply: dict[str, Any] = {
        "id": "t1",
        "name": "school",
        "secrets": secrets,
        "settings": settings or {},
        "lrs": {},
        "rules": {},
    }
    found = parse_tenant(json.dumps(reply))
    assert found is not None
    return found


def test_no_tenant_is_none() -> None:
    assert parse_tenant(None) is None


@pytest.mark.parametrize(
    ("text", "secrets"),
    [("", ()), ("s", ("s",)), ("s1:s2", ("s1", "s2")), (":s1::s2:", ("s1", "s2"))],
)
def test_tenant_secrets_are_split(text: str, secrets: tuple[str, ...]) -> None:
    assert tenant(secrets=text).secrets == secrets


@pytest.mark.parametrize(
    ("param", "call", "create", "join"),
    [
        ("duration", "", True, False),
        ("welcome", "", True, False),
        ("meta_x", "", True, False),
        ("unheard-of", "", True, False),
        ("role", "", False, True),
        ("userdata-bbb_skip", "", False, True),
        ("logoutURL", "", True, True),
        ("welcome", "join", False, True),
        ("role", "create", True, False),
        ("role", "end", False, False),
    ],
)
@pytest.mark.parametrize("override", [True, False])
def test_tenant_setting_is_for_its_calls(
    param: str, call: str, create: bool, join: bool, override: bool
) -> None:
    found = tenant((param, "v", override, call))
    pair = ((param, "v"),)
    chosen = (found.override_create, found.override_join)
    others = (found.default_create, found.default_join)
    if not override:
        chosen, others = others, chosen
    assert chosen == (pair if create else (), pair if join else ())
    assert others == ((), ())
