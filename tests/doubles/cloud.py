"""A cloud for tests: its machines are simulated BBB servers, each a process with a disk.

    python tests/doubles/cloud.py DIRECTORY list|create NAME|start NAME|crash NAME|delete NAME

is the generic command line that config/autoscale/scale_pool.py uses: `create` reads the secret
from standard input and prints the URL. A machine boots for some time (cloud_machine.py). What
happened is in `events` of the directory, a JSON object a line. Deleting a machine deletes its disk.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: make the sibling modules importable
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests.doubles.fast_clock import FastClock
from tests.doubles.ports import free_port

MACHINE = Path(__file__).with_name("cloud_machine.py")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """What all machines have in common."""

    appliance_port: int
    boot_s: float = 120.0
    """Of the clock, like the others."""
    recording_s: float = 3600.0
    """How long after its meeting a recording is ready."""
    version: str = "3.0.10"
    """Of BBB, on machines that boot from now on."""


class Cloud:
    """The machines below a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.clock = FastClock(directory / "clock")

    @property
    def settings(self) -> CloudSettings:
        """Return what all machines have in common."""
        return CloudSettings(**json.loads((self.directory / "settings").read_text()))

    def configure(self, settings: CloudSettings) -> None:
        """Set what all machines have in common; call it before the first one."""
        (self.directory / "settings").write_text(json.dumps(asdict(settings)))

    def note(self, event: str, name: str, **fields: Any) -> None:
        """Append to what happened."""
        record = {"at_s": self.clock.now_s(), "event": event, "name": name, **fields}
        with (self.directory / "events").open("a") as file:
            file.write(json.dumps(record) + "\n")

    def events(self) -> list[Json]:
        """Return what happened, oldest first."""
        path = self.directory / "events"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def disk(self, name: str) -> Path:
        """Return the directory of a machine."""
        return self.directory / "machines" / name

    def machines(self) -> dict[str, Json]:
        """Return the machines by name: name, state, url, port."""
        found = {}
        for path in sorted((self.directory / "machines").glob("*/machine")):
            machine = json.loads(path.read_text())
            state = "running" if self._pid(path.parent) else "stopped"
            found[machine["name"]] = {**machine, "state": state}
        return found

    @staticmethod
    def _pid(disk: Path) -> int | None:
        with suppress(OSError, ValueError):
            pid = int((disk / "pid").read_text())
            if Path(f"/proc/{pid}/cmdline").read_bytes().find(os.fsencode(disk)) >= 0:
                return pid
        return None

    def create(self, name: str, secret: str) -> str:
        """Make a machine, which boots; return the URL of its API."""
        with self._locked():
            disk, port = self.disk(name), free_port()
            (disk / "recordings").mkdir(parents=True)
            (disk / "attendance").mkdir()
            url = f"http://127.0.0.1:{port}/bigbluebutton/api"
            machine = {"name": name, "secret": secret, "port": port, "url": url}
            (disk / "machine").write_text(json.dumps(machine))
            self.note("created", name)
            self._boot(name)
        return url

    def start(self, name: str) -> None:
        """Start a machine that has stopped."""
        with self._locked():
            if self._pid(self.disk(name)) is None:
                self.note("started", name)
                self._boot(name)

    def crash(self, name: str) -> None:
        """Have a machine lose its power."""
        with self._locked():
            self._kill(name)
            self.note("crashed", name)

    def delete(self, name: str) -> None:
        """Delete a machine and its disk; recordings that were on it are lost."""
        with self._locked():
            self._kill(name)
            left = sorted(path.name for path in (self.disk(name) / "recordings").iterdir())
            self.note("deleted", name, lost=left)
            shutil.rmtree(self.disk(name))

    def stop_all(self) -> None:
        """End every machine."""
        for name in self.machines():
            self._kill(name)

    def _boot(self, name: str) -> None:
        disk = self.disk(name)
        with (disk / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(MACHINE), str(self.directory), str(disk)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (disk / "pid").write_text(str(process.pid))

    def _kill(self, name: str) -> None:
        disk = self.disk(name)
        while (pid := self._pid(disk)) is not None:
            os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # only a child of this process
                os.waitpid(pid, 0)
            time.sleep(0.005)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def main() -> None:
    """Run a command."""
    directory, verb, *names = sys.argv[1:]
    cloud = Cloud(Path(directory))
    if verb == "list":
        print(json.dumps(list(cloud.machines().values())))
    elif verb == "create":
        print(cloud.create(names[0], sys.stdin.read().strip()))
    else:
        {"start": cloud.start, "crash": cloud.crash, "delete": cloud.delete}[verb](names[0])


if __name__ == "__main__":
    main()
