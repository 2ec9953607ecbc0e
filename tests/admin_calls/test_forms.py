"""The JSON of the admin API: Scalelite's fields and types, and bodies read strictly."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin_calls.forms import (
    BadRequest,
    flag,
    merge_fields,
    parse_body,
    server_fields,
    text,
    texts,
)
from appliance.meetings.admin_json import meeting_json, server_meetings_json
from appliance.meetings.administration import ServerMeetings
from appliance.model import (
    ListedMeeting,
    Meeting,
    MeetingId,
    Server,
    ServerChange,
    ServerId,
    ServerState,
)
from appliance.pool.ending import EndOutcome, EndResult
from appliance.servers.admin_json import (
    ended_json,
    parse_change,
    parse_new_server,
    poll_json,
    server_json,
    status_json,
)
from appliance.servers.administration import PoolStatus
from appliance.servers.polling import PollResult
from appliance.servers.values import NewServer

SERVER = Server(
    ServerId("one"),
    "https://BBB1.example.com/bigbluebutton/api",
    "s3cr3t",
    ServerState.ENABLED,
    online=True,
    load_multiplier=2.0,
    load=21.0,
    meetings=3,
    users=40,
    largest_meeting=20,
    videos=5,
    bbb_version="3.0.10",
)


def test_server_has_the_fields_and_types_of_scalelite() -> None:
    assert server_json(SERVER) == {
        "id": "one",
        "url": "https://BBB1.example.com/bigbluebutton/api",
        "secret": "s3cr3t",
        "tag": "",
        "bbb_version": "3.0.10",
        "state": "enabled",
        "load": 21.0,
        "load_multiplier": "2.0",
        "online": "online",
        "max_meetings": None,
        "max_users": None,
    }
    offline = server_json(dataclasses.replace(SERVER, online=False, load=None))
    assert (offline["online"], offline["load"]) == ("offline", "unavailable")


def test_status_has_no_secret() -> None:
    document = status_json(PoolStatus((SERVER,)))

    assert "s3cr3t" not in json.dumps(document)
    assert (document["meetings"], document["users"], document["available"]) == (3, 40, 1)
    (row,) = document["servers"]
    assert (row["hostname"], row["status"], row["load"]) == ("bbb1.example.com", "online", 21.0)


@pytest.mark.parametrize(
    ("online", "unstable", "status"),
    [(True, False, "online"), (True, True, "unstable"), (False, False, "offline")],
)
def test_status_tells_unstable_servers(online: bool, unstable: bool, status: str) -> None:
    server = dataclasses.replace(SERVER, online=online, unstable=unstable)

    assert status_json(PoolStatus((server,)))["servers"][0]["status"] == status


def test_meeting_shows_no_password() -> None:
    meeting = Meeting(MeetingId("m"), ServerId("one"), "mod-pw", "123", server=SERVER.target)

    document = meeting_json(meeting)

    assert "mod-pw" not in json.dumps(document)
    assert document["server_url"] == SERVER.url


def test_other_documents_are_plain_json() -> None:
    listed = ListedMeeting("m", 1, 2, 3, 4, is_breakout=True)
    ended = (EndResult(MeetingId("m"), ServerId("one"), EndOutcome.GONE),)

    documents = [
        server_meetings_json(ServerMeetings(SERVER, (listed,))),
        poll_json(PollResult(SERVER, succeeded=False, reason="refused")),
        *ended_json(ended),
    ]

    for document in documents:
        assert json.loads(json.dumps(document)) == document
        assert "s3cr3t" not in json.dumps(document)
    assert documents[2]["outcome"] == "gone"


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"1", b"\xff", b"[" * 100_000])
def test_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_body(body)


@given(st.binary(max_size=200))
def test_any_body_is_an_object_or_refused(body: bytes) -> None:
    try:
        assert isinstance(parse_body(body), dict)
    except BadRequest:
        return


def test_fields_stand_under_server_or_at_the_top() -> None:
    assert server_fields({"server": {"url": "x"}}) == {"url": "x"}
    assert server_fields({"url": "x"}) == {"url": "x"}
    with pytest.raises(BadRequest):
        server_fields({"server": "x"})


def test_new_server_is_read() -> None:
    fields = {"url": "u", "secret": "s", "load_multiplier": "2.5", "tag": "t", "max_users": 5}

    assert parse_new_server(fields) == NewServer(
        "u", "s", load_multiplier=2.5, tag="t", max_users=5
    )
    # Scalelite: 0 means not given.
    for nothing in (0, "0", "", None):
        assert parse_new_server({"url": "u", "secret": "s", "load_multiplier": nothing}) == (
            NewServer("u", "s")
        )


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
    ],
)
def test_new_server_is_refused_when_a_field_is_odd(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        parse_new_server(fields)


def test_change_leaves_what_is_not_given() -> None:
    assert parse_change({}) == ServerChange()
    assert parse_change({"secret": "", "load_multiplier": ""}) == ServerChange()
    assert parse_change({"tag": "", "max_users": "0"}) == ServerChange(tag="", max_users=0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (False, False), (None, False), ("true", True), ("False", False), ("", False)],
)
def test_flag_is_read(value: object, expected: bool) -> None:
    assert flag({"x": value}, "x") is expected


def test_odd_values_are_refused() -> None:
    for call in (flag, text, texts):
        with pytest.raises(BadRequest, match="x must be"):
            call({"x": 7}, "x")
    with pytest.raises(BadRequest):
        texts({"x": ["a", ""]}, "x")


def test_query_wins_over_the_body_and_its_first_value_counts() -> None:
    merged = merge_fields({"id": "body", "x": 1}, [("id", "first"), ("id", "second")])

    assert merged == {"id": "first", "x": 1}


@pytest.mark.parametrize(
    "body",
    [b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": ["\\ud83d"]}', b'{"a": "\xed\xa0\x80"}'],
)
def test_half_a_surrogate_pair_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_body(body)


def test_whole_surrogate_pair_is_text() -> None:
    assert parse_body(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
