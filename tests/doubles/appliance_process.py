"""Run the appliance as a process of its own, and check its exit, its children and its log.

`with ApplianceProcess(tmp_path, REDIS_URL=...) as appliance:` waits until it is ready. At the end
of the block it is stopped with SIGTERM and must exit with 0 in time, without children, without an
unexpected ERROR in its log, and without secrets, passwords or checksums in the log. It does not
inherit the environment of the tests.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from appliance.ctl.client import ControlClient
from tests.doubles.appliance_client import ATTENDEE_PW, MODERATOR_PW, FrontEnd
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.forked_ctl import run_forked

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (sys.executable, "-m", "appliance")
COMMAND = tuple(shlex.split(os.environ.get("APPLIANCE_COMMAND", ""))) or SOURCE
"""The program under test; the tests of the package set it to the installed one (tools/deb_test)."""
READY_LIMIT_S = 90.0
STOP_LIMIT_S = 22.0
"""For an appliance without requests in flight, for which it would wait up to 25 s."""
PROGRAM_LIMIT_S = 60.0
_TICK_S = 0.01
_SIGNED = re.compile(r"checksum[=:\"' ]{1,4}[0-9a-fA-F]{40,}")

Json = Any


class ApplianceProcess:
    """An appliance with a state directory of its own below `directory`.

    `environ` are its environment variables; None removes a default. By default BIND is a free port
    of the loopback, LOADBALANCER_SECRET is random, and the log is JSON at level debug.
    """

    def __init__(self, directory: Path, **environ: str | None) -> None:
        self.state_dir = directory / "state"
        self.log_file = directory / "appliance.log"
        self._socket_dir = Path(tempfile.mkdtemp(prefix="sl-"))  # socket paths end at 107 bytes
        self.control_socket = self._socket_dir / "ctl.sock"
        defaults = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "STATE_DIR": str(self.state_dir),
            # The spool watcher creates them; the default /var/bigbluebutton would be shared.
            "RECORDING_SPOOL_DIR": str(directory / "spool"),
            "RECORDING_WORK_DIR": str(directory / "work"),
            "RECORDING_PUBLISH_DIR": str(directory / "published"),
            "RECORDING_UNPUBLISH_DIR": str(directory / "unpublished"),
            "CTL_SOCKET": str(self.control_socket),
            "BIND": "tcp://127.0.0.1:0",
            "LOADBALANCER_SECRET": secrets.token_hex(20),
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": "json",
        }
        self.environ = {k: v for k, v in {**defaults, **environ}.items() if v is not None}
        self.front = FrontEnd(0, self.environ.get("LOADBALANCER_SECRET", ""))
        self.sensitive = {ATTENDEE_PW, MODERATOR_PW, self.front.secret}
        """Words that must not be in the log."""
        self.expected_errors: set[str] = set()
        """Events that may be logged at ERROR."""
        self.command = COMMAND
        self.own_session = True
        """The kernel shares processors between sessions first, which a benchmark may not want."""
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0
        self._checked = 0

    def __repr__(self) -> str:
        return f"<ApplianceProcess port={self.front.port} pid={self.pid}>"

    # -- the process -----------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Return the process id, None if it is not running."""
        return None if self._process is None else self._process.pid

    def start(self, *, wait: bool = True) -> Self:
        """Start the process, for the first time or again; `wait`: until it is ready.

        Raises AssertionError: not ready in time, or exited.
        """
        self._log_from = self.log_file.stat().st_size if self.log_file.exists() else 0
        # The kernel stops it if pytest, or the thread that starts it, ends.
        command = ["setpriv", "--pdeathsig", "TERM", "--", *self.command, "run"]
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=self.environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=self.own_session,
                process_group=None if self.own_session else 0,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until it has logged `ready`. Raises AssertionError."""
        ready = self.wait_event("ready", READY_LIMIT_S)
        for url in ready["listening"]:
            if (port := urlsplit(url).port) is not None:
                self.front.port = port

    def wait_event(self, name: str, within_s: float = 10.0, **fields: object) -> Json:
        """Wait until an event with these fields is logged in this run, and return it."""
        wait_for(lambda: self._has_exited() or bool(self.events(name, **fields)), within_s, name)
        found = self.events(name, **fields)
        assert found, f"it exited before {name}:\n{self.log_text()[-4000:]}"
        return found[-1]

    def _has_exited(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def wait_catching(self) -> None:
        """Wait until it has installed its signal handlers. Raises AssertionError."""

        def is_caught() -> bool:
            status = Path(f"/proc/{self.pid}/status").read_text()
            mask = int(status.partition("SigCgt:")[2].split()[0], 16)
            return bool(mask >> (signal.SIGTERM - 1) & 1)

        wait_for(is_caught, 40, "signal handlers")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, within_s: float = STOP_LIMIT_S) -> int:
        """Wait for the exit and return the exit code. Raises AssertionError."""
        process = self._process
        assert process is not None
        try:
            code = process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"still running after {within_s} s:\n{self.log_text()[-4000:]}"
            ) from None
        self._process = None
        return code

    def terminate(self, within_s: float = STOP_LIMIT_S) -> int:
        """Stop it with SIGTERM and return the exit code. Raises AssertionError: not in time."""
        self.signal(signal.SIGTERM)
        return self.wait(within_s)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        process = self._process
        assert process is not None
        process.kill()
        process.wait(40)
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc is None:
                self.finish()
            else:
                exc.add_note(f"The end of the appliance's log:\n{self.log_text()[-6000:]}")
        finally:
            self.clean_up()

    def finish(self) -> None:
        """Stop it if it is running, and check its children and its log. Raises AssertionError."""
        if self._process is not None:
            assert self.terminate() == 0, self.log_text()[-4000:]
        wait_for(lambda: not self.children(), 40, lambda: f"no child: {self.children()}")
        assert not self.control_socket.exists()
        self.check_log()

    def clean_up(self) -> None:
        """Kill it and its children, and remove the files that are not below tmp_path."""
        if self._process is not None:
            self.kill()
            with suppress(AssertionError):
                wait_for(lambda: not self.children(), 40, "children")
        for pid in self.children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self._socket_dir, ignore_errors=True)

    def children(self) -> dict[int, str]:
        """Return the processes whose working directory is below the state directory, by pid."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if (entry / "cwd").readlink().is_relative_to(self.state_dir):
                        found[int(entry.name)] = (entry / "comm").read_text().strip()
        return found

    def directory(self, name: str) -> Path:
        """Return a directory of recordings: `spool`, `work`, `publish` or `unpublish`."""
        return Path(self.environ[f"RECORDING_{name.upper()}_DIR"])

    @property
    def spool(self) -> Path:
        """Wait for the spool, which is created after the listener, and return it."""
        path = self.directory("spool")
        wait_for(path.is_dir, READY_LIMIT_S, "the spool is created")
        return path

    def memory_bytes(self) -> int:
        """Return the resident memory of the process."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    # -- its log ---------------------------------------------------------------------------------

    def log_text(self) -> str:
        """Return the log, including that of earlier runs."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def events(self, name: str | None = None, **fields: object) -> list[Json]:
        """Return the log records of this run, oldest first, with this event name and fields."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_from)
            lines = log.read().splitlines()
        found = []
        wanted = b"" if name is None else name.encode()
        for line in lines:
            if wanted not in line:
                continue
            with suppress(ValueError):
                record = json.loads(line)
                if name in (None, record.get("event")) and fields.items() <= record.items():
                    found.append(record)
        return found

    def check_new_log(self) -> None:
        """Check the whole lines that were logged since the last time; `finish` checks them all."""
        text = self.log_text()
        checked, self._checked = self._checked, text.rfind("\n") + 1
        self._check(text[checked : self._checked])

    def check_log(self) -> None:
        """Raise AssertionError for an unexpected ERROR or a secret."""
        self._check(self.log_text())

    def _check(self, text: str) -> None:
        errors = [
            line
            for line in text.splitlines()
            if re.search(r'"level": "(error|critical)"', line)
            and not any(f'"event": "{event}"' in line for event in self.expected_errors)
        ]
        assert not errors, "\n".join(errors)[:6000]
        assert "Traceback" not in text or self.expected_errors, text[-6000:]
        leaked = [word for word in self.sensitive | self.front.checksums if word and word in text]
        assert not leaked, f"in the log: {leaked}"
        assert not _SIGNED.search(text), f"in the log: {_SIGNED.findall(text)}"

    # -- its control socket ------------------------------------------------------------------------

    @property
    def control(self) -> ControlClient:
        """Return a client of the control socket, as ctl uses it."""
        return ControlClient(str(self.control_socket))

    def ctl(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the ctl program with the environment of the appliance."""
        if self.command != SOURCE:
            return run_program("ctl", *words, environ=self.environ, stdin=stdin)
        return run_forked(
            words, environ=self.environ, stdin=stdin, cwd=str(ROOT), timeout_s=PROGRAM_LIMIT_S
        )

    def add_server(self, bbb: BbbProcess, *, enable: bool = True, **fields: object) -> str:
        """Add a simulated server to the pool, enable and poll it, and return its id."""
        self.sensitive.add(bbb.secret)
        server = {"url": bbb.url, "secret": bbb.secret, **fields}
        server_id: str = self.control.post("addServer", {"server": server})["id"]
        if enable:
            self.control.post("enableServer", {"id": server_id})
            for _ in range(5):  # the timeout for an offline server is short
                if self.status(server_id) == "online":
                    break
                self.poll()
        return server_id

    def server(self, server_id: str) -> Json:
        """Return a server as `ctl status --json` shows it."""
        servers = self.control.get("getStatus")["servers"]
        return next(server for server in servers if server["id"] == server_id)

    def status(self, server_id: str) -> str:
        """Return `online`, `unstable` or `offline`."""
        return str(self.server(server_id)["status"])

    def poll(self) -> Json:
        """Poll every server now."""
        return self.control.post("poll", {"what": "all"})


def run_program(
    *words: str, environ: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end with exactly this environment."""
    return subprocess.run(
        [*COMMAND, *words],
        env=dict(environ),
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PROGRAM_LIMIT_S,
        check=False,
    )


def wait_for(
    condition: Callable[[], object], within_s: float, what: str | Callable[[], str]
) -> None:
    """Poll a condition until it holds. Raises AssertionError: not in time."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            text = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {within_s} s: {text}")
        time.sleep(_TICK_S)


@contextmanager
def not_started(directory: Path, **environ: str | None) -> Iterator[ApplianceProcess]:
    """Give an appliance that the block starts itself, or whose start must fail."""
    appliance = ApplianceProcess(directory, **environ)
    try:
        yield appliance
    finally:
        appliance.clean_up()


def wait_for_more(counter: list[int], more: int) -> None:
    """Wait until a counter of other threads has risen by more than `more`."""
    before = counter[0]
    wait_for(lambda: counter[0] > before + more, 40, f"{more} more")
