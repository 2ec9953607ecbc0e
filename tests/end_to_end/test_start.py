"""What the appliance says, and with which code it ends, when it cannot or should not start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from appliance import __version__
from tests.doubles.appliance_process import (
    COMMAND,
    PROGRAM_LIMIT_S,
    ROOT,
    ApplianceProcess,
    not_started,
    run_program,
    wait_for,
)
from tests.doubles.store_servers import RedisServer

SECRET = "a-secret-of-the-configuration"
GOOD = {"LOADBALANCER_SECRET": SECRET}


@pytest.fixture
def stores(redis_server: RedisServer, redis_namespace: str) -> dict[str, str]:
    """Give the variables for a quick start, without stores of its own."""
    return {
        "REDIS_URL": redis_server.url,
        "REDIS_NAMESPACE": redis_namespace,
        "DB_DISABLED": "true",
        "SECRET_KEY_BASE": "k" * 64,
    }


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, ["LOADBALANCER_SECRET"]),
        ({"LOADBALANCER_SECRET": ""}, ["LOADBALANCER_SECRET"]),
        (
            {**GOOD, "PORT": "high", "POLL_INTERVAL": "0", "VOICE_BRIDGE_LEN": "99"},
            ['PORT="high"', 'POLL_INTERVAL="0"', 'VOICE_BRIDGE_LEN="99"'],
        ),
        ({**GOOD, "REDIS_URL": "http://u:hunter2@h"}, ["REDIS_URL"]),
        ({**GOOD, "DATABASE_URL": "postgres://u:hunter2@h/d"}, ["SECRET_KEY_BASE"]),
        ({**GOOD, "LOADBALANCER_SECRET_FILE": "/x"}, ["LOADBALANCER_SECRET_FILE"]),
        ({"LOADBALANCER_SECRET_FILE": "/nonexistent/s"}, ["LOADBALANCER_SECRET_FILE"]),
        ({**GOOD, "BIND": "ssl://127.0.0.1:0"}, ["TLS_CERT_FILE"]),
    ],
)
def test_bad_configuration_is_one_message_and_nothing_starts(
    tmp_path: Path, environ: Mapping[str, str], named: list[str]
) -> None:
    state = tmp_path / "state"
    done = run_program("run", environ={"STATE_DIR": str(state), "HOME": str(tmp_path), **environ})

    assert done.returncode == 78
    assert done.stderr.count("The configuration is not valid") == 1
    assert [name for name in named if name not in done.stderr] == []
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    assert SECRET not in done.stderr
    assert not state.exists()


def test_bad_configuration_is_an_error_of_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("wb") as journal:
        status = os.fstat(journal.fileno())
        done = subprocess.run(
            [*COMMAND, "run"],
            env={**GOOD, "PORT": "high", "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
            cwd=ROOT,
            stderr=journal,
            timeout=PROGRAM_LIMIT_S,
            check=False,
        )
    lines = (tmp_path / "journal").read_text().splitlines()

    assert done.returncode == 78
    assert any('PORT="high"' in line for line in lines)
    assert [line for line in lines if not line.startswith("<3>")] == []


def test_start_fails_clearly_when_the_port_is_taken(tmp_path: Path, stores: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with not_started(tmp_path, BIND=address, **stores) as appliance:
            appliance.start(wait=False)

            assert appliance.wait() == 1
            assert f"cannot listen on {address}" in appliance.log_text()
            appliance.check_log()


def test_api_is_served_when_the_metrics_port_is_taken(
    tmp_path: Path, stores: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        appliance = ApplianceProcess(tmp_path, METRICS_BIND=address, **stores)
        appliance.expected_errors.add("metrics_listener_failed")
        with appliance:
            assert appliance.control.get("getStatus")["servers"] == []
            assert f"cannot listen on {address}" in appliance.log_text()


def test_start_fails_clearly_when_the_control_socket_is_in_use(
    tmp_path: Path, stores: dict[str, str]
) -> None:
    with ApplianceProcess(tmp_path, **stores) as first:
        second_dir = tmp_path / "second"
        second_dir.mkdir()
        with not_started(second_dir, CTL_SOCKET=str(first.control_socket), **stores) as second:
            second.start(wait=False)

            assert second.wait() == 1
            assert "another appliance is running" in second.log_text()
            second.check_log()
        assert first.control.get("getStatus")["servers"] == []


def test_start_fails_clearly_when_the_state_directory_is_no_directory(tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.touch()
    with not_started(tmp_path, STATE_DIR=str(file)) as appliance:
        appliance.start(wait=False)

        assert appliance.wait() == 1
        assert str(file) in appliance.log_text()
        appliance.check_log()


@pytest.mark.parametrize("name", ["BBB_CA_FILE", "S3_CA_FILE"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_start_fails_clearly_when_authorities_cannot_be_used(
    tmp_path: Path, stores: dict[str, str], name: str, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    variables = {"S3_RECORDING": "true", "S3_BUCKET_NAME": "b", name: str(file)}
    with not_started(tmp_path, **stores, **variables) as appliance:
        appliance.start(wait=False)

        assert appliance.wait() == 1
        assert appliance.log_text().startswith(f"scalelite-appliance: {name} cannot be used: ")
        assert str(file) in appliance.log_text()
        appliance.check_log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after_s", [0, 0.1, 0.3, 0.5, 0.8])
def test_stop_is_obeyed_at_every_moment_of_the_start(
    tmp_path: Path, number: signal.Signals, after_s: float
) -> None:
    """With embedded stores: the later ones come while these are made."""
    with not_started(tmp_path) as appliance:
        appliance.start(wait=False)
        appliance.wait_catching()
        end_s = time.monotonic() + after_s
        wait_for(lambda: time.monotonic() > end_s, 5, "time")

        appliance.signal(number)

        assert appliance.wait(within_s=40) == 0
        wait_for(lambda: not appliance.children(), 40, lambda: f"left: {appliance.children()}")
        appliance.check_log()
        if after_s == 0.5:  # what was half made is no obstacle
            appliance.start()
            appliance.finish()


def test_misspelt_variable_is_warned_about_and_the_secret_may_be_a_file(
    tmp_path: Path, stores: dict[str, str]
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    environ = {"LOADBALANCER_SECRET_FILE": str(file), "POLL_INTERVALL": "5"}
    with ApplianceProcess(tmp_path, LOADBALANCER_SECRET=None, **environ, **stores) as appliance:
        appliance.front.secret = SECRET

        assert appliance.front.get("getMeetings").key == "noMeetings"
        assert "POLL_INTERVALL" in appliance.events("configuration", level="warning")[0]["problem"]
        appliance.sensitive.add(SECRET)


def test_config_check_shows_values_and_sources_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "admin"
    file.write_text("another-secret")
    environ = {**GOOD, "ADMIN_SECRET_FILE": str(file), "POLL_INTERVAL": "7"}

    for words in (["config", "check"], ["ctl", "config", "check"]):
        done = run_program(*words, environ=environ)

        assert (done.returncode, done.stderr) == (0, "")
        lines = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
        assert lines["POLL_INTERVAL"][1:] == ["7", "environment"]
        assert lines["CONNECT_TIMEOUT"][-1] == "default"
        assert SECRET not in done.stdout
        assert "another-secret" not in done.stdout


def test_config_check_gives_json(tmp_path: Path) -> None:
    done = run_program("config", "check", "--json", environ={**GOOD, "POLL_INTERVALL": "5"})

    document = json.loads(done.stdout)
    found = {setting["name"]: setting["value"] for setting in document["settings"]}
    assert found["LOADBALANCER_SECRET"] == "***"
    assert "POLL_INTERVALL" in str(document["warnings"])


def test_config_check_fails_like_the_start() -> None:
    done = run_program("config", "check", environ={**GOOD, "PORT": "high"})

    assert done.returncode == 78
    assert 'PORT="high"' in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "output"),
    [
        (["version"], 0, f"scalelite-appliance {__version__}\n"),
        (["--help"], 0, "usage: scalelite-appliance COMMAND"),
        ([], 2, ""),
        (["bogus"], 2, ""),
        (["run", "now"], 2, ""),
        (["ctl", "bogus"], 2, ""),
        (["ctl", "status", "--bogus"], 2, ""),
    ],
)
def test_program_ends_with_the_documented_code(words: list[str], code: int, output: str) -> None:
    done = run_program(*words, environ=GOOD)

    assert done.returncode == code
    assert done.stdout.startswith(output)
    assert code != 2 or "usage" in done.stderr.lower() or "--help" in done.stderr
