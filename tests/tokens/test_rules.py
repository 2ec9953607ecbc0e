"""Access tokens: names, secrets, headers."""

from __future__ import annotations

import base64

import pytest

from appliance.admin_calls.actors import Role
from appliance.tokens.rules import (
    SECRET_BYTES,
    Token,
    digest_of,
    is_name,
    parse_bearer,
    secret_of,
)


def test_secret_has_its_prefix_and_all_bytes() -> None:
    secret = secret_of(bytes(range(SECRET_BYTES)))

    assert secret.startswith("sla_")
    assert base64.urlsafe_b64decode(secret.removeprefix("sla_") + "=") == bytes(range(SECRET_BYTES))


@pytest.mark.parametrize("name", ["a", "monitoring", "Moodle-2.example_org", "x" * 64])
def test_name_is_accepted(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "a\n", "x" * 65, "(ADMIN_SECRET)"])
def test_name_is_refused(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("Bearer sla_x", "sla_x"),
        ("bearer  sla_x ", "sla_x"),
        ("Bearer", ""),
        ("Basic sla_x", None),
        ("sla_x", None),
        ("", None),
        (None, None),
    ],
)
def test_bearer_is_read_from_its_header(header: str | None, secret: str | None) -> None:
    assert parse_bearer(header) == secret


def test_secret_of_a_header_is_bounded_and_may_be_any_text() -> None:
    found = parse_bearer("Bearer " + "\udc80" * 100_000)

    assert found is not None
    assert len(found) == 200
    assert len(digest_of(found)) == 64


def test_token_is_valid_until_it_expires() -> None:
    token = Token("a", Role.VIEWER, None, 0, 1000)

    assert (token.is_valid(999), token.is_valid(1000)) == (True, False)
    assert Token("a", Role.VIEWER, None, 0, None).is_valid(10**15)
