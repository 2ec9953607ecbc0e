"""`make deb-test`: builds the Debian packages, installs them in virtual machines and uses them.

Requires root and a kernel with overlayfs and control groups, but no systemd: the guests boot their
own (machine.py). Leaves nothing behind. `--quick`, for CI: build, lintian, and the first meeting on
a new machine; it passes with a message if no guest can be booted. `--piuparts` adds Debian's test
of installation and removal.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.doubles.bbb_process import bbb_servers
from tools.deb_test.ansible import WANTED, use_ansible
from tools.deb_test.documents import follow_backup, follow_documents, follow_migration
from tools.deb_test.failures import reboot, survive_failures
from tools.deb_test.first_meeting import hold_first_meeting
from tools.deb_test.hardening import check_units, compare_with_systemd, run_end_to_end_tests
from tools.deb_test.https import serve_behind_nginx, serve_https
from tools.deb_test.machine import Machine, find_obstacle
from tools.deb_test.network import enter_private_network
from tools.deb_test.packages import (
    build_packages,
    check_reproducible,
    install_tools,
    lintian_beside,
    make_older,
    run,
)
from tools.deb_test.report import Report, StepFailed
from tools.deb_test.repository import use_repository
from tools.deb_test.scene import Scene
from tools.deb_test.tree import PACKAGES, make_tree, write_sources
from tools.deb_test.upgrade import remove_and_restore, upgrade
from tools.deb_test.variants import use_external_stores, use_valkey
from tools.deb_test.volumes import use_scalelites_volume

GUESTS = ("main", "valkey", "documents", "migration", "external", "apt", "ansible")


def main() -> int:
    """Run the test and return the exit code: 0, 1 for a failed step, 2 without root."""
    parser = argparse.ArgumentParser(prog="deb-test", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the steps for CI")
    parser.add_argument("--piuparts", action="store_true", help="run piuparts as well")
    parser.add_argument("--only", choices=GUESTS, help="a single guest")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("deb-test: root is required", file=sys.stderr)
        return 2
    # Remove guests and trees also after SIGTERM.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    report = Report("deb-test")
    failed = None
    with scratch_directory() as directory:
        try:
            test(report, directory, options)
        except StepFailed as step:
            failed = str(step)
    return report.close(failed)


def test(report: Report, directory: Path, options: argparse.Namespace) -> None:
    """Run all selected steps. Raises StepFailed."""
    with report.step("the tools of the test are installed"):
        install_tools(*(("piuparts", "debootstrap") if options.piuparts else ()))
    packages = build_packages(report, directory)
    external, package = sorted(packages, key=lambda path: "external" not in path.name)
    older = make_older(package, directory)
    tree = directory / "tree"
    obstacle = find_obstacle(directory)
    with lintian_beside(report, packages):
        if not options.quick and not options.only:
            check_reproducible(report, directory, packages)
        if not obstacle:
            with report.step("a new Debian system is created"):
                wanted: list[Sequence[str]] = [[f"{PACKAGES}/{package.name}"]]
                if not options.quick:
                    wanted += [["valkey-server"], ["jq"], ["python3-boto3"], WANTED]
                make_tree(tree, [*packages, older], wanted)
    if obstacle:
        if not options.quick:
            raise StepFailed(f"no guest can be booted on this host: {obstacle}")
        print(f"deb-test: NOT INSTALLED, NOT RUN: no guest can be booted on this host: {obstacle}")
        return
    if options.piuparts:
        with report.step("piuparts installs, removes and purges it"):
            run_piuparts(directory, [package, external])
    # From here on, only the loopback interface exists.
    enter_private_network()

    @contextmanager
    def scene_of(name: str) -> Iterator[Scene]:
        with Machine(name, tree, directory) as machine:
            yield Scene(machine, report, servers)

    with bbb_servers(3) as servers:
        for name, story in stories(options, package, older, external, directory):
            with scene_of(name) as scene:
                story(scene)
                for server in servers:
                    server.forget_meetings()


def stories(
    options: argparse.Namespace, package: Path, older: Path, external: Path, directory: Path
) -> Iterator[tuple[str, Callable[[Scene], None]]]:
    """Yield the name and the steps of each guest."""

    def first_meeting(scene: Scene) -> None:
        hold_first_meeting(scene, package)
        check_units(scene)
        follow_backup(scene, package)
        reboot(scene)

    def life_cycle(scene: Scene) -> None:
        hold_first_meeting(scene, older)
        survive_failures(scene)
        upgrade(scene, package)
        check_units(scene)
        compare_with_systemd(scene)
        serve_https(scene)
        serve_behind_nginx(scene)
        use_scalelites_volume(scene)
        run_end_to_end_tests(scene)
        reboot(scene)
        remove_and_restore(scene, package)

    every = {
        "main": first_meeting if options.quick else life_cycle,
        "valkey": lambda scene: use_valkey(scene, package),
        "documents": lambda scene: follow_documents(scene, package),
        "migration": lambda scene: follow_migration(scene, package),
        "external": lambda scene: use_external_stores(scene, package, external),
        "ansible": lambda scene: use_ansible(scene, package),
        "apt": lambda scene: use_repository(scene, package, older, directory),
    }
    only = "main" if options.quick else options.only
    for name, story in every.items():
        if only in (None, name):
            yield name, story


def run_piuparts(directory: Path, packages: list[Path]) -> None:
    """Run Debian's test of installation and removal. Raises RuntimeError.

    Files that remain after a purge are intended; upgrade.py checks them against README.Debian.
    """
    sources = write_sources(directory / "piuparts")
    mirror = sources.read_text().split("\n")[0].split(" ")
    architecture = run("dpkg", "--print-architecture").strip()
    address = next(word for word in mirror if word.startswith("http"))
    run(
        "piuparts", "--distribution=trixie", f"--mirror={address} main", f"--arch={architecture}",
        "--allow-database", "--warn-on-leftovers-after-purge", *(str(path) for path in packages),
    )  # fmt: skip


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Create a directory for the trees, and remove it afterwards."""
    path = Path(tempfile.mkdtemp(prefix=f"deb-test-{os.getpid()}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
