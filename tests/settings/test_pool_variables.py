"""Ranges and defaults of variables: servers, polling, load, calls, dial-in."""

from __future__ import annotations

import pytest

from appliance.model import LoadWeights
from tests.doubles.settings import refusal, settings_of

MAX_COUNT = 2**31 - 1


def test_defaults_are_those_of_scalelite_or_documented() -> None:
    settings = settings_of()
    servers, polling, load = settings.servers, settings.polling, settings.load

    assert (servers.connect_timeout_s, servers.response_timeout_s) == (5, 10)
    assert servers.response_max_bytes == 64 * 1024 * 1024
    assert (servers.ca_file, servers.id_is_hostname) == (None, False)
    assert (polling.interval_s, polling.retry_interval_s, polling.deadline_s) == (60, 5, 10)
    assert (polling.healthy_threshold, polling.unhealthy_threshold) == (1, 2)
    assert polling.concurrency == 64
    assert (load.min_user_count, load.join_buffer_ms) == (15, 15 * 60 * 1000)
    assert load.count_moderators_twice
    assert load.forecast
    assert load.weights is None
    assert settings.meetings.ttl_s == 86400
    assert settings.api.request_max_bytes == 256 * 1024 * 1024
    assert settings.api.max_meeting_duration_min == 0
    assert settings.api.passthrough_calls == {"sendChatMessage"}
    assert settings.api.get_meetings_disabled is False
    bridge = settings.voice_bridge
    assert (bridge.length, bridge.pin_min, bridge.pin_max, bridge.use_external) == (9, 5, 9, False)
    assert (settings.fsapi.max_attempts_per_min, settings.fsapi.max_duration_s) == (30, 0)
    assert settings.fsapi.max_guesses_per_gateway_per_min == 600
    assert (settings.fsapi.context, settings.fsapi.binds) == ("public", ())
    assert settings.callback_block_private is False
    assert settings.analytics_store is False


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("POLLER_THREADS", 1, 10_000),
        ("SERVER_HEALTHY_THRESHOLD", 1, MAX_COUNT),
        ("SERVER_UNHEALTHY_THRESHOLD", 1, MAX_COUNT),
        ("LOAD_MIN_USER_COUNT", 0, MAX_COUNT),
        ("VOICE_BRIDGE_LEN", 3, 15),
        ("FSAPI_MAX_ATTEMPTS", 0, MAX_COUNT),
        ("REQUEST_MAX_BYTES", 0, 2**53),
        ("RESPONSE_MAX_BYTES", 0, 2**53),
        ("MAX_MEETING_DURATION", 0, 16_666_666),
        ("FSAPI_MAX_DURATION", 0, 16_666_666),
        ("LOAD_JOIN_BUFFER_TIME", 0, 16_666_666),
    ],
)
def test_number_is_accepted_up_to_its_limits(name: str, low: int, high: int) -> None:
    assert [refusal(**{name: str(value)}) for value in (low, high)] == ["", ""]
    for value in (low - 1, high + 1):
        assert f'{name}="{value}"' in refusal(**{name: str(value)})


@pytest.mark.parametrize("low", [1, 20])
def test_voice_bridge_digits_are_accepted_up_to_their_limits(low: int) -> None:
    assert refusal(VOICE_BRIDGE_MIN=str(low), VOICE_BRIDGE_MAX=str(low)) == ""
    assert "VOICE_BRIDGE_MIN" in refusal(VOICE_BRIDGE_MIN="0")
    assert "VOICE_BRIDGE_MAX" in refusal(VOICE_BRIDGE_MAX="21")


@pytest.mark.parametrize(
    "name",
    [
        "CONNECT_TIMEOUT",
        "RESPONSE_TIMEOUT",
        "POLL_INTERVAL",
        "INTERVAL",
        "POLL_RETRY_INTERVAL",
        "POLLER_WAIT_TIMEOUT",
        "DEFAULT_MEETING_TTL",
    ],
)
def test_time_is_positive_and_can_have_decimals(name: str) -> None:
    assert [refusal(**{name: raw}) for raw in ("0.001", "2.5", "1000000000")] == ["", "", ""]
    for raw in ("0", "0.0", "-1", "1000000001", "abc", "inf", "nan", "1e3"):
        assert f'{name}="{raw}"' in refusal(**{name: raw})


@pytest.mark.parametrize(
    ("raw", "calls"),
    [("a,b", {"a", "b"}), ("sendChatMessage:hooks/create", {"sendChatMessage", "hooks/create"})],
)
def test_passthrough_calls_are_a_list(raw: str, calls: set[str]) -> None:
    assert settings_of(PASSTHROUGH_CALLS=raw).api.passthrough_calls == calls


@pytest.mark.parametrize("raw", ["../x", "a b", "*", "a//b", "/a", ","])
def test_passthrough_calls_are_names(raw: str) -> None:
    assert "PASSTHROUGH_CALLS" in refusal(PASSTHROUGH_CALLS=raw)


@pytest.mark.parametrize(
    ("variables", "weights"),
    [
        ({"LOAD_PER_VIDEO": "3"}, LoadWeights(video=3)),
        ({"LOAD_PER_USER": "0", "LOAD_PER_VOICE": " 0.5 "}, LoadWeights(user=0, voice=0.5)),
        ({"LOAD_PER_MEETING": "1e3"}, LoadWeights(meeting=1000)),
        ({"LOAD_PER_USER": "1"}, LoadWeights()),
        ({"LOAD_PER_USER": "", "LOAD_PER_VIDEO": ""}, None),
    ],
)
def test_any_weight_replaces_the_formula_of_scalelite(
    variables: dict[str, str], weights: LoadWeights | None
) -> None:
    assert settings_of(**variables).load.weights == weights


@pytest.mark.parametrize(
    "name", ["LOAD_PER_USER", "LOAD_PER_VIDEO", "LOAD_PER_VOICE", "LOAD_PER_MEETING"]
)
@pytest.mark.parametrize("raw", ["-1", "-0.5", "nan", "inf", "-inf", "1e999", "1,5", "two", "1 2"])
def test_weight_that_is_no_number_from_0_is_refused(name: str, raw: str) -> None:
    assert f'{name}="{raw}": expected a number from 0' in refusal(**{name: raw})
