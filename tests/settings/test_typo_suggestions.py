"""Suggestions for misspelt variable names."""

from __future__ import annotations

import pytest

from appliance.settings.typo_suggestions import suggest_name

KNOWN = ["PORT", "BIND", "URL_HOST", "POLL_INTERVAL", "CONNECT_TIMEOUT", "REDIS_URL"]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("POLL_INTERVALL", "POLL_INTERVAL"),
        ("POLL_INTERVA", "POLL_INTERVAL"),
        ("POOL_INTERVAL", "POLL_INTERVAL"),
        ("PLOL_INTERVAL", "POLL_INTERVAL"),
        ("POLLINTERVAL", "POLL_INTERVAL"),
        ("poll-interval", "POLL_INTERVAL"),
        ("TIMEOUT_CONNECT", "CONNECT_TIMEOUT"),
        ("HOST_URL", "URL_HOST"),
        ("REDIS_URI", "REDIS_URL"),
        ("port", "PORT"),
        ("URL_HOST ", "URL_HOST"),
    ],
)
def test_name_is_suggested_when_one_typing_error_differs(name: str, suggestion: str) -> None:
    assert suggest_name(name, KNOWN) == suggestion


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "SORT",
        "MIND",
        "PORTS",
        "BINDS",
        "POLL",
        "POLL_INTERVALXX",
        "INTERVAL_POLLS",
        "X_HOST",
        "",
    ],
)
def test_no_name_is_suggested_for_an_unrelated_one(name: str) -> None:
    assert suggest_name(name, KNOWN) is None
