"""`ctl doctor`: findings with advice, with and without a running appliance."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from appliance.ctl.client import ControlError, NotRunning
from appliance.ctl.doctor import fit_finding
from appliance.ctl.down import explain_error
from tests.doubles.control import run_ctl
from tests.doubles.pool import open_pool
from tests.doubles.redis_processes import short_directory

WORDS = "words and words and words and words and words and"


@pytest.mark.parametrize(
    ("check", "screen", "expected"),
    [
        ("redis", None, [f"redis       {WORDS}"]),
        ("redis", 80, [f"redis       {WORDS}"]),
        ("redis", 56, [f"redis       {WORDS[:35]}", f"{18 * ' '}{WORDS[36:]}"]),
        ("a long long name", 56,
         ["a long long name", f"{18 * ' '}{WORDS[:35]}", f"{18 * ' '}{WORDS[36:]}"]),
    ],
)  # fmt: skip
def test_finding_is_wrapped_on_a_terminal_only(
    check: str, screen: int | None, expected: list[str]
) -> None:
    assert fit_finding(check, WORDS, 10, screen) == expected


async def test_findings_are_shown_and_a_failure_is_exit_code_1(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        (bbb,) = pool.servers
        await pool.control.ctl("servers", "update", bbb.server_id, "--secret", "wrong")

        done = await pool.control.ctl("doctor")

        assert (done.code, done.err) == (1, "")
        lines = done.out.splitlines()
        (at,) = [
            n for n, line in enumerate(lines) if line.startswith(f"FAIL  server {bbb.server_id} ")
        ]
        assert lines[at].endswith("it rejects calls: the secret is wrong")
        assert lines[at + 1].startswith(f"\t-> 'ctl servers update {bbb.server_id} --secret S'")
        assert "failed" in lines[-1]
        document = (await pool.control.ctl("doctor", "--json")).json
        assert document["healthy"] is False
        assert {one["level"] for one in document["findings"]} == {"ok", "warn", "fail"}
        assert "\x1b" not in done.out


def test_appliance_that_is_not_running_is_exit_code_3_with_a_hint(tmp_path: Path) -> None:
    done = run_ctl(tmp_path / "ctl.sock", "doctor")

    assert (done.code, done.err) == (3, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("FAIL  appliance")
    assert "not running" in lines[0]
    assert "systemctl start" in lines[1]
    assert any(line.startswith("FAIL  configuration") for line in lines)
    assert "LOADBALANCER_SECRET" in done.out
    document = run_ctl(tmp_path / "gone" / "ctl.sock", "doctor", "--json")
    assert document.code == 3
    assert document.json["healthy"] is False
    assert "export the same" in document.json["findings"][0]["advice"]


def test_socket_without_an_answer_is_explained() -> None:
    with short_directory() as directory:
        path = directory / "ctl.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        done = run_ctl(path, "doctor")

        assert (done.code, "no process listens" in done.out) == (3, True)
        hangs = explain_error(str(path), ControlError("no answer"))
        assert "systemctl restart" in hangs["advice"]
    refused = explain_error("/proc/1/none", ControlError("no permission"))
    assert "group" in refused["advice"]
    assert "systemctl start" in explain_error("/ctl.sock", NotRunning("no socket"))["advice"]


def test_appliance_that_closes_the_connection_is_exit_code_1() -> None:
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = directory / "ctl.sock"
        listener.bind(str(path))
        listener.listen()
        hanging_up = threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True)
        hanging_up.start()

        done = run_ctl(path, "doctor")

        hanging_up.join(10)
        assert (done.code, done.err) == (1, "")
        assert "without an answer" in done.out
