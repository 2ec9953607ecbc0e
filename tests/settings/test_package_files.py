"""Environment from the files of the Debian package."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.settings import load_settings
from appliance.settings.check import describe_settings
from appliance.settings.package_files import complete_environment

CONFIGURATION = "etc/default/scalelite-appliance"
SECRETS = "etc/scalelite-appliance/secrets.env"
DEFAULTS = "usr/share/scalelite-appliance/defaults.env"


def write(root: Path, **files: str) -> None:
    """Write files of the package below root."""
    for name, path in (
        ("configuration", CONFIGURATION),
        ("secrets", SECRETS),
        ("defaults", DEFAULTS),
    ):
        if name in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[name])


def test_environment_takes_precedence_over_the_files_in_their_order(
    tmp_path: Path,
) -> None:
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


def test_export_in_a_file_is_warned_about(tmp_path: Path) -> None:
    configuration = "export PORT=3001\nDEFAULT_LOCALE_X='a\nexport X=c'\n"
    write(tmp_path, configuration=configuration, secrets="LOADBALANCER_SECRET=made\n")
    environ: dict[str, str] = {}

    complete_environment(environ, tmp_path)

    assert "PORT" not in environ
    assert list(load_settings(environ, is_root=False).warnings) == [
        f"PORT in {tmp_path / CONFIGURATION} is ignored: remove the `export` before it"
    ]


def test_value_of_the_package_is_not_added_when_an_alternative_is_set(tmp_path: Path) -> None:
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


def test_configuration_can_set_both_variables_of_secrets(tmp_path: Path) -> None:
    write(tmp_path, configuration="LOADBALANCER_SECRETS=b\nLOADBALANCER_SECRET=a\n")
    environ: dict[str, str] = {}

    complete_environment(environ, tmp_path)

    assert environ["LOADBALANCER_SECRET"] == "a"


def test_service_reads_secrets_from_its_credential_and_not_the_configuration(
    tmp_path: Path,
) -> None:
    write(
        tmp_path, configuration="PORT=1\n", secrets="ADMIN_SECRET=old\n", defaults="REDIS_POOL=7\n"
    )
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "secrets.env").write_text("ADMIN_SECRET=from credential\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}

    complete_environment(environ, tmp_path)

    assert environ["ADMIN_SECRET"] == "from credential"
    assert environ["REDIS_POOL"] == "7"
    assert "PORT" not in environ


def test_missing_files_add_nothing(tmp_path: Path) -> None:
    environ = {"PORT": "1"}

    assert complete_environment(environ, tmp_path) == []
    assert environ == {"PORT": "1"}


def test_unreadable_file_is_returned(tmp_path: Path) -> None:
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
