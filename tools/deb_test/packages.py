"""Builds the packages, checks them with lintian, and compares a second build."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tools.deb_test.report import Report

ROOT = Path(__file__).resolve().parents[2]
BUILD = "packaging/deb/build"
OLDER = "0.0.1"
"""Version of the package that is upgraded from."""
_NOBODY = 65534
_TOOLS = ("apt-utils", "gpg", "lintian", "mmdebstrap", "openssl", "systemd-container", "util-linux")


def install_tools(*more: str) -> None:
    """Install missing Debian packages that the test uses."""

    def is_missing(name: str) -> bool:
        state = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${db:Status-Status}", name],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return state.stdout != "installed"

    missing = [name for name in (*_TOOLS, *more) if name and is_missing(name)]
    if missing:
        run(str(ROOT / "tools/install-packages"), *missing)


def build_packages(report: Report, directory: Path) -> list[Path]:
    """Build the packages of this checkout, and return the .deb files."""
    with report.step("the packages are built"):
        run(str(ROOT / BUILD), "--output", str(directory / "dist"))
    return sorted((directory / "dist").glob("*.deb"))


@contextmanager
def lintian_beside(report: Report, packages: list[Path]) -> Iterator[None]:
    """Run lintian on the packages in parallel with the block."""
    changes = next(packages[0].parent.glob("*.changes"))
    with ThreadPoolExecutor(1) as beside:
        judged = beside.submit(run, "lintian", "-EI", "--pedantic", "--allow-root", str(changes))
        yield
        with report.step("lintian finds nothing, also with --pedantic"):
            output = judged.result()
            output = output.replace("running with root privileges is not recommended!\n", "")
            assert not output, output


def check_reproducible(report: Report, directory: Path, packages: list[Path]) -> None:
    """Build again in another directory, as another user, without a network, and compare."""
    name = "the build is reproducible in a clone, with another user, path, time zone and umask"
    with report.step(name):
        clone = directory / "else where" / "clone"
        copy_checkout(clone)
        cached = ROOT / "build" / "deb" / "wheels"
        shutil.copytree(cached, clone / "build" / "deb" / "wheels")
        run("chown", "-R", f"{_NOBODY}:{_NOBODY}", str(clone.parent))
        outer = directory
        outer.chmod(0o755)
        environ = {
            "TZ": "Pacific/Kiritimati",
            "HOME": str(clone),
            "LC_ALL": "C",
            "PATH": os.environ["PATH"],
        }
        run(
            "setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups",
            "unshare", "--user", "--net", "--map-current-user",
            "sh", "-c", "umask 077; cd \"$0\"; exec packaging/deb/build", str(clone),
            environ=environ,
        )  # fmt: skip
        for package in packages:
            again = clone / "dist" / package.name
            assert digest(again) == digest(package), f"{again} is not equal to {package}"


def copy_checkout(target: Path) -> None:
    """Clone the checkout with its uncommitted changes."""
    run("git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(target))
    listed = run(
        "git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"
    )
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)


def make_older(package: Path, directory: Path) -> Path:
    """Create an older version of the package, with a different configuration."""
    tree = directory / "older"
    run("dpkg-deb", "--raw-extract", str(package), str(tree))
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    lines = [f"Version: {OLDER}" if one.startswith("Version:") else one for one in lines]
    control.write_text("\n".join(lines) + "\n")
    configuration = tree / "etc/default/scalelite-appliance"
    configuration.write_text(configuration.read_text() + "\n# of the older version\n")
    defaults = tree / "usr/share/scalelite-appliance/defaults.env"
    text = defaults.read_text().splitlines()
    text = [f"BUILD_NUMBER={OLDER}" if one.startswith("BUILD_NUMBER=") else one for one in text]
    defaults.write_text("\n".join(text) + "\n")
    older = directory / f"scalelite-appliance_{OLDER}_all.deb"
    run("dpkg-deb", "--root-owner-group", "--build", str(tree), str(older))
    return older


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(*command: str, environ: dict[str, str] | None = None) -> str:
    """Run a program and return its output and errors. Raises RuntimeError: it failed."""
    done = subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout
