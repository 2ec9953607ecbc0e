"""The output of `config check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.settings import (
    SettingRow,
    SettingsError,
    describe_settings,
    render_check_json,
    render_check_text,
)
from appliance.settings.reading import VARIABLES
from tests.doubles.settings import environment


def rows_of(**variables: str) -> dict[str, tuple[str, str]]:
    """Return value and origin of each row."""
    rows = describe_settings(environment(**variables), is_root=True)
    return {row.name: (row.value, row.source) for row in rows}


def test_every_variable_has_its_row() -> None:
    assert list(rows_of()) == [variable.name for variable in VARIABLES]


@pytest.mark.parametrize(
    ("variables", "name", "row"),
    [
        ({}, "PORT", ("3000", "default")),
        ({"PORT": "080"}, "PORT", ("80", "environment")),
        ({"SCALELITE_API_PORT": "81"}, "PORT", ("81", "environment (SCALELITE_API_PORT)")),
        ({"INTERVAL": "30"}, "POLL_INTERVAL", ("30", "environment (INTERVAL)")),
        ({"LOAD_FORECAST": "NO"}, "LOAD_FORECAST", ("false", "environment")),
        ({"REQUEST_MAX_BYTES": "1048576"}, "REQUEST_MAX_BYTES", ("1MiB", "environment")),
        ({}, "LOADBALANCER_SECRET", ("***", "environment")),
        ({"LOADBALANCER_SECRETS": "a:b"}, "LOADBALANCER_SECRETS", ("***:***", "environment")),
        ({}, "LOADBALANCER_SECRETS", ("", "default")),
        ({}, "LOADBALANCER_CHECKSUM_ALGORITHM", ("SHA1:SHA256:SHA384:SHA512", "default")),
        ({}, "SECRET_KEY_BASE", ("***", "generated")),
        ({"SECRET_KEY_BASE": "k"}, "SECRET_KEY_BASE", ("***", "environment")),
        ({}, "ADMIN_SECRET", ("***", "derived from LOADBALANCER_SECRET")),
        (
            {"LOADBALANCER_SECRETS": "a"},
            "ADMIN_SECRET",
            ("***:***", "derived from LOADBALANCER_SECRET(S)"),
        ),
        ({}, "FSAPI_PASSWORD", ("***", "derived from LOADBALANCER_SECRET")),
        ({"FSAPI_PASSWORD": ""}, "FSAPI_PASSWORD", ("", "environment")),
        (
            {"MAX_MEETING_DURATION": "90"},
            "FSAPI_MAX_DURATION",
            ("90", "derived from MAX_MEETING_DURATION"),
        ),
        ({"URL_HOST": "a.org"}, "BASE_URL", ("a.org", "derived from URL_HOST")),
        ({}, "BASE_URL", ("", "default")),
        ({"PORT": "81"}, "BIND", ("tcp://0.0.0.0:81", "derived from PORT")),
        ({}, "DATABASE_URL", ("embedded", "default")),
        ({"DB_DISABLED": "1"}, "DATABASE_URL", ("not used", "default")),
        ({"DB_DISABLED": "1"}, "RECORDING_DISABLED", ("true", "derived from DB_DISABLED")),
        ({}, "STATE_DIR", ("/var/lib/scalelite-appliance", "default")),
        ({}, "CTL_SOCKET", ("/run/scalelite-appliance/ctl.sock", "default")),
        (
            {"DATABASE_URL": "postgres://u:S3C@h?pool=5", "SECRET_KEY_BASE": "k"},
            "DATABASE_URL",
            ("postgresql://u:***@h/scalelite", "environment"),
        ),
        (
            {"REDIS_URL": "redis://:S3C@h/0", "SECRET_KEY_BASE": "k"},
            "REDIS_URL",
            ("redis://:***@h/0", "environment"),
        ),
        (
            {
                "REDIS_SENTINELS": "a:1,[::1]:2",
                "REDIS_SENTINEL_MASTER": "m",
                "SECRET_KEY_BASE": "k",
            },
            "REDIS_SENTINELS",
            ("a:1,[::1]:2", "environment"),
        ),
        (
            {"DEFAULT_CREATE_PARAMS": "moderatorPW=S3C,a=1"},
            "DEFAULT_CREATE_PARAMS",
            ("moderatorPW=***,a=1", "environment"),
        ),
    ],
)
def test_row_shows_effective_value_and_origin(
    variables: dict[str, str], name: str, row: tuple[str, str]
) -> None:
    assert rows_of(**variables)[name] == row


def test_row_names_the_file_a_secret_came_from(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("S3C\n")

    assert rows_of(METRICS_TOKEN_FILE=str(file))["METRICS_TOKEN"] == ("***", f"file {file}")


def test_invalid_configuration_is_refused_as_at_the_start() -> None:
    with pytest.raises(SettingsError, match="PORT"):
        describe_settings(environment(PORT="x"), is_root=True)


def test_no_secret_is_shown_anywhere() -> None:
    rows = describe_settings(
        environment(
            LOADBALANCER_SECRET="S3C",
            LOADBALANCER_SECRETS="S3C1:S3C2",
            ADMIN_SECRET="S3C3",
            SECRET_KEY_BASE="S3C4",
            FSAPI_PASSWORD="S3C5",
            METRICS_TOKEN="S3C6",
            AWS_SECRET_ACCESS_KEY="S3C7",
            AWS_SESSION_TOKEN="S3C8",
            DATABASE_URL="postgres://u:S3C9@h/d?sslpassword=S3CA",
            REDIS_URL="unix:///run/r?password=S3CB",
            OVERRIDE_JOIN_PARAMS="password=S3CC",
        ),
        is_root=True,
    )

    assert "S3C" not in render_check_text(rows) + render_check_json(rows)


ROWS = [
    SettingRow("A", "1", "default"),
    SettingRow("LONG_NAME", "", "environment"),
    SettingRow("B", "x\ny", "file /\x1b"),
]


def test_text_is_an_aligned_table_of_printable_lines() -> None:
    assert render_check_text(ROWS, ["be careful"]).split("\n") == [
        "VARIABLE   VALUE  SOURCE",
        "A          1      default",
        "LONG_NAME  -      environment",
        "B          x\\ny   file /\\x1b",
        "warning: be careful",
    ]


def test_text_fits_a_terminal() -> None:
    rows = [SettingRow("RECORDING_SPOOL_DIR", "/" + "x" * 80, "file /etc/default/" + "y" * 30)]

    lines = render_check_text(rows, width=80).split("\n")

    assert max(map(len, lines)) == 80
    assert lines[1].count("…") == 2
    assert (
        max(
            map(
                len,
                render_check_text(describe_settings(environment(), is_root=True), width=80).split(
                    "\n"
                ),
            )
        )
        <= 80
    )


def test_json_holds_rows_and_warnings() -> None:
    document = json.loads(render_check_json(ROWS, ["be careful"]))

    assert document["settings"][0] == {"name": "A", "value": "1", "source": "default"}
    assert len(document["settings"]) == 3
    assert document["warnings"] == ["be careful"]
