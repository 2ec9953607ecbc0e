"""The appliance as tools/demo.py runs it: its process, its state directory, its ctl.

Starts and stops that one process; knows nothing of the simulated servers.
Truth: docs/configuration.md (its environment), appliance/system/signals.py (how it stops).
"""

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
"""Not the default of a minute: a person who tries it wants to see users counted."""
START_LIMIT_S = 60.0
STOP_LIMIT_S = 50.0
"""More than the appliance gives itself (system/signals.py)."""
TICK_S = 0.1
MAX_SOCKET_PATH_BYTES = 107
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TZ")
"""All that is taken from the environment: a REDIS_URL in it would lead us to a real pool."""
ELSEWHERE = "choose another directory, say: make run ARGS='--state-dir /tmp/demo'"

Rows = list[dict[str, Any]]


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM came while the demo was starting."""


class Signals:
    """Counts the requests to stop. A flag, not an exception: no child is lost while it starts."""

    def __init__(self) -> None:
        self.count = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    def check(self) -> None:
        """Raise Interrupted if there was one."""
        if self.count:
            raise Interrupted

    def pause(self) -> None:
        """Wait a moment. Raises Interrupted."""
        self.check()
        time.sleep(TICK_S)
        self.check()


@dataclass(frozen=True, slots=True)
class State:
    """Where the demo keeps what it keeps."""

    directory: Path
    control_socket: Path
    log_file: Path
    log_start: int
    """Size of the log file when this run began."""

    def last_log_lines(self, count: int = 5) -> str:
        """Return the end of what this run logged, indented."""
        text = self.log_file.read_bytes()[self.log_start :].decode("utf-8", "replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-count:])


@contextlib.contextmanager
def open_state(directory: Path) -> Iterator[State]:
    """Make the directory, and have it for ourselves alone: the socket in it is to be ours."""
    log_file = directory / "appliance.log"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        log = log_file.open("ab")
    except OSError as error:
        raise DemoError(f"{directory} cannot be used ({error.strerror}); {ELSEWHERE}") from error
    with log, _choose_socket(directory) as control_socket:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"another demo runs in {directory}; stop it, or {ELSEWHERE}") from None
        yield State(directory, control_socket, log_file, log.tell())


@contextlib.contextmanager
def _choose_socket(directory: Path) -> Iterator[Path]:
    """Give the control socket's path: in the directory, unless that is too long for a socket."""
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
    """The appliance's process."""

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
            # Below the state too: a trial leaves /var/bigbluebutton alone.
            **{
                f"RECORDING_{name}_DIR": str(state.directory / "recordings" / name.lower())
                for name in ("SPOOL", "WORK", "PUBLISH", "UNPUBLISH")
            },
        }
        with state.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*_die_with_us(), PROGRAM, "run"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us; we stop it in order
            )

    def check(self) -> None:
        """Raise DemoError if the process is gone."""
        code = self._process.poll()
        if code is not None:
            raise DemoError(
                f"the appliance has ended ({describe_exit(code)}); its last words:\n"
                f"{self.state.last_log_lines()}"
            )

    def wait_until_ready(self) -> None:
        """Wait for the control socket, which is the last thing to be opened."""
        self._wait_until(lambda rows: True, "the appliance is not ready")

    def wait_until_online(self, server_ids: Collection[str]) -> None:
        """Wait until these servers are online, as the poller says."""
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
        """Stop the process in order; a second Ctrl-C meanwhile is passed on and hurries it."""
        deadline_s = time.monotonic() + STOP_LIMIT_S
        told = self._signals.count - 1
        while self._process.poll() is None and time.monotonic() < deadline_s:
            if told != self._signals.count:
                told = self._signals.count
                self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TICK_S)
        if self._process.poll() is None:
            print(f"demo: the appliance did not stop in {STOP_LIMIT_S:g} s, so it is killed")
            self._process.kill()
            self._process.wait()


def _die_with_us() -> list[str]:
    """Have the kernel stop the appliance should we be killed (util-linux's setpriv)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def describe_exit(code: int) -> str:
    """Return `exit code 1` or `SIGKILL` for subprocess's return code."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
