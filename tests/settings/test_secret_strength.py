"""Strength of secrets; no reason quotes a secret."""

from __future__ import annotations

import pytest

from appliance.settings.secret_strength import PUBLISHED, find_weakness


@pytest.mark.parametrize(
    "secret",
    [
        "3f9a1c7e5b2d8046af13c2e9d7b05846f1e2d3c4b5a69788796a5b4c3d2e1f00",
        "Xk29-fjP0slW-qq81mZnA7bY",
    ],
)
def test_secret_is_strong_when_long_and_random(secret: str) -> None:
    assert find_weakness(secret) is None


@pytest.mark.parametrize(
    ("secret", "guessable"),
    [
        ("Xk29-fjP0slW-qq81", False),
        ("Xk29-fjP0slW-q", True),
        ("secret", True),
        ("changeme123", True),
        ("Scalelite!", True),
        ("a" * 64, True),
        ("abababababababababababababab", True),
        *((secret, True) for secret in sorted(PUBLISHED)),
    ],
)
def test_weakness_is_found_and_does_not_quote_the_secret(secret: str, guessable: bool) -> None:
    weakness = find_weakness(secret)

    assert weakness is not None
    assert weakness.guessable is guessable
    assert secret not in weakness.reason
