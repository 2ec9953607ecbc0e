"""The package by its name: from a signed apt repository over HTTP, then its next version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.deb_test.failures import check_meeting
from tools.deb_test.first_meeting import MEETING, add_servers, hold_meeting
from tools.deb_test.machine import wait_for
from tools.deb_test.packages import OLDER, ROOT, run
from tools.deb_test.scene import SETTLE_S, UNIT, Scene

BUILD = "packaging/apt/build"
KEYRING = "scalelite-appliance-archive-keyring"
PORT = 8070
URL = f"http://127.0.0.1:{PORT}"
MAX_OUTAGE_S = 20.0
"""A single appliance is stopped and started by an upgrade; the machine of a test is slow."""
_UPDATE = (
    # The guest has no network: Debian's lists stay as they are.
    *("-o", f"Dir::Etc::sourcelist=/etc/apt/sources.list.d/{UNIT}.sources"),
    *("-o", "Dir::Etc::sourceparts=-", "-o", "APT::Get::List-Cleanup=0"),
    *("-o", "APT::Update::Error-Mode=any", "update"),
)


class Repository:
    """A repository, signed with a key of its own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "apt"
        self._packages = directory / "apt-packages"
        self._packages.mkdir()
        self._home = directory / "gnupg"
        self.key = self.new_key("release")

    def new_key(self, name: str) -> str:
        """Make a key and return its fingerprint."""
        self._home.mkdir(mode=0o700, exist_ok=True)
        user = f"{name} <{name}@example.org>"
        command = ["gpg", "--batch", "--quiet", "--passphrase", "", "--status-fd", "1"]
        done = self._run(*command, "--quick-gen-key", user, "ed25519", "sign", "never")
        return next(line for line in done.splitlines() if "KEY_CREATED" in line).split()[-1]

    def build(self, *packages: Path, key: str = "") -> None:
        """Add packages, and sign with the release's or another key."""
        for package in packages:
            shutil.copy(package, self._packages)
        words = ("--packages", str(self._packages), "--output", str(self.path), "--url", URL)
        self._run(str(ROOT / BUILD), "--key", key or self.key, *words)

    def _run(self, *command: str) -> str:
        return run(*command, environ={**os.environ, "GNUPGHOME": str(self._home)})

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve the repository over HTTP."""
        command = [sys.executable, "-m", "http.server", str(PORT), "--bind", "127.0.0.1"]
        server = subprocess.Popen(
            [*command, "--directory", str(self.path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            server.terminate()
            server.wait()


class Watch:
    """Asks for a meeting all the time, and measures how long there is no answer."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest_s = 0.0
        self.answers = 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        answered_s = time.monotonic()
        while not self._end.wait(0.05):
            try:
                if self._scene.front.is_running(MEETING) != "true":
                    continue
            except (OSError, AssertionError):
                continue
            now_s = time.monotonic()
            self.longest_s = max(self.longest_s, now_s - answered_s)
            answered_s = now_s
            self.answers += 1


def use_repository(scene: Scene, package: Path, older: Path, directory: Path) -> None:
    """Install by name, upgrade while calls arrive, and refuse a wrong signature."""
    machine = scene.machine
    repository = Repository(directory)
    with scene.step("a signed apt repository is built"):
        repository.build(older)
    with repository.served():
        with scene.step("apt install scalelite-appliance, by name, from the repository"):
            keyring = f"/root/{KEYRING}.deb"
            machine.path(keyring).write_bytes((repository.path / f"{KEYRING}.deb").read_bytes())
            scene.apt("install", keyring)
            scene.apt(*_UPDATE)
            scene.install(UNIT)
            scene.use_secret()
            scene.wait_serving()
            assert scene.build_number() == OLDER
        add_servers(scene)
        hold_meeting(scene)
        with scene.step("apt upgrade takes the next version while calls arrive"):
            repository.build(package)
            with Watch(scene) as watch:
                scene.apt(*_UPDATE)
                scene.apt("upgrade")
                scene.wait_serving()
                wait_for(lambda: watch.answers > 20, SETTLE_S, lambda: "answers after the upgrade")
            assert scene.build_number() != OLDER
            check_meeting(scene)
            assert watch.longest_s < MAX_OUTAGE_S, f"no answer for {watch.longest_s:.1f} s"
        with scene.step("a repository that another key signed is refused"):
            repository.build(key=repository.new_key("stranger"))
            output = machine.run("apt-get", *_UPDATE, check=False)
            assert "NO_PUBKEY" in output or "not signed" in output or "signature" in output, output
            assert "E:" in output, output
