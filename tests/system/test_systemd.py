"""sd_notify messages on a real datagram socket, and the limit of the watchdog."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.system.systemd import SystemdNotifier


@pytest.fixture(params=["file", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Open a socket like that of systemd, and return its address for NOTIFY_SOCKET."""
    name = f"{tmp_path}/n" if request.param == "file" else f"@{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("\0" + name[1:] if request.param == "abstract" else name)
        bound.settimeout(40)
        yield bound, name


def test_states_are_lines_of_one_message(listener: tuple[socket.socket, str]) -> None:
    bound, name = listener
    systemd = SystemdNotifier({"NOTIFY_SOCKET": name})

    systemd.send("READY=1", "STATUS=3 servers, 2 fürs Üben")

    assert bound.recv(4096).decode() == "READY=1\nSTATUS=3 servers, 2 fürs Üben"


def test_reload_is_sent_with_the_monotonic_time(
    listener: tuple[socket.socket, str],
) -> None:
    bound, name = listener
    before_us = time.monotonic_ns() // 1000

    SystemdNotifier({"NOTIFY_SOCKET": name}).send_reloading()

    first, _, second = bound.recv(4096).decode().partition("\n")
    assert first == "RELOADING=1"
    assert before_us <= int(second.removeprefix("MONOTONIC_USEC=")) <= before_us + 5_000_000


def test_state_cannot_add_a_line(listener: tuple[socket.socket, str]) -> None:
    bound, name = listener

    SystemdNotifier({"NOTIFY_SOCKET": name}).send("STATUS=a\nSTOPPING=1")

    assert bound.recv(4096) == b"STATUS=a STOPPING=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nonexistent"}])
def test_nothing_happens_without_a_socket(environ: dict[str, str]) -> None:
    SystemdNotifier(environ).send("READY=1")


def test_full_socket_does_not_block(listener: tuple[socket.socket, str]) -> None:
    systemd = SystemdNotifier({"NOTIFY_SOCKET": listener[1]})

    for _ in range(2000):
        systemd.send("STATUS=" + "x" * 1000)


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
    ],
)
def test_watchdog_is_read_when_it_is_for_this_process(
    environ: dict[str, str], watchdog_s: float | None
) -> None:
    assert SystemdNotifier(environ).watchdog_s == watchdog_s
