"""The state that steps share: the guest, a front-end, and simulated BigBlueButton servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.doubles.appliance_client import ATTENDEE_PW, MODERATOR_PW, FrontEnd
from tests.doubles.bbb_process import BbbProcess
from tools.deb_test.machine import Machine, wait_for
from tools.deb_test.report import Report
from tools.deb_test.tree import PACKAGES

UNIT = "scalelite-appliance"
UNITS = (UNIT, f"{UNIT}-redis", f"{UNIT}-setup", f"{UNIT}-database")
CONFIGURATION = "/etc/default/scalelite-appliance"
SECRETS = "/etc/scalelite-appliance/secrets.env"
PORT = 3000
_DROP_IN = "test.conf"
_HOST_ADVICE = re.compile(
    r"WARNING (?:Memory overcommit|you have Transparent Huge Pages|The TCP backlog)"
)
"""What Redis says about the kernel of the host, which a guest cannot change."""
SETTLE_S = 90.0
"""Deadline for a condition; only a slow and busy host comes near it."""


@dataclass(slots=True)
class Scene:
    """A guest with the package, as its users see it."""

    machine: Machine
    report: Report
    servers: list[BbbProcess]
    front: FrontEnd = field(default_factory=lambda: FrontEnd(PORT, ""))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run a step; after a failure the end of the guest's journal is printed."""
        with self.report.step(f"{self.machine.name}: {name}", self._read_journal_end):
            yield

    def _read_journal_end(self) -> str:
        return self.machine.run("journalctl", "--no-pager", "--lines=60", check=False)

    # -- as root in the guest --------------------------------------------------------------------

    def ctl(self, *words: str, user: str = "", check: bool = True) -> str:
        """Run ctl in the guest."""
        return self.machine.run("scalelite-appliance", "ctl", *words, user=user, check=check)

    def apt(self, *words: str) -> str:
        """Run apt-get in the guest; a changed configuration is kept."""
        return self.machine.run(
            "apt-get", "--yes", "--quiet", "--no-install-recommends",
            "-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Use-Pty=0", *words,
        )  # fmt: skip

    def install(self, *packages: Path | str) -> str:
        """Install packages: files by their path, others by name."""
        names = [
            f"{PACKAGES}/{package.name}" if isinstance(package, Path) else package
            for package in packages
        ]
        return self.apt("install", "--allow-downgrades", *names)

    def secret(self, name: str = "LOADBALANCER_SECRET") -> str:
        """Return a secret that the package generated."""
        text = self.machine.path(SECRETS).read_text()
        found = re.search(rf"^{name}=([0-9a-f]{{64}})$", text, re.MULTILINE)
        assert found, f"no {name} of 32 bytes in {SECRETS}"
        return found[1]

    def configure(self, **variables: str) -> None:
        """Edit variables in the configuration, and restart the service."""
        self.edit(**variables)
        self.machine.run("systemctl", "restart", UNIT)

    def edit(self, **variables: str) -> None:
        """Edit variables in the configuration, or add them to it."""
        path = self.machine.path(CONFIGURATION)
        text = path.read_text()
        for name, value in variables.items():
            found = re.search(rf"^#?{name}=.*$", text, re.MULTILINE)
            first, last = found.span() if found else (len(text), len(text))
            text = f"{text[:first]}{name}={value}{text[last:] or chr(10)}"
        path.write_text(text)

    def drop_in(self, text: str) -> None:
        """Add a drop-in to the unit and restart it."""
        folder = self.machine.path(f"/etc/systemd/system/{UNIT}.service.d")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _DROP_IN).write_text(text)
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "restart", UNIT)

    def remove_drop_in(self) -> None:
        """Remove a drop-in and restart the unit."""
        self.machine.path(f"/etc/systemd/system/{UNIT}.service.d/{_DROP_IN}").unlink()
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "restart", UNIT)

    def main_pid(self, unit: str = UNIT) -> str:
        """Return the process id of a unit, "0" without a process."""
        return self.machine.show(unit, "MainPID")

    # -- as a front-end --------------------------------------------------------------------------

    def use_secret(self) -> None:
        """Use the generated secret in the front-end."""
        self.front = FrontEnd(PORT, self.secret())

    def wait_serving(self) -> None:
        """Wait until the health check succeeds."""
        wait_for(self._serves, SETTLE_S, lambda: "a healthy appliance")

    def _serves(self) -> bool:
        try:
            return self.front.fetch("GET", "/health_check", limit_s=5).status == 200
        except OSError:
            return False

    def wait_online(self, count: int) -> None:
        """Wait until this number of servers is online."""

        def are_online() -> bool:
            return self.ctl("status", check=False).count(" online ") == count

        wait_for(are_online, SETTLE_S, lambda: self.ctl("status", check=False))

    def build_number(self) -> str:
        """Return the version in the answer to the index call."""
        return self.front.fetch("GET", "/bigbluebutton/api").text("build")

    def recordings(self) -> list[str]:
        """Return the ids of all recordings."""
        found = self.front.get("getRecordings").xml.findall("recordings/recording/recordID")
        return sorted(element.text or "" for element in found)

    def wait_recordings(self, *record_ids: str) -> None:
        """Wait until exactly these recordings exist."""
        wait_for(
            lambda: self.recordings() == sorted(record_ids),
            SETTLE_S,
            lambda: f"recordings {record_ids}, found {self.recordings()}",
        )

    # -- its journal -----------------------------------------------------------------------------

    def check_journal(self) -> None:
        """Assert that the units logged no warning and no secret."""
        units = [f"--unit={unit}" for unit in UNITS]
        lines = self.machine.journal("--priority=warning", *units).splitlines()
        complaints = [line for line in lines if line.strip() and not _HOST_ADVICE.search(line)]
        assert not complaints, "in the journal:\n" + "\n".join(complaints)
        self.check_secrets()

    def check_secrets(self) -> None:
        """Assert that the units logged no secret, password or checksum."""
        units = [f"--unit={unit}" for unit in UNITS]
        text = self.machine.journal("--output=export", *units)
        sensitive = {ATTENDEE_PW, MODERATOR_PW, *self.front.checksums}
        sensitive |= {server.secret for server in self.servers}
        sensitive |= set(re.findall(r"=([0-9a-f]{64})", self.machine.path(SECRETS).read_text()))
        leaked = [word for word in sensitive if word in text]
        assert not leaked, f"in the journal: {leaked}"

    def now(self) -> str:
        """Return the time of the guest, for check_journal."""
        return self.machine.run("date", "+%Y-%m-%d %H:%M:%S").strip()
