"""`make deb-test`: the Debian packages, as those meet them who build, install and run them.

Needs root and a kernel with overlayfs and control groups, not systemd: guests boot their own
(machine.py). Leaves nothing behind. `--quick` is what CI has time for: build, lintian, and the
first meeting on a fresh machine; where no guest can be booted it says so and passes. `--piuparts`
adds Debian's own test of installing and removing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.doubles.bbb_process import bbb_servers
from tools.deb_test.elsewhere import use_scalelites_volume
from tools.deb_test.first_meeting import hold_first_meeting
from tools.deb_test.hardening import check_units, compare_with_systemd, run_end_to_end_tests
from tools.deb_test.https import serve_behind_nginx, serve_https
from tools.deb_test.machine import Machine, find_obstacle
from tools.deb_test.mishaps import reboot, survive_mishaps
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
from tools.deb_test.scene import Scene
from tools.deb_test.tree import PACKAGES, make_tree, write_sources
from tools.deb_test.upgrade import remove_and_restore, upgrade
from tools.deb_test.variants import use_external_stores, use_valkey


def main() -> int:
    """Run the test and return the exit code: 0, 1 for a failed step, 2 if it cannot run here."""
    parser = argparse.ArgumentParser(prog="deb-test", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="what CI runs")
    parser.add_argument("--piuparts", action="store_true", help="run piuparts, too")
    parser.add_argument("--only", choices=("main", "valkey", "external"), help="one guest only")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("deb-test: this takes root", file=sys.stderr)
        return 2
    # A guest and a tree must be gone when it is told to stop, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    report = Report()
    failed = None
    with scratch_directory() as directory:
        try:
            test(report, directory, options)
        except StepFailed as step:
            failed = str(step)
    return report.close(failed)


def test(report: Report, directory: Path, options: argparse.Namespace) -> None:
    """Run every step that was asked for. Raises StepFailed."""
    with report.step("what the test needs is installed"):
        install_tools(*(("piuparts", "debootstrap") if options.piuparts else ()))
    packages = build_packages(report, directory)
    external, ours = sorted(packages, key=lambda path: "external" not in path.name)
    older = make_older(ours, directory)
    tree = directory / "tree"
    obstacle = find_obstacle(directory)
    with lintian_beside(report, packages):
        if not options.quick and not options.only:
            check_reproducible(report, directory, packages)
        if not obstacle:
            with report.step("a fresh Debian is made"):
                wanted = [[f"{PACKAGES}/{ours.name}"]]
                if not options.quick:
                    wanted.append(["valkey-server"])
                make_tree(tree, [*packages, older], wanted)
    if obstacle:
        if not options.quick:
            raise StepFailed(f"a guest cannot be booted here: {obstacle}")
        print(f"deb-test: NOT INSTALLED, NOT RUN: no guest can be booted here: {obstacle}")
        return
    if options.piuparts:
        with report.step("piuparts installs, removes and purges it"):
            run_piuparts(directory, [ours, external])
    # From here on there is nothing but the loopback.
    enter_private_network()

    @contextmanager
    def scene_of(name: str) -> Iterator[Scene]:
        with Machine(name, tree, directory) as machine:
            yield Scene(machine, report, servers)

    with bbb_servers(3) as servers:
        for name, story in stories(options, ours, older, external):
            with scene_of(name) as scene:
                story(scene)
                for server in servers:
                    server.forget_meetings()


def stories(
    options: argparse.Namespace, ours: Path, older: Path, external: Path
) -> Iterator[tuple[str, Callable[[Scene], None]]]:
    """Return what happens in each guest, by its name."""

    def first_meeting(scene: Scene) -> None:
        hold_first_meeting(scene, ours)
        check_units(scene)
        reboot(scene)

    def whole_life(scene: Scene) -> None:
        hold_first_meeting(scene, older)
        survive_mishaps(scene)
        upgrade(scene, ours)
        check_units(scene)
        compare_with_systemd(scene)
        serve_https(scene)
        serve_behind_nginx(scene)
        use_scalelites_volume(scene)
        run_end_to_end_tests(scene)
        reboot(scene)
        remove_and_restore(scene, ours)

    every = {
        "main": first_meeting if options.quick else whole_life,
        "valkey": lambda scene: use_valkey(scene, ours),
        "external": lambda scene: use_external_stores(scene, ours, external),
    }
    only = "main" if options.quick else options.only
    for name, story in every.items():
        if only in (None, name):
            yield name, story


def run_piuparts(directory: Path, packages: list[Path]) -> None:
    """Run Debian's test of installing and removing. Raises RuntimeError.

    What stays after a purge is meant to: upgrade.py compares it with what README.Debian says.
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
    """Give a directory for the trees, and remove it, which is big."""
    path = Path(tempfile.mkdtemp(prefix=f"deb-test-{os.getpid()}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
