"""Rules for every variable: empty values, files, fallbacks, messages, unknown names."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.settings import (
    access_variables,
    fleet_variables,
    pool_variables,
    recording_variables,
)
from appliance.settings.reading import KNOWN_NAMES, VARIABLES, read_values
from appliance.settings.recording_variables import WITHOUT_MEANING
from appliance.settings.table import Variable
from tests.doubles.s3 import pem_key
from tests.doubles.settings import SECRET, environment, refusal, settings_of

PEM = pem_key()[1]

UNRELATED = """
    PATH HOME LANG LC_ALL TERM SHELL USER LOGNAME PWD OLDPWD SHLVL HOSTNAME EDITOR PAGER _
    TZ MAIL XDG_RUNTIME_DIR XDG_STATE_HOME DBUS_SESSION_BUS_ADDRESS SSH_CONNECTION SUDO_USER
    JOURNAL_STREAM NOTIFY_SOCKET INVOCATION_ID WATCHDOG_USEC WATCHDOG_PID LISTEN_FDS
    LISTEN_PID STATE_DIRECTORY RUNTIME_DIRECTORY LOGS_DIRECTORY CACHE_DIRECTORY
    CONFIGURATION_DIRECTORY CREDENTIALS_DIRECTORY MAINPID SYSTEMD_EXEC_PID VIRTUAL_ENV
    PYTHONPATH PGHOST PGPORT PGUSER PGPASSWORD DB_HOST DB_PORT REDIS_HOST REDIS_PORT
    AWS_PROFILE http_proxy HTTPS_PROXY NO_PROXY CI DEBUG HOST DATABASE PYTEST_CURRENT_TEST
    SPORT BASE_DIR LOG_DIR LOG_FILE
"""
SECRETS = [variable.name for variable in VARIABLES if variable.secret]


def test_every_constant_is_named_after_its_variable() -> None:
    for module in (access_variables, fleet_variables, pool_variables, recording_variables):
        constants = {k: v for k, v in vars(module).items() if isinstance(v, Variable)}
        assert {name: variable.name for name, variable in constants.items()} == {
            name: name for name in constants
        }


def test_no_variable_is_in_the_table_twice() -> None:
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_empty_counts_as_unset_for_every_variable(blank: str) -> None:
    names = KNOWN_NAMES - {"FSAPI_PASSWORD", "LOADBALANCER_SECRET"}

    assert settings_of(**dict.fromkeys(names, blank)) == settings_of()


@pytest.mark.parametrize(
    ("name", "fallback", "raw", "other"),
    [
        ("POLL_INTERVAL", "INTERVAL", "7", "8"),
        ("LOG_LEVEL", "RAILS_LOG_LEVEL", "debug", "error"),
        ("PORT", "SCALELITE_API_PORT", "1", "2"),
        ("AWS_REGION", "AWS_DEFAULT_REGION", "eu-1", "us-1"),
    ],
)
def test_fallback_counts_only_while_the_variable_is_unset(
    name: str, fallback: str, raw: str, other: str
) -> None:
    assert settings_of(**{fallback: raw}) == settings_of(**{name: raw}) != settings_of()
    assert settings_of(**{name: raw, fallback: other}) == settings_of(**{name: raw})
    assert settings_of(**{name: "", fallback: raw}) == settings_of(**{name: raw})


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_secret_file_is_read_without_its_final_line_break(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b" s3c ret " + ending.encode())

    assert settings_of(ADMIN_SECRET_FILE=str(file)).admin.secrets == (" s3c ret ",)


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_can_come_from_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    values = {
        "DATABASE_URL": "postgresql://u:p@h/d",
        "REDIS_URL": "redis://h",
        "CF_PRIVATE_KEY_B64": PEM,
    }
    file.write_text(values.get(name, "s3c") + "\n")

    values = read_values({f"{name}_FILE": str(file)}).sources  # type: ignore[assignment]

    assert values == {name: f"file {file}"}


@pytest.mark.parametrize("name", SECRETS)
def test_secret_and_its_file_together_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text("s3c")

    (problem,) = read_values({name: "s3c", f"{name}_FILE": str(file)}).problems

    assert str(problem) == f"{name}: set either {name} or {name}_FILE, not both"


def test_empty_password_and_its_file_together_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3c")

    assert "not both" in refusal(FSAPI_PASSWORD="", FSAPI_PASSWORD_FILE=str(file))


def test_unreadable_secret_file_is_refused(tmp_path: Path) -> None:
    missing = refusal(ADMIN_SECRET_FILE=str(tmp_path / "none"))
    directory = refusal(ADMIN_SECRET_FILE=str(tmp_path))

    assert f'ADMIN_SECRET_FILE="{tmp_path}/none": cannot be read: No such file' in missing
    assert "cannot be read" in directory


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n", b"\xff\xfe", b"a" * 70_000])
def test_empty_binary_or_huge_secret_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)

    assert "ADMIN_SECRET_FILE" in refusal(ADMIN_SECRET_FILE=str(file))
    assert "FSAPI_PASSWORD_FILE" in refusal(FSAPI_PASSWORD_FILE=str(file))


def test_bad_content_of_a_file_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3c\ns3c")

    message = refusal(ADMIN_SECRET_FILE=str(file))

    assert "ADMIN_SECRET_FILE=***" in message
    assert "s3c" not in message


def test_message_names_every_bad_variable_with_value_and_expectation() -> None:
    message = refusal(
        POLL_INTERVAL="soon", PORT="99999", S3_RECORDING="maybe", REDIS_URL="http://u:s3c@h"
    )

    lines = message.splitlines()
    assert lines[0] == "The configuration is not valid:"
    assert len(lines) == 5
    assert '  POLL_INTERVAL="soon": expected seconds above 0, at most 1000000000,' in message
    assert '  PORT="99999": expected a whole number from 0 to 65535' in message
    assert '  S3_RECORDING="maybe": expected true or false' in message
    assert '  REDIS_URL="http://***@h": expected redis://' in message


def test_message_names_the_fallback_that_is_bad() -> None:
    assert 'INTERVAL="x"' in refusal(INTERVAL="x")
    assert "POLL_INTERVAL" not in refusal(INTERVAL="x")


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("DATABASE_URL", "postgres://u:S3C@h:x/d"),
        ("DATABASE_URL", "postgres://u:S3C#S3C@h/d"),
        ("DATABASE_URL", "postgres://u:S3C/S3C@h/d?password=S3C"),
        ("DATABASE_URL", "postgres://u:S3C"),
        ("DATABASE_URL", "S3C"),
        ("REDIS_URL", "redis://:S3C@h/x"),
        ("REDIS_URL", "S3C://S3C"),
        ("METRICS_TOKEN", "S3C\x01"),
        ("LOADBALANCER_SECRETS", "S3C\n:S3C"),
        ("CF_PRIVATE_KEY_B64", "S3C"),
        ("DEFAULT_CREATE_PARAMS", "moderatorPW=S3C,oops"),
        ("BIND", "http://u:S3C@h"),
    ],
)
def test_message_holds_no_secret(name: str, raw: str) -> None:
    message = refusal(**{name: raw})

    assert name in message
    assert "S3C" not in message


def test_message_cannot_be_forged_or_flooded() -> None:
    message = refusal(URL_HOST="a\nPORT: all is well \x1b[2J", BUILD_NUMBER="x" * 100_000)

    assert len(message.splitlines()) == 3
    assert "\x1b" not in message
    assert len(message) < 1000


@pytest.mark.parametrize("name", WITHOUT_MEANING)
def test_variable_without_meaning_is_accepted_silently(name: str) -> None:
    assert settings_of(**{name: "whatever"}) == settings_of()


def test_unrelated_environment_is_not_warned_about() -> None:
    assert settings_of(**dict.fromkeys(UNRELATED.split(), "x")).warnings == ()


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("URL_HOTS", "URL_HOST"),
        ("POOL_INTERVAL", "POLL_INTERVAL"),
        ("url_host", "URL_HOST"),
        ("LOADBALANCER_SECRET_FIL", "LOADBALANCER_SECRET_FILE"),
        ("DB_DISABLE", "DB_DISABLED"),
    ],
)
def test_misspelt_name_is_reported_with_a_suggestion(name: str, suggestion: str) -> None:
    (warning,) = settings_of(**{name: "x"}).warnings

    assert warning == f"{name} is unknown; did you mean {suggestion}?"


def test_file_for_a_variable_that_is_not_secret_is_reported() -> None:
    assert settings_of(PORT_FILE="/x").warnings == (
        "PORT_FILE is ignored: only a secret can come from a file",
    )


def test_nothing_secret_is_in_the_repr_of_values() -> None:
    assert SECRET not in repr(read_values(environment()))
