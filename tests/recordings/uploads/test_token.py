"""A BBB server's token is taken for its recording and its time only."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from appliance.model import Server, ServerId
from appliance.recordings.uploads.token import server_of_upload

NOW_S = 1_800_000_000.0
SECRET = "s" * 40
SERVERS = [
    Server(id=ServerId("a"), url="https://bbb1.example.org/bigbluebutton/api", secret="o" * 40),
    Server(id=ServerId("b"), url="https://bbb2.example.org/bigbluebutton/api", secret=SECRET),
    Server(id=ServerId("c"), url="https://bbb3.example.org/bigbluebutton/api", secret=""),
]


def sender(secret: str = SECRET, **claims: Any) -> str | None:
    given = {"sub": "b", "exp": int(NOW_S) + 300, "recordID": "r1", **claims}
    token = jwt.encode(given, secret, "HS256")
    return server_of_upload(SERVERS, f"Bearer {token}", "r1", now_s=NOW_S)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, "b"),
        ({"sub": "bbb2.example.org"}, "b"),
        ({"sub": "BBB2.Example.org"}, "b"),
        ({"sub": "B"}, None),
        ({"exp": NOW_S + 600}, "b"),
        ({"exp": NOW_S + 1}, "b"),
        ({"exp": NOW_S}, None),
        ({"exp": NOW_S + 601}, None),
        ({"nbf": NOW_S + 60}, "b"),
        ({"nbf": NOW_S + 61}, None),
        ({"nbf": "now"}, None),
        ({"exp": 10**400}, None),
        ({"exp": -1}, None),
        ({"exp": True}, None),
        ({"sub": "a"}, None),
        ({"sub": "bbb1.example.org"}, None),
        ({"recordID": "r2"}, None),
        ({"recordID": ["r1"]}, None),
        ({"iat": "x"}, "b"),
    ],
)
def test_server_of_upload_checks_every_claim(claims: dict[str, Any], expected: str | None) -> None:
    assert sender(**claims) == expected


def test_server_of_upload_refuses_another_servers_secret() -> None:
    assert sender(secret="o" * 40) is None


def test_server_of_upload_refuses_a_header_of_nested_json() -> None:
    nested = "[" * 1400 + "]" * 1400
    header = base64.urlsafe_b64encode(nested.encode()).decode().rstrip("=")
    payload = base64.urlsafe_b64encode(json.dumps({"sub": "b"}).encode()).decode().rstrip("=")
    token = f"Bearer {header}.{payload}.AAAA"
    assert server_of_upload(SERVERS, token, "r1", now_s=NOW_S) is None
