"""tools/demo.py: printed commands work, all processes end with it, and failures are reported."""

from __future__ import annotations

import os
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doubles.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
STOP_S = 30.0
LAST_LINE = "Ctrl-C stops everything."


class Demo:
    """A running demo and its output."""

    def __init__(self, port: int, state_dir: Path) -> None:
        self.port = port
        self.state_dir = state_dir
        self.lines: list[str] = []
        self._arrived: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "tools/demo.py", "--state-dir", state_dir],
            # Variables of the shell must not select the stores of a real pool.
            env={**os.environ, "PORT": str(port), "REDIS_URL": "redis://127.0.0.1:1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                self._arrived.put(line.rstrip("\n"))
        self._arrived.put(None)

    def wait_for(self, text: str, within_s: float = START_S) -> str:
        """Return the next line that contains a text."""
        deadline_s = time.monotonic() + within_s
        while True:
            line = self._arrived.get(timeout=max(0.0, deadline_s - time.monotonic()))
            assert line is not None, f"ended without {text!r}:\n{self.text}"
            self.lines.append(line)
            if text in line:
                return line

    def stop(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        while (line := self._arrived.get(timeout=STOP_S)) is not None:
            self.lines.append(line)
        return code

    @property
    def text(self) -> str:
        """Return the output up to now."""
        return "\n".join(self.lines)

    def url(self, call: str) -> str:
        """Return the printed URL of a call."""
        found = re.search(rf"^ +(http://\S+/{call}\?\S+)$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1]

    def command(self, pattern: str) -> str:
        """Return a printed shell command."""
        found = re.search(rf"^ +({pattern})(?:  #.*)?$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1]

    def ctl(self, words: str) -> str:
        """Run a printed ctl command and return its output."""
        script = f"{self.command('export CTL_SOCKET=.*')}\n{self.command(f'.* ctl {words}')}"
        done = subprocess.run(
            ["sh", "-ec", script], capture_output=True, text=True, timeout=40, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def processes(self) -> dict[int, str]:
        """Return all descendants with their names."""
        found: dict[int, str] = {}
        new = [self.process.pid]
        while new:
            new = [child for pid in new for child in _children(pid)]
            found.update({pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in new})
        return found


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _is_alive(pid: int) -> bool:
    """Return whether a process runs and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def run_demo(port: int, state_dir: Path) -> Iterator[Demo]:
    """Run a demo, and stop it if the test did not."""
    demo = Demo(port, state_dir)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.stop(signal.SIGTERM)


@contextmanager
def used_port() -> Iterator[int]:
    """Return a port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def fetch(url: str) -> str:
    """Fetch a page, following redirects."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=40) as answer:
        return str(answer.read().decode())


def test_printed_commands_work_and_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    with run_demo(free_port(), tmp_path / "state") as demo:
        demo.wait_for(LAST_LINE)
        processes = demo.processes()

        assert "sla_" in demo.text
        assert 'name="token"' in fetch(f"http://127.0.0.1:{demo.port}/scalelite/")
        assert "analysis-2" in demo.ctl("meetings list")
        assert "<returncode>SUCCESS</returncode>" in fetch(demo.url("create"))
        assert "A simulated BigBlueButton server." in fetch(demo.url("join"))
        assert "<running>true</running>" in fetch(demo.url("isMeetingRunning"))
        assert demo.ctl("status").count("online") == 3
        assert "demo" in demo.ctl("meetings list")
        assert {"redis-server", "postgres", "scalelite-appli"} <= set(processes.values())

        assert demo.stop(signal.SIGINT) == 0

    assert demo.lines[-1] == "demo: stopped"
    assert not [name for pid, name in processes.items() if _is_alive(pid)]


def test_second_run_uses_the_state_and_reports_ended_processes(tmp_path: Path) -> None:
    with run_demo(free_port(), tmp_path) as demo:
        demo.wait_for(LAST_LINE)
        demo.stop(signal.SIGTERM)
    with run_demo(free_port(), tmp_path) as demo:
        demo.wait_for(LAST_LINE)
        processes = demo.processes()
        assert demo.ctl("status").count("online") == 3

        subprocess.run(["sh", "-c", demo.command(r"kill \d+")], check=True)
        demo.wait_for("bbb1 has ended")
        appliance = next(pid for pid, name in processes.items() if name == "scalelite-appli")
        os.kill(appliance, signal.SIGKILL)

        assert demo.end() == 1
    assert "the appliance has ended (SIGKILL); end of its log:" in demo.text
    # The kernel ends the stores of the killed appliance.
    deadline_s = time.monotonic() + STOP_S
    while any(map(_is_alive, processes)) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not [name for pid, name in processes.items() if _is_alive(pid)]


def test_second_demo_on_one_state_is_refused(tmp_path: Path) -> None:
    with run_demo(free_port(), tmp_path) as first:
        first.wait_for("starting the appliance")
        with run_demo(free_port(), tmp_path) as second:
            assert second.end() == 1
        assert "another demo is running in" in second.text
        assert first.stop(signal.SIGTERM) == 0


def test_used_port_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with used_port() as port, run_demo(port, tmp_path / "state") as demo:
        assert demo.end() == 1

    assert demo.lines == [f"demo: port {port} is in use; choose another one: PORT=3100 make run"]
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_invalid_port_is_refused(port: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "tools/demo.py", f"--port={port}", f"--state-dir={tmp_path / 'state'}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=40,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == f"demo: PORT must be a number from 1 to 65535, not '{port}'\n"


def test_control_socket_has_another_directory_when_its_path_is_too_long(tmp_path: Path) -> None:
    with run_demo(free_port(), tmp_path / ("d" * 100)) as demo:
        demo.wait_for(LAST_LINE)
        path = Path(shlex.split(demo.command("export CTL_SOCKET=.*"))[1].partition("=")[2])
        assert path.is_socket()
        assert demo.ctl("status").count("online") == 3
        assert demo.stop(signal.SIGTERM) == 0

    assert not path.parent.exists()
