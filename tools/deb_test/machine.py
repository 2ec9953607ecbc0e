"""A guest: systemd as PID 1 in a file tree, booted by systemd-nspawn without systemd on the host.

It shares the network namespace of this process, which must be a private one (network.py), and
writes to an overlay on its tree. The guest always ends with its block.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
CGROUPS = Path("/sys/fs/cgroup")
BOOT_S = 300.0
_TICK_S = 0.05
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HALT = signal.SIGRTMIN + 4
"""Powers systemd off. Source: systemd(1), SIGNALS."""

# $1 tree, $2 overlay directory, $3 machine, $4 checkout, $5 its mount point.
# The mounts end with the namespace.
_BOOT = """
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root" || exit 1
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
while
    systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$2/root" --machine="$3" \
        --network-namespace-path=/proc/self/ns/net --link-journal=no --console=pipe \
        --capability=all --resolv-conf=off --timezone=off --bind-ro="$4:$5"
    [ $? = 133 ]  # the guest rebooted
do :; done
"""
CHECKOUT = "/srv/checkout"
"""Mount point of the checkout in a guest; not below /tmp, where the guest mounts its own."""


class Machine:
    """A guest on `tree`; its overlay and its console log are in `directory`."""

    def __init__(self, name: str, tree: Path, directory: Path) -> None:
        self.name = name
        self._tree = tree
        self._directory = directory / name
        self._console = directory / f"{name}.console"
        self._group = find_cgroup_root() / f"scalelite-deb-test-{os.getpid()}-{name}"
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0

    # -- start and end ---------------------------------------------------------------------------

    def __enter__(self) -> Self:
        for part in ("upper", "work", "root"):
            (self._directory / part).mkdir(parents=True)
        self._group.mkdir()
        # systemd-nspawn must start in its own control group.
        script = 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"'
        inside = ["bash", "-c", _BOOT, "boot", str(self._tree), str(self._directory), self.name]
        # The guest ends when this process is killed.
        command = [
            "setpriv", "--pdeathsig=KILL", "--", "bash", "-c", script, "enter", str(self._group),
            "unshare", "--mount", "--cgroup", "--pid", "--fork", "--kill-child",
            "--propagation=private", *inside, str(ROOT), CHECKOUT,
        ]  # fmt: skip
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        try:
            self._wait_booted()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _wait_booted(self) -> None:
        wait_for(self._find_first_process, BOOT_S, lambda: f"a booted guest:\n{self.console()}")
        wait_for(self._is_up, BOOT_S, lambda: f"a guest that is up:\n{self.console()}")

    def _find_first_process(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the guest ended:\n{self.console()}")
        found = [pid for pid in _descendants(self._process.pid) if _is_first(pid)]
        self._pid = found[0] if found else 0
        return bool(found)

    def _is_up(self) -> bool:
        state = self.run("systemctl", "is-system-running", check=False).strip()
        return state in ("running", "degraded")

    def reboot(self) -> None:
        """Reboot the guest, and wait until it is up again."""
        before = self._pid
        self.run("systemctl", "reboot", check=False)
        wait_for(
            lambda: not Path(f"/proc/{before}").exists(), BOOT_S, lambda: "the end of the old run"
        )
        self._wait_booted()

    def _end(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            with suppress(ProcessLookupError):
                if self._pid:
                    os.kill(self._pid, _HALT)
                process.wait(30)
            if process.poll() is None:
                process.kill()
                process.wait(10)
        for group in sorted(self._group.rglob("*"), reverse=True):
            if group.is_dir():
                with suppress(OSError):
                    group.rmdir()
        with suppress(OSError):
            self._group.rmdir()
        shutil.rmtree(self._directory, ignore_errors=True)

    # -- commands in the guest -------------------------------------------------------------------

    def run(
        self, *words: str, check: bool = True, stdin: str = "", user: str = "", limit_s: float = 600
    ) -> str:
        """Run a program in the guest as root or another user; return its output and errors.

        Raises RuntimeError: it failed, with `check`.
        """
        switch = ("runuser", "-u", user, "--") if user else ()
        command = [
            "nsenter", "--target", str(self._pid), "--mount", "--uts", "--ipc", "--net", "--pid",
            "--cgroup", "--root", "--wdns=/", "env", "-i", f"PATH={_PATH}", "LC_ALL=C.UTF-8",
            "HOME=/root", "DEBIAN_FRONTEND=noninteractive", *switch, *words,
        ]  # fmt: skip
        done = subprocess.run(
            command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=limit_s, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}")
        return done.stdout

    def shell(self, script: str, *, check: bool = True) -> str:
        """Run a shell script in the guest. Raises RuntimeError."""
        return self.run("sh", "-euc", script, check=check)

    def path(self, path: str) -> Path:
        """Return the path of a guest's file on the host; absolute symlinks lead to the host."""
        return Path(f"/proc/{self._pid}/root{path}")

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def is_active(self, unit: str) -> bool:
        """Return whether a unit is active."""
        return self.show(unit, "ActiveState") == "active"

    def journal(self, *words: str) -> str:
        """Return lines of the journal."""
        return self.run("journalctl", "--no-pager", "--quiet", *words)

    def console(self) -> str:
        """Return the end of the console output."""
        return self._console.read_text(errors="replace")[-4000:] if self._console.exists() else ""


def find_obstacle(directory: Path) -> str:
    """Return the reason why no guest can be booted, or an empty text; tries the steps of _BOOT."""
    group = find_cgroup_root() / f"scalelite-deb-test-{os.getpid()}"
    for part in ("lower", "upper", "work", "root"):
        (directory / "try" / part).mkdir(parents=True)
    script = """
mount -t proc proc /proc && mount -t cgroup2 cgroup2 /sys/fs/cgroup && cd "$0" &&
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
"""
    namespaces = ("--net", "--mount", "--cgroup", "--pid", "--fork", "--propagation=private")
    try:
        group.mkdir()
        tried = subprocess.run(
            ["unshare", *namespaces, "sh", "-c", script, str(directory / "try")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        group.rmdir()
    except OSError as error:
        return str(error)
    finally:
        shutil.rmtree(directory / "try")
    return "" if tried.returncode == 0 else tried.stdout.strip() or "unshare failed"


def find_cgroup_root() -> Path:
    """Return the root of the unified hierarchy, also on a hybrid host."""
    hybrid = CGROUPS / "unified"
    return hybrid if hybrid.is_dir() else CGROUPS


def _descendants(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def _is_first(pid: int) -> bool:
    """Return whether a process is systemd as PID 1 of a namespace inside systemd-nspawn's."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
        command = Path(f"/proc/{pid}/comm").read_text().strip()
        return len(numbers) >= 3 and numbers[-1] == "1" and command == "systemd"
    return False


def wait_for(condition: Callable[[], object], within_s: float, what: Callable[[], str]) -> None:
    """Wait until a condition holds. Raises RuntimeError: timeout."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"not within {within_s:.0f} s: {what()}")
        time.sleep(_TICK_S)
