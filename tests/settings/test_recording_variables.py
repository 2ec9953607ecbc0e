"""The table's defaults and ranges: recordings, protection, object storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.settings import recording_variables
from appliance.settings.reading import KNOWN_NAMES
from appliance.settings.table import Variable
from tests.doubles.settings import refusal, settings_of


def test_every_constant_has_the_name_of_its_variable() -> None:
    constants = {k: v for k, v in vars(recording_variables).items() if isinstance(v, Variable)}

    assert len(constants) == 29
    assert all(variable.name == name for name, variable in constants.items())


def test_defaults_are_the_specified_ones() -> None:
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
def test_number_is_taken_up_to_its_borders(name: str, low: int, high: int) -> None:
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
def test_time_is_above_zero_and_takes_decimals(name: str) -> None:
    assert [refusal(**{name: raw}) for raw in ("0.001", "2.5")] == ["", ""]
    for raw in ("0", "0.0", "-1", "1000000001", "abc"):
        assert f'{name}="{raw}"' in refusal(**{name: raw})


@pytest.mark.parametrize(
    "name",
    [
        "RECORDING_DISABLED",
        "RECORDING_IMPORT_POLL",
        "RECORDING_IMPORT_UNPUBLISHED",
        "GET_RECORDINGS_API_FILTERED",
        "X_ACCEL_REDIRECT",
        "PROTECTED_RECORDINGS_ENABLED",
    ],
)
def test_boolean_is_taken_in_any_spelling_and_nothing_else(name: str) -> None:
    assert [refusal(**{name: word}) for word in ("TRUE", "no", "0", "On")] == [""] * 4
    assert name in refusal(**{name: "maybe"})


@pytest.mark.parametrize(
    "name",
    [
        "RECORDING_SPOOL_DIR",
        "RECORDING_WORK_DIR",
        "RECORDING_PUBLISH_DIR",
        "RECORDING_UNPUBLISH_DIR",
        "PLAYBACK_DIR",
    ],
)
def test_path_must_be_absolute(name: str) -> None:
    assert f'{name}="x/y"' in refusal(**{name: "x/y"})


@pytest.mark.parametrize("raw", ["../etc", "Video", "a/b", "a,b", ":", "x" * 65])
def test_playback_formats_become_paths_and_are_checked(raw: str) -> None:
    assert "RECORDING_PLAYBACK_FORMATS" in refusal(RECORDING_PLAYBACK_FORMATS=raw)


def test_names_without_meaning_are_not_in_the_table() -> None:
    assert not KNOWN_NAMES.intersection(recording_variables.WITHOUT_MEANING)
