"""What the package's files add to the environment, and how they are read."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.settings.check import describe_settings
from appliance.settings.package_files import complete_environment

CONFIGURATION = "etc/default/scalelite-appliance"
SECRETS = "etc/scalelite-appliance/secrets.env"
DEFAULTS = "usr/share/scalelite-appliance/defaults.env"


def write(root: Path, **files: str) -> None:
    """Write the package's files below root, by what they are."""
    for name, path in (
        ("configuration", CONFIGURATION),
        ("secrets", SECRETS),
        ("defaults", DEFAULTS),
    ):
        if name in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[name])


def test_files_count_in_their_order_and_the_environment_before_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        configuration="PORT=1\nURL_HOST=conf.example.org\nREDIS_POOL=\nFSAPI_PASSWORD=\n",
        secrets="LOADBALANCER_SECRET=made\nADMIN_SECRET=made too\n",
        defaults="REDIS_POOL=7\nURL_HOST=default.example.org\nSTATE_DIR=/var/lib/x\n",
    )
    environ = {"PORT": "2", "ADMIN_SECRET_FILE": "/secret"}

    assert complete_environment(environ, tmp_path) == []

    environ.pop("APPLIANCE_SOURCES")
    assert environ == {
        "PORT": "2",
        "ADMIN_SECRET_FILE": "/secret",
        "URL_HOST": "conf.example.org",
        "FSAPI_PASSWORD": "",
        "REDIS_POOL": "7",
        "LOADBALANCER_SECRET": "made",
        "STATE_DIR": "/var/lib/x",
    }


def test_own_values_of_the_package_give_way_to_what_replaces_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        configuration="LOADBALANCER_SECRETS=a:b\nREDIS_SENTINELS=s:1\n",
        secrets="LOADBALANCER_SECRET=made\n",
        defaults="REDIS_URL=unix:///redis.sock\n",
    )
    environ: dict[str, str] = {}

    complete_environment(environ, tmp_path)

    assert "LOADBALANCER_SECRET" not in environ
    assert "REDIS_URL" not in environ


def test_configuration_may_hold_both_a_secret_and_more_of_them(tmp_path: Path) -> None:
    write(tmp_path, configuration="LOADBALANCER_SECRETS=b\nLOADBALANCER_SECRET=a\n")
    environ: dict[str, str] = {}

    complete_environment(environ, tmp_path)

    assert environ["LOADBALANCER_SECRET"] == "a"


def test_unit_takes_the_secrets_from_its_credential_and_not_the_configuration_again(
    tmp_path: Path,
) -> None:
    write(
        tmp_path, configuration="PORT=1\n", secrets="ADMIN_SECRET=old\n", defaults="REDIS_POOL=7\n"
    )
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "secrets.env").write_text("ADMIN_SECRET=handed over\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}

    complete_environment(environ, tmp_path)

    assert environ["ADMIN_SECRET"] == "handed over"
    assert environ["REDIS_POOL"] == "7"
    assert "PORT" not in environ


def test_files_that_are_not_there_add_nothing(tmp_path: Path) -> None:
    environ = {"PORT": "1"}

    assert complete_environment(environ, tmp_path) == []
    assert environ == {"PORT": "1"}


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / SECRETS).mkdir(parents=True)  # root could read a file of any mode

    assert complete_environment({}, tmp_path) == [str(tmp_path / SECRETS)]


def test_config_check_names_the_file_of_a_value(tmp_path: Path) -> None:
    write(tmp_path, configuration="PORT=3210\n", secrets="LOADBALANCER_SECRET=abc\n")
    environ = {"REDIS_POOL": "9", "PATH": os.defpath}
    complete_environment(environ, tmp_path)

    sources = {row.name: row.source for row in describe_settings(environ, is_root=True)}

    assert sources["PORT"] == f"file {tmp_path / CONFIGURATION}"
    assert sources["LOADBALANCER_SECRET"] == f"file {tmp_path / SECRETS}"
    assert sources["REDIS_POOL"] == "environment"
