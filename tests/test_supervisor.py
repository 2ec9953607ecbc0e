"""The small decisions of the supervisor; that it starts and stops all is tests/end_to_end/."""

from __future__ import annotations

import string

import pytest

from appliance import supervisor
from appliance.settings import Settings, load_settings


def settings(**environ: str) -> Settings:
    """Return settings of an environment."""
    return load_settings({"LOADBALANCER_SECRET": "s" * 20, **environ}, is_root=False)


@pytest.mark.parametrize(
    ("urls", "own"),
    [
        (["http://127.0.0.1:3000"], "http://127.0.0.1:3000"),
        (["http://0.0.0.0:3000"], "http://127.0.0.1:3000"),
        (["https://[::]:3000"], "https://[::1]:3000"),
        (["unix:///run/a.sock", "http://10.0.0.1:80"], "http://10.0.0.1:80"),
        (["unix:///run/a.sock"], None),
        ([], None),
    ],
)
def test_own_url_can_be_asked_over_tcp(urls: list[str], own: str | None) -> None:
    assert supervisor._own_url(urls) == own


def test_passwords_are_eight_random_alphanumerics() -> None:
    made = {supervisor._new_password() for _ in range(200)}

    assert len(made) == 200
    assert {len(password) for password in made} == {8}
    assert set("".join(made)) <= set(string.ascii_letters + string.digits)


def test_placement_rules_come_from_the_settings() -> None:
    rules = supervisor._placement_rules(
        settings(
            LOAD_MIN_USER_COUNT="7",
            LOAD_JOIN_BUFFER_TIME="2",
            LOAD_FORECAST="false",
            DEFAULT_MEETING_TTL="30",
            CONNECT_TIMEOUT="1",
            RESPONSE_TIMEOUT="2",
        )
    )

    assert (rules.min_user_count, rules.join_buffer_ms, rules.forecast) == (7, 120_000, False)
    assert (rules.ttl_s, rules.creating_ms) == (30, 8_000)


@pytest.mark.parametrize(
    ("environ", "embedded", "url"),
    [
        ({}, "unix:///state/redis.sock", "unix:///state/redis.sock"),
        ({"REDIS_URL": "redis://h:1/2", "SECRET_KEY_BASE": "k" * 64}, None, "redis://h:1/2"),
    ],
)
def test_redis_is_the_configured_one_or_the_embedded(
    environ: dict[str, str], embedded: str | None, url: str
) -> None:
    assert supervisor._redis_address(settings(**environ).stores, embedded).url == url
