"""Ranges and defaults of variables: recordings, protection, object storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.settings import recording_variables
from appliance.settings.reading import KNOWN_NAMES
from tests.doubles.settings import refusal, settings_of


def test_defaults_are_those_of_scalelite_or_documented() -> None:
    settings = settings_of()
    recordings, bbb = settings.recordings, Path("/var/bigbluebutton")

    assert recordings.spool_dir == bbb / "spool"
    assert recordings.work_dir == bbb / "recording/scalelite"
    assert recordings.publish_dir == bbb / "published"
    assert recordings.unpublish_dir == bbb / "unpublished"
    assert recordings.playback_dir == bbb / "playback"
    assert (recordings.import_poll, recordings.import_poll_interval_s) == (True, 60)
    assert (recordings.import_unpublished, recordings.import_concurrency) == (False, 2)
    assert (recordings.max_files, recordings.max_bytes) == (200_000, 200 * 1024**3)
    assert ":".join(recordings.playback_formats) == (
        "presentation:video:screenshare:podcast:notes:capture"
    )
    assert (recordings.disabled, recordings.api_filtered) == (False, False)
    assert recordings.x_accel_redirect is False
    protected = settings.protected
    assert (protected.enabled, protected.token_timeout_s, protected.cookie_timeout_s) == (
        False,
        60 * 60,
        360 * 60,
    )
    assert settings.s3.enabled is False
    assert settings.retention_days is None


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("RECORDING_IMPORT_CONCURRENCY", 1, 100),
        ("RECORDING_MAX_FILES", 0, 2**31 - 1),
        ("RECORDING_MAX_BYTES", 0, 2**53),
    ],
)
def test_number_is_accepted_up_to_its_limits(name: str, low: int, high: int) -> None:
    assert [refusal(**{name: str(value)}) for value in (low, high)] == ["", ""]
    for value in (low - 1, high + 1):
        assert f'{name}="{value}"' in refusal(**{name: str(value)})


@pytest.mark.parametrize(
    "name",
    [
        "RECORDING_IMPORT_POLL_INTERVAL",
        "PROTECTED_RECORDINGS_TOKEN_TIMEOUT",
        "PROTECTED_RECORDINGS_TIMEOUT",
        "RECORDING_RETENTION_DAYS",
    ],
)
def test_time_is_positive_and_can_have_decimals(name: str) -> None:
    assert [refusal(**{name: raw}) for raw in ("0.001", "2.5")] == ["", ""]
    for raw in ("0", "0.0", "-1", "1000000001", "abc"):
        assert f'{name}="{raw}"' in refusal(**{name: raw})


@pytest.mark.parametrize("raw", ["../etc", "Video", "a/b", "a,b", ":", "x" * 65])
def test_playback_formats_become_paths_and_are_checked(raw: str) -> None:
    assert "RECORDING_PLAYBACK_FORMATS" in refusal(RECORDING_PLAYBACK_FORMATS=raw)


def test_names_without_meaning_are_not_in_the_table() -> None:
    assert not KNOWN_NAMES.intersection(recording_variables.WITHOUT_MEANING)
