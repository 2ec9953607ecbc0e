"""The appliance of the demo: its process, state directory and control client."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from appliance.ctl.client import ControlClient, ControlError

PROGRAM = str(Path(sys.executable).with_name("scalelite-appliance"))
SECRET = "demo-secret"
CONTROL_SOCKET = "ctl.sock"
POLL_INTERVAL_S = 5
"""Shorter than the default, so that the number of users is up to date."""
START_LIMIT_S = 60.0
STOP_LIMIT_S = 50.0
"""Longer than the limit of the appliance (system/signals.py)."""
TICK_S = 0.1
MAX_SOCKET_PATH_BYTES = 107
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TZ")
"""Inherited variables; a REDIS_URL, for example, would select the stores of a real pool."""
HINT = "choose another directory: make run ARGS='--state-dir /tmp/demo'"

Rows = list[dict[str, Any]]


class DemoError(Exception):
    """The demo cannot continue. `str()` is the reason."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM was received."""


class Signals:
    """Counts signals to stop. They raise no exception, which could lose a child at its start."""

    def __init__(self) -> None:
        self.count = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    def check(self) -> None:
        """Raise Interrupted after a signal."""
        if self.count:
            raise Interrupted

    def pause(self) -> None:
        """Sleep for TICK_S. Raises Interrupted."""
        self.check()
        time.sleep(TICK_S)
        self.check()


@dataclass(frozen=True, slots=True)
class State:
    """The files of the demo."""

    directory: Path
    control_socket: Path
    log_file: Path
    log_start: int
    """Size of the log file at the start of this run."""

    def last_log_lines(self, count: int = 5) -> str:
        """Return the last lines of this run's log, indented."""
        text = self.log_file.read_bytes()[self.log_start :].decode("utf-8", "replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-count:])


@contextlib.contextmanager
def open_state(directory: Path) -> Iterator[State]:
    """Create the directory and lock it, so that no other demo uses the control socket."""
    log_file = directory / "appliance.log"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        log = log_file.open("ab")
    except OSError as error:
        raise DemoError(f"{directory} cannot be used ({error.strerror}); {HINT}") from error
    with log, _choose_socket(directory) as control_socket:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"another demo is running in {directory}; stop it, or {HINT}") from None
        yield State(directory, control_socket, log_file, log.tell())


@contextlib.contextmanager
def _choose_socket(directory: Path) -> Iterator[Path]:
    """Return the path of the control socket: in the directory, unless it is too long."""
    if len(os.fsencode(directory / CONTROL_SOCKET)) <= MAX_SOCKET_PATH_BYTES:
        yield directory / CONTROL_SOCKET
        return
    with tempfile.TemporaryDirectory(prefix="scalelite-demo-") as short:
        yield Path(short) / CONTROL_SOCKET


@contextlib.contextmanager
def run_appliance(port: int, state: State, signals: Signals) -> Iterator[Appliance]:
    """Run the appliance for the block."""
    appliance = Appliance(port, state, signals)
    try:
        yield appliance
    finally:
        appliance.stop()


class Appliance:
    """The process of the appliance."""

    def __init__(self, port: int, state: State, signals: Signals) -> None:
        self.state = state
        self._signals = signals
        self.api = f"http://127.0.0.1:{port}/bigbluebutton/api"
        self.control = ControlClient(str(state.control_socket))
        self.environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "STATE_DIR": str(state.directory),
            "CTL_SOCKET": str(state.control_socket),
            "BIND": f"tcp://127.0.0.1:{port}",
            "LOADBALANCER_SECRET": SECRET,
            "POLL_INTERVAL": str(POLL_INTERVAL_S),
            "LOG_FORMAT": "console",
            # Not in /var/bigbluebutton.
            **{
                f"RECORDING_{name}_DIR": str(state.directory / "recordings" / name.lower())
                for name in ("SPOOL", "WORK", "PUBLISH", "UNPUBLISH")
            },
        }
        with state.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*_end_with_parent(), PROGRAM, "run"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C is only sent to this process
            )

    def check(self) -> None:
        """Raise DemoError if the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise DemoError(
                f"the appliance has ended ({describe_exit(code)}); end of its log:\n"
                f"{self.state.last_log_lines()}"
            )

    def wait_until_ready(self) -> None:
        """Wait for the control socket, which is opened last."""
        self._wait_until(lambda rows: True, "the appliance is not ready")

    def wait_until_online(self, server_ids: Collection[str]) -> None:
        """Wait until these servers are online."""
        self._wait_until(
            lambda rows: (
                {row["id"] for row in rows if row["status"] == "online"} >= set(server_ids)
            ),
            "the simulated servers are not online",
        )

    def _wait_until(self, condition: Callable[[Rows], bool], otherwise: str) -> None:
        deadline_s = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline_s:
            self.check()
            with contextlib.suppress(ControlError):
                if condition(self.servers()):
                    return
            self._signals.pause()
        raise DemoError(f"{otherwise} after {START_LIMIT_S:g} s; see {self.state.log_file}")

    def servers(self) -> Rows:
        """Return the rows of `ctl status`. Raises ControlError."""
        rows: Rows = self.control.get("getStatus")["servers"]
        return rows

    def ctl(self, *words: str) -> None:
        """Run one ctl command. Raises DemoError: it failed."""
        done = subprocess.run(
            [PROGRAM, "ctl", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
            check=False,
        )
        self._signals.check()
        if done.returncode != 0:
            raise DemoError(f"ctl {words[0]} {words[1]}: {done.stderr.strip()}")

    def stop(self) -> None:
        """Stop the process with SIGTERM; a second Ctrl-C is passed on and stops it at once."""
        deadline_s = time.monotonic() + STOP_LIMIT_S
        sent = self._signals.count - 1
        while self._process.poll() is None and time.monotonic() < deadline_s:
            if sent != self._signals.count:
                sent = self._signals.count
                self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TICK_S)
        if self._process.poll() is None:
            print(f"demo: the appliance did not stop within {STOP_LIMIT_S:g} s and is killed")
            self._process.kill()
            self._process.wait()


def _end_with_parent() -> list[str]:
    """Return a prefix that ends the appliance if this process is killed (setpriv of util-linux)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def describe_exit(code: int) -> str:
    """Return `exit code 1` or `SIGKILL` for a return code of subprocess."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
