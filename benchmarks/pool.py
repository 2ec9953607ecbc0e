"""The pool under test: simulated BBB servers and one appliance, each in a process of its own.

Starts and stops processes, and measures only the start. The appliance is configured by environment
variables as in production, uses its embedded Redis and no PostgreSQL, and keeps its state in a
temporary directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Start
from benchmarks.process_figures import find_descendant, rss_mb
from tests.doubles.bbb_process import BbbProcess, bbb_servers

SERVER_COUNT = 3
SECRET = "benchmark-secret"
HOST = "127.0.0.1"
START_LIMIT_S = 30.0
STOP_LIMIT_S = 40.0
"""Longer than the appliance waits for requests in flight."""
TICK_S = 0.02
LISTEN_PORTS = range(20_000, 32_000)
"""Below Linux's ip_local_port_range."""
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TZ")
"""The only variables passed on: an inherited REDIS_URL could point to a production pool."""


class PoolError(Exception):
    """The pool cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Build:
    """An installed appliance to measure."""

    name: str
    program: Path
    """The console script, scalelite-appliance."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A running appliance with its servers online."""

    build: Build
    port: int
    pid: int
    redis_pid: int
    servers: list[BbbProcess]
    start: Start
    log_file: Path
    ctl: Callable[..., Any]
    """Run a ctl command, given as words, and return its JSON. Raises PoolError."""

    @property
    def pids(self) -> dict[str, int]:
        """Return the processes whose CPU time is measured, by name."""
        doubles = {str(s.server_id): s.pid for s in self.servers if s.pid is not None}
        return {"appliance": self.pid, "redis": self.redis_pid, **doubles}

    def warnings(self) -> str:
        """Return the appliance's log, which should be empty at LOG_LEVEL=warn."""
        return self.log_file.read_text(errors="replace").strip()

    def fill_meetings(self, users: int) -> None:
        """Add users to every meeting on the servers, listed as attendees."""
        for server in self.servers:
            for meeting in server.meetings():
                server.set_users(meeting, participants=users, moderators=1, listed=True)


@contextlib.contextmanager
def run_pool(build: Build, *, callbacks: bool) -> Iterator[Pool]:
    """Run an appliance and its servers while the block runs.

    `callbacks`: the servers call meetingEndedURL, as BigBlueButton does.
    Raises PoolError: a process does not start.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name,
        bbb_servers(SERVER_COUNT, callbacks=callbacks) as servers,
        _run_appliance(build, Path(name)) as appliance,
    ):
        redis_pid = find_descendant(appliance.pid, "redis-server")
        if redis_pid is None:
            raise PoolError("the appliance runs no embedded Redis")
        for server in servers:
            appliance.ctl(
                *("servers", "add", server.url, server.secret),
                *("--id", server.server_id, "--enable"),
            )
        appliance.wait_until_online()
        start = Start(build.name, appliance.ready_s, rss_mb(appliance.pid), rss_mb(redis_pid))
        yield Pool(
            build,
            appliance.port,
            appliance.pid,
            redis_pid,
            servers,
            start,
            appliance.log_file,
            appliance.ctl,
        )


class _Appliance:
    """The appliance's process."""

    def __init__(self, build: Build, directory: Path) -> None:
        self._build = build
        self.port = _free_port()
        self.log_file = directory / "appliance.log"
        self.ready_s = 0.0
        self._notify_path = directory / "notify.sock"
        self._environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "BIND": f"tcp://{HOST}:{self.port}",
            "CTL_SOCKET": str(directory / "ctl.sock"),
            "STATE_DIR": str(directory / "state"),
            "LOADBALANCER_SECRET": SECRET,
            "DB_DISABLED": "true",
            "POLL_INTERVAL": "60",
            "LOG_LEVEL": "warn",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait for READY=1, as systemd would. Raises PoolError."""
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
            self.log_file.open("wb") as log,
        ):
            notify.bind(str(self._notify_path))
            notify.settimeout(TICK_S)
            started_s = time.monotonic()
            self._process = subprocess.Popen(
                [*_parent_death_signal(), str(self._build.program), "run"],
                env=self._environment | {"NOTIFY_SOCKET": str(self._notify_path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # keeps Ctrl-C away from it: stop() ends it in order
            )
            while not _is_ready(notify):
                if time.monotonic() - started_s > START_LIMIT_S:
                    raise PoolError(f"the appliance is not ready after {START_LIMIT_S:g} s")
                if self._process.poll() is not None:
                    log_tail = self.log_file.read_text(errors="replace")[-2000:]
                    raise PoolError(f"the appliance has ended; the end of its log:\n{log_tail}")
            self.ready_s = time.monotonic() - started_s

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ctl(self, *words: str) -> Any:
        """Run one ctl command and return its JSON. Raises PoolError."""
        done = subprocess.run(
            [self._build.program, "ctl", *words, "--json"],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
            check=False,
        )
        if done.returncode != 0:
            raise PoolError(f"ctl {' '.join(words[:2])}: {done.stderr.strip()}")
        return json.loads(done.stdout or "null")

    def wait_until_online(self) -> None:
        """Wait until all servers are online. Raises PoolError."""
        deadline_s = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline_s:
            rows = self.ctl("status")
            if sum(row["status"] == "online" for row in rows) == SERVER_COUNT:
                return
        raise PoolError(f"the simulated servers are not online after {START_LIMIT_S:g} s")


@contextlib.contextmanager
def _run_appliance(build: Build, directory: Path) -> Iterator[_Appliance]:
    appliance = _Appliance(build, directory)
    try:
        appliance.start()
        yield appliance
    finally:
        appliance.stop()


def _is_ready(notify: socket.socket) -> bool:
    with contextlib.suppress(TimeoutError):
        return b"READY=1" in notify.recv(4096).split(b"\n")
    return False


def _parent_death_signal() -> list[str]:
    """Return a prefix that makes the kernel stop the appliance if this process is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _free_port() -> int:
    """Return a free port outside the range from which the kernel picks source ports."""
    for port in random.sample(LISTEN_PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise PoolError("no free port")
