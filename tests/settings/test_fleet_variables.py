"""Ranges and defaults of variables: the size of the pool and the autoscaler's hook."""

from __future__ import annotations

import pytest

from tests.doubles.settings import SECRET, refusal, settings_of


def test_defaults_are_those_of_the_documentation() -> None:
    fleet = settings_of().fleet

    assert (fleet.seats_per_server, fleet.headroom_percent) == (200, 20)
    assert (fleet.min_servers, fleet.max_servers, fleet.time_zone) == (1, None, None)
    assert (fleet.autoscale_url, fleet.autoscale_command) == (None, ())
    assert fleet.autoscale_timeout_s == 60


@pytest.mark.parametrize(
    ("variables", "secret"),
    [
        ({}, SECRET),
        ({"ADMIN_SECRET": "admin-1"}, "admin-1"),
        ({"ADMIN_SECRET": "admin-1", "AUTOSCALE_SECRET": "own-1"}, "own-1"),
    ],
)
def test_secret_is_that_of_the_admin_api_unless_set(variables: dict[str, str], secret: str) -> None:
    assert settings_of(**variables).fleet.autoscale_secret == secret


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("SEATS_PER_SERVER", 1, 100_000),
        ("POOL_HEADROOM", 0, 1000),
        ("POOL_MIN_SERVERS", 0, 100_000),
        ("POOL_MAX_SERVERS", 1, 100_000),
    ],
)
def test_number_is_accepted_up_to_its_limits(name: str, low: int, high: int) -> None:
    assert [refusal(**{name: str(value)}) for value in (low, high)] == ["", ""]
    for value in (low - 1, high + 1, "20%"):
        assert f'{name}="{value}"' in refusal(**{name: str(value)})


def test_least_number_of_servers_is_not_above_the_greatest() -> None:
    assert refusal(POOL_MIN_SERVERS="3", POOL_MAX_SERVERS="3") == ""
    assert "POOL_MAX_SERVERS (2)" in refusal(POOL_MIN_SERVERS="3", POOL_MAX_SERVERS="2")


def test_command_is_split_as_a_shell_does() -> None:
    fleet = settings_of(AUTOSCALE_COMMAND="/opt/scale --zone 'north 1' $HOME").fleet

    assert fleet.autoscale_command == ("/opt/scale", "--zone", "north 1", "$HOME")
    for raw in ("scale 'north", "''"):
        assert "AUTOSCALE_COMMAND" in refusal(AUTOSCALE_COMMAND=raw)


@pytest.mark.parametrize("url", ["http://10.0.0.5:8080/hook", "https://h/hook?token=a%20b"])
def test_hook_url_is_kept_as_it_is(url: str) -> None:
    assert settings_of(AUTOSCALE_URL=url).fleet.autoscale_url == url


@pytest.mark.parametrize(
    "url", ["ftp://h/", "http://", "http://u:p@h/", "http://h/#a", "http://h/?a#b", "http://h/?a b"]
)
def test_hook_url_is_one_of_http(url: str) -> None:
    assert "AUTOSCALE_URL" in refusal(AUTOSCALE_URL=url)


def test_time_zone_is_one_of_the_iana_database() -> None:
    assert settings_of(POOL_TIME_ZONE="Europe/Berlin").fleet.time_zone == "Europe/Berlin"
    for raw in ("Europe", "Europe/Atlantis", "../etc/passwd", "/etc/passwd"):
        assert "POOL_TIME_ZONE" in refusal(POOL_TIME_ZONE=raw)
