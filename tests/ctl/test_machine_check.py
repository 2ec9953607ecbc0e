"""`config check`: what only the machine refuses is exit code 1."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.ctl.machine_check import check_machine
from appliance.ctl.unit import Unit, add_unit_environment
from appliance.settings.package_files import SOURCES
from tests.doubles.certificates import make_certificate
from tests.doubles.control import Done, ctl_environment, run_ctl
from tests.doubles.ports import free_port
from tests.doubles.redis_processes import short_directory
from tests.doubles.settings import settings_of

SECRET = "s" * 32


def check(directory: Path, **variables: str) -> Done:
    """Run `config check` with a configuration that is good but for the variables."""
    good = {
        "LOADBALANCER_SECRET": SECRET,
        "STATE_DIR": str(directory),
        "RECORDING_DISABLED": "true",
        "BIND": "tcp://127.0.0.1:0",
    }
    return run_ctl(directory / "ctl.sock", "config", "check", **{**good, **variables})


def test_good_configuration_is_exit_code_0(tmp_path: Path) -> None:
    done = check(tmp_path)

    assert (done.code, done.err) == (0, "")
    assert check(tmp_path, PORT="x", BIND="").code == 78


def test_files_and_directories_are_tried(tmp_path: Path) -> None:
    cert, _ = make_certificate(tmp_path, "one")
    _, other = make_certificate(tmp_path, "two")
    broken = {
        "TLS_CERT_FILE": str(cert),
        "TLS_KEY_FILE": str(other),
        "BBB_CA_FILE": str(other),
        "S3_RECORDING": "true",
        "S3_BUCKET_NAME": "b",
        "S3_CA_FILE": str(tmp_path / "missing.pem"),
        "STATE_DIR": "/dev/null/state",
    }

    done = check(tmp_path, **broken)

    assert done.code == 1
    assert "TLS_KEY_FILE" in done.out  # the configuration is shown all the same
    tls, authorities, bucket, state = done.err.splitlines()
    assert tls.startswith("error: TLS_CERT_FILE and TLS_KEY_FILE cannot be used by ")
    assert "MISMATCH" in tls
    assert authorities.startswith("error: BBB_CA_FILE cannot be used by ")
    assert bucket.startswith("error: S3_CA_FILE cannot be used by ")
    assert state == "error: STATE_DIR: /dev/null is not a directory"
    problems = check(tmp_path, **broken).err.splitlines()
    assert len(problems) == 4


def test_object_storage_needs_boto3(tmp_path: Path) -> None:
    done = _check_without_boto3(tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith("error: S3_RECORDING needs boto3: install")


@pytest.mark.parametrize("variable", ["RECORDING_DISABLED", "DB_DISABLED"])
def test_boto3_is_not_needed_without_recordings(tmp_path: Path, variable: str) -> None:
    done = _check_without_boto3(tmp_path, **{variable: "true"})

    assert (done.returncode, done.stderr) == (0, "")


def _check_without_boto3(directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; sys.modules['boto3'] = None; from appliance.__main__ import main"
    environ = ctl_environment(directory / "ctl.sock", LOADBALANCER_SECRET=SECRET)
    environ |= {"STATE_DIR": str(directory), "BIND": "tcp://127.0.0.1:0"}
    environ |= {"S3_RECORDING": "true", "S3_BUCKET_NAME": "b", **variables}
    return subprocess.run(
        [sys.executable, "-c", f"{program}; sys.exit(main(['config', 'check']))"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_key_with_a_passphrase_is_refused_without_asking_for_it(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path, "one")
    run = (
        "openssl",
        "pkey",
        "-aes256",
        "-passout",
        "pass:geheim",
        "-in",
        key,
        "-out",
        f"{key}.new",
    )
    subprocess.run(run, check=True, capture_output=True)
    Path(f"{key}.new").replace(key)

    done = check(tmp_path, TLS_CERT_FILE=str(cert), TLS_KEY_FILE=str(key))

    assert done.code == 1
    assert "is encrypted; the service needs a key without a passphrase" in done.err


def test_files_of_the_addresses_of_stores_are_tried(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    done = check(
        tmp_path,
        SECRET_KEY_BASE="k" * 64,
        REDIS_URL=f"rediss://h?ssl_ca_certs={missing}&ssl_certfile={missing}",
        DATABASE_URL=f"postgres://h?sslmode=require&sslrootcert={missing}",
        RECORDING_DISABLED="false",
    )

    assert done.code == 1
    names = [line.partition(" cannot")[0] for line in done.err.splitlines() if "ca.pem" in line]
    assert names == [
        "error: REDIS_URL (ssl_certfile, ssl_keyfile)",
        "error: REDIS_URL (ssl_ca_certs)",
        "error: DATABASE_URL (sslrootcert)",
    ]


def test_files_for_tls_that_is_not_used_are_not_tried(tmp_path: Path) -> None:
    unused = {
        "SECRET_KEY_BASE": "k" * 64,
        "REDIS_URL": "redis://h?ssl_ca_certs=/missing&ssl_certfile=/missing",
        "DATABASE_URL": "postgres://h?sslrootcert=/missing",
    }

    assert check(tmp_path, **unused, RECORDING_DISABLED="false").code == 0
    unused["DATABASE_URL"] += "&sslmode=require"
    assert check(tmp_path, **unused).code == 0  # without recordings there is no database


def test_places_of_sockets_and_the_console_are_tried(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        taken = f"tcp://127.0.0.1:{held.getsockname()[1]}"
        done = check(
            tmp_path, BIND=f"unix://{tmp_path}/web", CONSOLE_BIND=taken, STATE_DIR="/proc/state"
        )

    assert done.code == 1
    assert done.err.splitlines() == [
        f"error: BIND unix://{tmp_path}/web: {tmp_path}/web exists and is not a socket",
        f"error: cannot listen on {taken}: Address already in use",
        "error: STATE_DIR: no file can be made in /proc",
    ]


def test_port_in_use_is_a_problem_unless_the_running_appliance_holds_it() -> None:
    with short_directory() as directory, socket.socket() as held, socket.socket() as other:
        for taken in (held, other):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        address = f"tcp://127.0.0.1:{held.getsockname()[1]}"

        before = check(directory, BIND=address)
        with socket.socket(socket.AF_UNIX) as appliance:  # this process is the appliance
            appliance.bind(str(directory / "ctl.sock"))
            appliance.listen()
            running = check(directory, BIND=address)

        assert before.code == 1
        assert before.err == f"error: cannot listen on {address}: Address already in use\n"
        assert (running.code, running.err) == (0, "")


def test_recordings_and_metrics_are_only_warned_about(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        metrics = f"tcp://127.0.0.1:{held.getsockname()[1]}"

        done = check(
            tmp_path,
            RECORDING_DISABLED="false",
            RECORDING_SPOOL_DIR="/dev/null/spool",
            METRICS_BIND=metrics,
        )

    assert (done.code, done.err) == (0, "")
    assert f"warning: cannot listen on {metrics}: Address already in use" in done.out
    assert "warning: RECORDING_SPOOL_DIR: /dev/null is not a directory" in done.out


def test_program_of_the_autoscaler_is_looked_for(tmp_path: Path) -> None:
    script = tmp_path / "scale pool"
    script.write_text("#!/bin/sh\n")
    for command, words in (
        ("true --now", ""),
        ("no-such-program-7f", "no-such-program-7f is not a program that can be run"),
        (f"'{script}' --now", f"{script} is not a program that can be run"),
    ):
        warnings = check_machine(settings_of(AUTOSCALE_COMMAND=command), Unit({})).warnings
        found = [one for one in warnings if one.startswith("AUTOSCALE_COMMAND: ")]
        assert [words in one for one in found] == ([True] if words else [])
    script.chmod(0o755)
    warnings = check_machine(settings_of(AUTOSCALE_COMMAND=f"'{script}'"), Unit({})).warnings
    assert not any("AUTOSCALE" in one for one in warnings)


def test_files_are_tried_as_the_user_of_the_service(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path, "one")
    key.chmod(0)
    settings = settings_of(
        BIND="tcp://127.0.0.1:0",
        STATE_DIR="/tmp",
        CTL_SOCKET="/tmp/ctl.sock",
        TLS_CERT_FILE=str(cert),
        TLS_KEY_FILE=str(key),
        RECORDING_DISABLED="true",
    )

    found = check_machine(settings, Unit({"User": "nobody"}))

    user = "nobody" if os.geteuid() == 0 else ""
    (problem,) = found.problems
    assert f"cannot be used by {user}" in problem
    assert problem.endswith("Permission denied")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/var/lib/scalelite-appliance", ""),
        ("/run/scalelite-appliance", ""),
        ("/var/bigbluebutton/published", ""),
        ("/srv/recordings", "ReadWritePaths=/srv/recordings"),
    ],
)
def test_unit_protects_directories(path: str, reason: str) -> None:
    unit = Unit(
        {
            "ProtectSystem": "strict",
            "StateDirectory": "scalelite-appliance",
            "RuntimeDirectory": "scalelite-appliance",
            "ReadWritePaths": "-/var/bigbluebutton",
        }
    )

    shown = unit.protects(Path(path))
    assert reason in shown
    assert bool(shown) == bool(reason)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/usr/local/backups", ""),
        ("/var/backups", ""),
        ("/etc/backups", "/etc/backups: ProtectSystem= makes it read-only without ReadWritePaths="),
    ],
)
def test_read_write_path_is_writable_below_a_protected_system(path: str, reason: str) -> None:
    unit = Unit({"ProtectSystem": "full", "ReadWritePaths": "/usr/local/backups"})

    assert unit.protects(Path(path)) == reason


def test_unit_hides_homes_and_temporary_files() -> None:
    unit = Unit({"ProtectHome": "yes", "PrivateTmp": "yes"})

    assert "ProtectHome=" in unit.hides(Path("/root/key.pem"))
    assert "PrivateTmp=" in unit.hides(Path("/tmp/key.pem"))
    assert unit.hides(Path("/etc/ssl/key.pem")) == Unit().hides(Path("/root/key.pem")) == ""


@pytest.mark.parametrize("path", ["/home/a", "/etc/backups", "/tmp/a", "/srv/backups"])
def test_directory_that_the_backup_unit_cannot_write_is_warned_about(
    tmp_path: Path, path: str
) -> None:
    lines = ("LoadState=loaded", "ProtectSystem=full", "ProtectHome=yes", "PrivateTmp=yes")
    fake = tmp_path / "systemctl"
    output = "".join(f"    echo {line}\n" for line in lines)
    fake.write_text(f'#!/bin/sh\ncase "$*" in *backup*)\n{output};;\nesac\n')
    fake.chmod(0o755)
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        SOURCES: f"STATE_DIR={tmp_path}/defaults.env",
    }

    done = check(tmp_path, BACKUP_DIR=path, **variables)

    text = f"warning: BACKUP_DIR: {path} cannot be used by scalelite-appliance-backup.service"
    assert done.code == 0
    assert (text in done.out) == (path != "/srv/backups")


def test_directory_that_systemd_makes_need_not_exist() -> None:
    unit = Unit({"User": "nobody", "RuntimeDirectory": "none-of-scalelite"})
    settings = settings_of(
        BIND="tcp://127.0.0.1:0",
        STATE_DIR="/tmp",
        RECORDING_DISABLED="true",
        CTL_SOCKET="/run/none-of-scalelite/ctl.sock",
    )

    assert check_machine(settings, unit).problems == ()


def test_variables_of_a_drop_in_win_over_defaults_only() -> None:
    unit = Unit(
        {"Environment": 'PORT=8123 "DEFAULT_LOCALE=de" LOG_LEVEL=debug REDIS_URL=redis://r'}
    )
    environ = {
        "LOG_LEVEL": "info",
        "PORT": "3000",
        "REDIS_URL": "unix:///x",
        SOURCES: "PORT=/etc/default/scalelite-appliance\nREDIS_URL=/usr/share/a/defaults.env",
    }

    add_unit_environment(environ, unit)

    assert (environ["PORT"], environ["DEFAULT_LOCALE"]) == ("3000", "de")
    assert (environ["LOG_LEVEL"], environ["REDIS_URL"]) == ("info", "redis://r")


def test_drop_in_is_read_on_the_package(tmp_path: Path) -> None:
    fake = tmp_path / "systemctl"
    fake.write_text("#!/bin/sh\necho LoadState=loaded\necho Environment=PORT=many\n")
    fake.chmod(0o755)
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        SOURCES: f"STATE_DIR={tmp_path}/defaults.env",
    }

    done = check(tmp_path, BIND="", **variables)

    assert done.code == 78
    assert "PORT" in done.err
    assert check(tmp_path, PORT=str(free_port()), BIND="", **variables).code == 0
