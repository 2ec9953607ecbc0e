"""A BBB server's token counts while it is good, and nothing else does."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from appliance.bbb.server_token import server_of_token
from appliance.model import Server, ServerId
from tests.doubles.bbb_callbacks import bearer_token

NOW_S = 1_800_000_000.0
SECRET = "s" * 64
SERVERS = [
    Server(id=ServerId("a"), url="https://bbb1.example.org/bigbluebutton/api", secret="o" * 64),
    Server(id=ServerId("b"), url="https://bbb2.example.org/bigbluebutton/api", secret=SECRET),
    Server(id=ServerId("c"), url="https://bbb3.example.org/bigbluebutton/api", secret=""),
]


def signer(token: str, scheme: str = "Bearer") -> str | None:
    return server_of_token(SERVERS, f"{scheme} {token}", now_s=NOW_S)


def token(secret: str = SECRET, algorithm: str = "HS512", **claims: Any) -> str:
    return jwt.encode({"exp": int(NOW_S) + 300, **claims}, secret, algorithm)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, "b"),
        ({"exp": NOW_S + 86_400}, "b"),
        ({"exp": NOW_S + 1}, "b"),
        ({"exp": NOW_S}, None),
        ({"exp": NOW_S - 10}, None),
        ({"exp": -1}, None),
        ({"exp": str(int(NOW_S) + 300)}, None),
        ({"exp": True}, None),
        ({"exp": None}, None),
        ({"nbf": NOW_S + 59}, "b"),
        ({"nbf": NOW_S + 60}, None),
    ],
)
def test_token_counts_while_it_is_good(claims: dict[str, Any], expected: str | None) -> None:
    assert signer(token(**claims)) == expected


def test_token_without_expiry_does_not_count() -> None:
    assert signer(jwt.encode({}, SECRET, "HS512")) is None


def test_token_of_bbbs_script_counts() -> None:
    assert signer(bearer_token(SECRET, exp=NOW_S + 60)) == "b"
    assert signer(bearer_token(SECRET, exp=NOW_S + 60), scheme="bearer") == "b"


def _unsigned(alg: str) -> str:
    parts = ({"alg": alg, "typ": "JWT"}, {"exp": int(NOW_S) + 300})
    encoded = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode() for one in parts]
    return ".".join(one.rstrip("=") for one in encoded) + "."


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "a.b.c",
        "..",
        _unsigned("none"),
        _unsigned("HS512"),
        token(algorithm="HS256"),
        token(algorithm="HS384"),
        token("another secret" * 5),
        token() + "A",
        token()[:-2],
        token() + ".x",
        token().replace("ey", "ëy", 1),
        token() + " " * 5000 + "x",
        jwt.encode({"exp": int(NOW_S) + 300}, SECRET, "HS512", headers={"crit": ["b64"]}),
        "[" * 2000 + "." + "[" * 2000 + ".x",
    ],
)
def test_other_token_is_nobodys(bad: str) -> None:
    assert signer(bad) is None


@pytest.mark.parametrize("header", [None, "", "Basic x", token(), f"Digest {token()}"])
def test_other_header_is_nobodys(header: str | None) -> None:
    assert server_of_token(SERVERS, header, now_s=NOW_S) is None


def test_empty_secret_signs_nothing() -> None:
    assert signer(bearer_token("", exp=NOW_S + 60)) is None
