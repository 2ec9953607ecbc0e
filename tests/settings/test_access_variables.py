"""Ranges and defaults of variables: access, listeners, stores, operation."""

from __future__ import annotations

import pytest

from tests.doubles.settings import refusal, settings_of


def test_defaults_are_those_of_scalelite_or_documented() -> None:
    settings = settings_of()

    assert [str(bind) for bind in settings.web.binds] == ["tcp://0.0.0.0:3000"]
    assert settings.stores.redis_namespace == "scalelite"
    assert settings.stores.database_retry_count == 3
    assert settings.stores.prepared_statements is True
    assert (settings.log.level, settings.log.format) == ("info", "auto")
    assert settings.locale == "en"
    assert settings.api.build_number is None
    assert settings.api.multitenancy is False


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("PORT", 0, 65535),
        ("SCALELITE_API_PORT", 0, 65535),
        ("DB_CONNECTION_RETRY_COUNT", 0, 1000),
        ("REDIS_POOL", 1, 10_000),
    ],
)
def test_number_is_accepted_up_to_its_limits(name: str, low: int, high: int) -> None:
    assert [refusal(**{name: str(value)}) for value in (low, high)] == ["", ""]
    for value in (low - 1, high + 1):
        assert f'{name}="{value}"' in refusal(**{name: str(value)})


@pytest.mark.parametrize(
    ("raw", "level"),
    [
        ("debug", "debug"),
        ("INFO", "info"),
        ("warn", "warning"),
        ("warning", "warning"),
        ("error", "error"),
        ("fatal", "fatal"),
        ("unknown", "unknown"),
    ],
)
def test_log_level_takes_rails_names(raw: str, level: str) -> None:
    assert settings_of(RAILS_LOG_LEVEL=raw).log.level == level
    assert settings_of(LOG_LEVEL=raw).log.level == level


@pytest.mark.parametrize("raw", ["trace", "verbose", "5"])
def test_log_level_refuses_other_names(raw: str) -> None:
    assert "LOG_LEVEL" in refusal(LOG_LEVEL=raw)


@pytest.mark.parametrize("raw", ["a b", "x" * 101])
def test_redis_namespace_is_one_word(raw: str) -> None:
    assert "REDIS_NAMESPACE" in refusal(REDIS_NAMESPACE=raw)


@pytest.mark.parametrize("raw", ["../../etc/passwd", "e", "en/x", "en.yml"])
def test_locale_cannot_lead_out_of_its_directory(raw: str) -> None:
    assert "DEFAULT_LOCALE" in refusal(DEFAULT_LOCALE=raw)


@pytest.mark.parametrize("raw", ["en", "de", "pt-BR", "pt_BR", "zh-Hant-TW"])
def test_locale_is_a_language(raw: str) -> None:
    assert settings_of(DEFAULT_LOCALE=raw).locale == raw


def test_tunings_are_switched_off_by_name() -> None:
    found = settings_of(TUNING_OFF="connections, asyncio-loop").tuning_off

    assert found == {"connections", "asyncio-loop"}
    assert settings_of().tuning_off == frozenset()


@pytest.mark.parametrize("raw", ["true", "connections,loop", ","])
def test_unknown_tuning_is_refused(raw: str) -> None:
    assert "expected any of connections, asyncio-loop" in refusal(TUNING_OFF=raw)
