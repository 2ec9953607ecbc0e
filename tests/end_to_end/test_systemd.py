"""What the process tells systemd, on a real notification socket (sd_notify(3))."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.appliance_process import ApplianceProcess, not_started, wait_for
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.redis_processes import redis_process
from tests.doubles.store_servers import RedisServer

WATCHDOG_S = 1.5


class NotifySocket:
    """What systemd would listen on; the messages that came."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)
        self.lines: list[str] = []

    def read(self) -> list[str]:
        """Return all lines that came so far."""
        while True:
            try:
                self.lines += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.lines

    def wait(self, line: str, within_s: float = 40) -> None:
        """Wait until a line that begins so has come."""
        wait_for(
            lambda: any(one.startswith(line) for one in self.read()),
            within_s,
            lambda: f"{line} among {self.lines}",
        )

    def forget(self) -> None:
        """Forget what came."""
        self.read()
        self.lines.clear()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def notify() -> Iterator[tuple[NotifySocket, dict[str, str]]]:
    """Give the socket, and the variables that systemd would set."""
    with tempfile.TemporaryDirectory(prefix="sl-") as directory:
        name = f"{directory}/notify"
        listener = NotifySocket(name)
        try:
            watchdog_us = str(int(WATCHDOG_S * 1_000_000))
            yield listener, {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": watchdog_us}
        finally:
            listener.close()


@pytest.fixture
def stores(redis_server: RedisServer, redis_namespace: str) -> dict[str, str]:
    """Give the variables of the stores."""
    where = {"REDIS_URL": redis_server.url, "REDIS_NAMESPACE": redis_namespace}
    return {**where, "DB_DISABLED": "true", "SECRET_KEY_BASE": "k" * 64}


def test_life_is_told_to_systemd(
    tmp_path: Path, stores: dict[str, str], notify: tuple[NotifySocket, dict[str, str]]
) -> None:
    systemd, environ = notify
    with BbbProcess() as bbb, ApplianceProcess(tmp_path, **environ, **stores) as appliance:
        systemd.wait("READY=1")
        systemd.wait("STATUS=0 of 0 enabled servers online")
        systemd.wait("WATCHDOG=1")
        systemd.forget()
        now_us = time.monotonic_ns() // 1000
        appliance.signal(signal.SIGHUP)
        systemd.wait("READY=1")
        begin = systemd.lines.index("RELOADING=1")
        assert int(systemd.lines[begin + 1].removeprefix("MONOTONIC_USEC=")) >= now_us
        assert "READY=1" in systemd.lines[begin + 2 :]

        appliance.add_server(bbb)
        appliance.terminate()
        systemd.forget()
        appliance.start()
        systemd.wait("STATUS=1 of 1 enabled servers online")
        for _ in range(3):
            systemd.forget()
            systemd.wait("WATCHDOG=1")

        assert "STOPPING=1" not in systemd.read()
        assert appliance.terminate() == 0
        systemd.wait("STOPPING=1")
        assert "WATCHDOG=1" not in systemd.read()[systemd.lines.index("STOPPING=1") + 2 :]


def test_stopped_process_feeds_no_watchdog(
    tmp_path: Path, stores: dict[str, str], notify: tuple[NotifySocket, dict[str, str]]
) -> None:
    systemd, environ = notify
    with ApplianceProcess(tmp_path, **environ, **stores) as appliance:
        systemd.wait("WATCHDOG=1")
        appliance.signal(signal.SIGSTOP)
        wait_for(lambda: _state(appliance) == "T", 40, "stopped")
        systemd.forget()
        end_s = time.monotonic() + WATCHDOG_S
        wait_for(lambda: time.monotonic() > end_s, 5, "time")
        assert systemd.read() == []

        appliance.signal(signal.SIGCONT)

        systemd.wait("WATCHDOG=1")


def _state(appliance: ApplianceProcess) -> str:
    return Path(f"/proc/{appliance.pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_appliance_is_ready_without_redis_and_says_so(
    tmp_path: Path, notify: tuple[NotifySocket, dict[str, str]]
) -> None:
    systemd, environ = notify
    with redis_process() as redis:
        redis.kill()
        stores = {"REDIS_URL": redis.tcp_url, "DB_DISABLED": "true", "SECRET_KEY_BASE": "k" * 64}
        with not_started(tmp_path, **stores, **environ) as appliance:
            appliance.start(wait=False)
            systemd.wait("READY=1")
            systemd.wait("STATUS=waiting for Redis")
            assert appliance.events("waiting_for_redis", level="warning")

            assert appliance.terminate() == 0
            systemd.wait("STOPPING=1")
            appliance.check_log()


def test_socket_that_is_gone_does_not_matter(tmp_path: Path, stores: dict[str, str]) -> None:
    environ = {"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "not a number"}
    with ApplianceProcess(tmp_path, **environ, **stores) as appliance:
        assert appliance.front.fetch("GET", "/health_check").status == 200


def test_watchdog_of_another_process_is_not_fed(
    tmp_path: Path, stores: dict[str, str], notify: tuple[NotifySocket, dict[str, str]]
) -> None:
    """WATCHDOG_PID names whom systemd means: sd_watchdog_enabled(3)."""
    systemd, environ = notify
    other = {"WATCHDOG_PID": str(os.getpid()), "WATCHDOG_USEC": "100000"}
    with ApplianceProcess(tmp_path, **{**environ, **other}, **stores) as appliance:
        systemd.wait("STATUS=0 of 0")
        for _ in range(20):
            assert appliance.front.fetch("GET", "/health_check").status == 200
        assert "WATCHDOG=1" not in systemd.read()
