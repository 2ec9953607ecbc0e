"""The stores and their rules come from the settings."""

from __future__ import annotations

import pytest

from appliance.redis.store import redis_address
from appliance.settings import Settings, load_settings
from appliance.wiring.connections import placement_rules


def settings(**environ: str) -> Settings:
    """Return settings of an environment."""
    return load_settings({"LOADBALANCER_SECRET": "s" * 20, **environ}, is_root=False)


def test_placement_rules_come_from_the_settings() -> None:
    rules = placement_rules(
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
    assert redis_address(settings(**environ).stores, embedded).url == url
