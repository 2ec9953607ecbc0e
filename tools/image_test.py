"""`make image-test`: runs the image with podman, alone and as two replicas restarted in turn.

Requires root. Everything runs in namespaces that end with this program: its own control groups,
since podman needs the unified hierarchy, and a network that has only a loopback. Two minutes
without the build of the image, which is made if dist/ has none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from appliance import __version__
from tests.doubles.appliance_client import FrontEnd
from tests.doubles.appliance_process import wait_for, wait_for_more
from tests.doubles.bbb_process import BbbProcess, bbb_servers
from tests.doubles.nginx import run_nginx
from tests.doubles.steady_load import SteadyLoad
from tests.doubles.store_servers import private_postgres, private_redis
from tools.deb_test.network import enter_private_network
from tools.deb_test.packages import ROOT, install_tools, run
from tools.deb_test.report import Report, StepFailed

IMAGE = f"scalelite-appliance:{__version__}"
ARCHIVE = ROOT / "dist" / f"scalelite-appliance-{__version__}.oci.tar"
MAX_BYTES = 250_000_000
SECRET = "a-secret-of-the-image-test"
READY_S = 90.0
TAKEN_AGAIN_S = 3.0
"""Until nginx sends requests to an appliance that is back (docs/several-machines.md)."""
ROUNDS = 2
_INSIDE = "IMAGE_TEST_INSIDE"
_ENTER = 'mount -t proc proc /proc && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'


def main() -> int:
    """Run the test and return the exit code: 0, 1 for a failed step, 2 without root."""
    parser = argparse.ArgumentParser(prog="image-test", description=__doc__.split("\n")[0])
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help="image to run")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("image-test: root is required", file=sys.stderr)
        return 2
    if _INSIDE not in os.environ:
        return prepare(options.archive)
    enter_private_network()
    report, failed = Report("image-test"), None
    with tempfile.TemporaryDirectory(prefix="image-test-") as directory:
        try:
            test(report, Podman(Path(directory)), options.archive)
        except StepFailed as step:
            failed = str(step)
    return report.close(failed)


def prepare(archive: Path) -> int:
    """Install and build what is missing, and run this program again in namespaces of its own."""
    install_tools("podman", "nginx", "redis-server", "postgresql")
    if not archive.exists():
        run(str(ROOT / "packaging/image/build"))
    inside = [sys.executable, "-m", "tools.image_test", "--archive", str(archive.resolve())]
    namespaces = ("--mount", "--cgroup", "--pid", "--fork", "--kill-child", "--propagation=private")
    command = ["unshare", *namespaces, "sh", "-c", _ENTER, "enter", *inside]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, _INSIDE: "1"}, check=False
    ).returncode


class Podman:
    """Containers with the image, and its storage in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        storage = ("--root", str(directory / "storage"), "--runroot", str(directory / "run"))
        self._command = (
            "podman",
            *storage,
            "--storage-driver=overlay",
            "--cgroup-manager=cgroupfs",
        )

    def ask(self, *words: str) -> str:
        """Run podman and return its output. Raises RuntimeError."""
        return run(*self._command, *words)

    def start(self, name: str, port: int, *options: str, **environ: str) -> FrontEnd:
        """Run a container as docs/containers.md says, wait until it is healthy, return a client."""
        variables = {"LOADBALANCER_SECRET": SECRET, "BIND": f"tcp://127.0.0.1:{port}", **environ}
        self.ask(
            "run", "--detach", "--name", name, "--network=host", "--cgroups=disabled",
            "--read-only", "--stop-timeout=45", "--cap-drop=ALL",
            "--security-opt=no-new-privileges", *options,
            *(f"--env={key}={value}" for key, value in variables.items()), IMAGE,
        )  # fmt: skip
        front = FrontEnd(port, SECRET)
        self.wait_healthy(name, front)
        return front

    def wait_healthy(self, name: str, front: FrontEnd) -> None:
        """Wait until a container serves. Raises AssertionError."""

        def is_healthy() -> bool:
            try:
                return front.fetch("GET", "/health_check", limit_s=5).status == 200
            except OSError:
                return False

        wait_for(is_healthy, READY_S, lambda: f"{name} is healthy:\n{self.log(name)[-4000:]}")

    def stop(self, name: str) -> None:
        """Stop a container with SIGTERM. Raises AssertionError: it ended otherwise."""
        self.ask("stop", name)
        code = self.ask("inspect", "--format={{.State.ExitCode}}", name).strip()
        assert code == "0", f"{name} ended with {code}:\n{self.log(name)[-4000:]}"

    def ctl(self, name: str, *words: str) -> str:
        """Run ctl in a container."""
        return self.ask("exec", name, "scalelite-appliance", "ctl", *words)

    def log(self, name: str) -> str:
        """Return what a container has written."""
        return self.ask("logs", name)

    def add_servers(self, name: str, servers: list[BbbProcess]) -> None:
        """Add servers to the pool, and wait until they are online."""
        for server in servers:
            self.ctl(name, "servers", "add", server.url, server.secret, "--enable")
        wait_for(
            lambda: self.ctl(name, "status").count(" online ") == len(servers), READY_S, "online"
        )


def test(report: Report, podman: Podman, archive: Path) -> None:
    """Run all steps. Raises StepFailed."""
    with report.step("podman loads the image"):
        size = archive.stat().st_size
        assert size < MAX_BYTES, f"{size} bytes"
        podman.ask("load", "--quiet", "--input", str(archive))
    with bbb_servers(3) as servers:
        hold_meeting(report, podman, servers)
        with replicas(report, podman, servers) as fronts:
            restart_in_turn(report, podman, fronts)


def hold_meeting(report: Report, podman: Podman, servers: list[BbbProcess]) -> None:
    """Use a container with the embedded stores, and restart it."""
    volume = "--volume=pool:/var/lib/scalelite-appliance"
    with report.step(
        "with embedded stores: a meeting is created and joined, the rest is read-only"
    ):
        front = podman.start("pool", 3000, volume)
        podman.add_servers("pool", servers)
        assert front.create("first").returncode == "SUCCESS"
        assert front.join("first").status == 302
        assert podman.ask("exec", "pool", "id", "--user").strip() == "900"
        tried = "touch /etc/written 2>/dev/null && echo written || echo refused"
        assert podman.ask("exec", "pool", "sh", "-c", tried).strip() == "refused"
    with report.step("it ends with 0, its log is JSON, and its volume has the pool"):
        podman.stop("pool")
        strange = [one for one in podman.log("pool").splitlines() if not one.startswith('{"')]
        assert not strange, strange
        podman.ask("start", "pool")
        podman.wait_healthy("pool", front)
        assert front.info("first").returncode == "SUCCESS"
        podman.stop("pool")


@contextmanager
def replicas(
    report: Report, podman: Podman, servers: list[BbbProcess]
) -> Iterator[dict[str, FrontEnd]]:
    """Give two containers on the same Redis and PostgreSQL, and clients of theirs."""
    with ExitStack() as stack:
        with report.step("two replicas share a Redis and a PostgreSQL"):
            folders = [podman.directory / name for name in ("redis", "postgres")]
            podman.directory.chmod(0o755)
            for folder in folders:
                folder.mkdir()
            stack.enter_context(private_redis(folders[0], "--unixsocketperm", "777"))
            postgres = stack.enter_context(private_postgres(folders[1]))
            database = stack.enter_context(postgres.new_database())
            environ = {
                "REDIS_URL": f"unix://{folders[0]}/redis.sock",
                "DATABASE_URL": postgres.url(database),
                "SECRET_KEY_BASE": "k" * 64,
            }
            volumes = [f"--volume={folder}:{folder}" for folder in folders]
            fronts = {
                name: podman.start(name, port, "--tmpfs=/tmp", *volumes, **environ)
                for name, port in (("first", 3001), ("second", 3002))
            }
            for server in servers:
                server.forget_meetings()
            podman.add_servers("first", servers)
        yield fronts
        for name in fronts:
            podman.stop(name)


def restart_in_turn(report: Report, podman: Podman, fronts: dict[str, FrontEnd]) -> None:
    """Restart replicas behind nginx while front-ends call."""
    load, began_s = SteadyLoad(), time.monotonic()
    ports = [front.port for front in fronts.values()]
    site = podman.directory / "site"
    with run_nginx(site, *ports, published=site) as nginx:
        with (
            report.step(f"each is restarted {ROUNDS} times behind nginx: no request is lost"),
            load.run(nginx.port, SECRET),
        ):
            for name in [*fronts] * ROUNDS:
                wait_for_more(load.answered, 100)
                podman.stop(name)
                wait_for_more(load.answered, 100)
                podman.ask("start", name)
                podman.wait_healthy(name, fronts[name])
                time.sleep(TAKEN_AGAIN_S)
        took_s = time.monotonic() - began_s
        print(
            f"{load.answered[0]} calls in {took_s:.0f} s, {len(load.failures)} failed", flush=True
        )
        with report.step("every call was answered"):
            assert not load.failures, load.failures


if __name__ == "__main__":
    sys.exit(main())
