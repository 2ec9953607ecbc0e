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


def test_secret_may_be_any_text() -> None:
    assert len(digest_of("\udc80" * 100_000)) == 64


def test_token_is_valid_until_it_expires() -> None:
    token = Token("a", Role.VIEWER, None, 0, 1000)

    assert (token.is_valid(999), token.is_valid(1000)) == (True, False)
    assert Token("a", Role.VIEWER, None, 0, None).is_valid(10**15)
