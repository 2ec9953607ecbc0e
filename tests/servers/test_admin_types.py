"""The answers of the admin calls about servers: Scalelite's fields and types."""

from __future__ import annotations

import dataclasses
import json

import msgspec
import pytest

from appliance.model import MeetingId, Server, ServerId, ServerState
from appliance.pool.ending import EndOutcome, EndResult
from appliance.servers.admin_types import (
    ended_json,
    poll_json,
    polls_json,
    server_json,
    status_json,
)
from appliance.servers.administration import PoolStatus
from appliance.servers.polling import PollResult

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
    assert msgspec.to_builtins(server_json(SERVER)) == {
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
        "dial_in": "",
        "dial_in_port": None,
        "recordings_owed": 0,
        "recordings_awaited": 0,
        "maintenance": None,
    }
    offline = server_json(dataclasses.replace(SERVER, online=False, load=None))
    assert (offline.online, offline.load) == ("offline", "unavailable")


def test_status_has_no_secret() -> None:
    status = status_json(PoolStatus((SERVER,)))

    assert b"s3cr3t" not in msgspec.json.encode(status)
    assert (status.meetings, status.users, status.available) == (3, 40, 1)
    (row,) = status.servers
    assert (row.hostname, row.status, row.load) == ("bbb1.example.com", "online", 21.0)


@pytest.mark.parametrize(
    ("online", "unstable", "status"),
    [(True, False, "online"), (True, True, "unstable"), (False, False, "offline")],
)
def test_status_shows_unstable_servers(online: bool, unstable: bool, status: str) -> None:
    server = dataclasses.replace(SERVER, online=online, unstable=unstable)

    assert status_json(PoolStatus((server,))).servers[0].status == status


def test_servers_of_one_host_have_different_labels() -> None:
    other = dataclasses.replace(SERVER, url="https://bbb1.example.com:8443/bigbluebutton/api")
    polls = [PollResult(one, succeeded=True) for one in (SERVER, other)]

    hostnames = [row.hostname for row in status_json(PoolStatus((SERVER, other))).servers]

    assert len(set(hostnames)) == 2
    assert [one.hostname for one in polls_json(polls)] == hostnames


def test_poll_and_ended_meetings_are_plain_json_without_secret() -> None:
    ended = (EndResult(MeetingId("m"), ServerId("one"), EndOutcome.GONE),)

    poll = msgspec.json.encode(poll_json(PollResult(SERVER, succeeded=False, reason="refused")))

    assert json.loads(poll)["reason"] == "refused"
    assert b"s3cr3t" not in poll
    assert json.loads(msgspec.json.encode(ended_json(ended))) == [
        {"id": "m", "server_id": "one", "outcome": "gone", "reason": ""}
    ]
