"""Rules of which misspelt name is recognised."""

from __future__ import annotations

import pytest

from appliance.settings.near_misses import find_near_miss

KNOWN = ["PORT", "BIND", "URL_HOST", "POLL_INTERVAL", "CONNECT_TIMEOUT", "REDIS_URL"]


@pytest.mark.parametrize(
    ("name", "meant"),
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
def test_one_slip_is_recognised(name: str, meant: str) -> None:
    assert find_near_miss(name, KNOWN) == meant


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
def test_other_name_is_not_recognised(name: str) -> None:
    assert find_near_miss(name, KNOWN) is None
