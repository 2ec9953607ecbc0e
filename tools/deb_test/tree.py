"""Creates the file tree of a new Debian system, with packages that its guests can install.

A guest has no network; packages are in its apt cache. Each guest writes to its own overlay on the
tree (machine.py), which is removed at the end of the test.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

SUITE = "trixie"
PACKAGES = "/srv/packages"
"""Directory of the packages under test in the tree."""

_INCLUDE = ("systemd", "systemd-sysv", "dbus", "ca-certificates", "curl", "nginx-light", "ssl-cert")
_DOWNLOAD = "-qq --yes --no-install-recommends --download-only"
_UNSAFE = "force-unsafe-io"


def make_tree(target: Path, packages: Sequence[Path], wanted: Sequence[Sequence[str]]) -> None:
    """Create the tree. packages: .deb files; wanted: sets of packages for the apt cache.

    Raises subprocess.CalledProcessError.
    """
    sources = write_sources(target.with_suffix(".sources"))
    hooks = [
        f'mkdir -p "$1{PACKAGES}"',
        *(f'cp {package} "$1{PACKAGES}/"' for package in packages),
        # Faster; durability is not needed in a test.
        f'echo {_UNSAFE} >"$1/etc/dpkg/dpkg.cfg.d/test"',
        # nginx is started by one test only.
        'ln -sf /dev/null "$1/etc/systemd/system/nginx.service"',
        *(f'chroot "$1" apt-get {_DOWNLOAD} install {" ".join(names)}' for names in wanted),
    ]
    command = [
        "mmdebstrap", "--quiet", "--variant=important", f"--include={','.join(_INCLUDE)}",
        "--format=directory", "--skip=cleanup/apt",
        "--aptopt=APT::Install-Recommends \"false\"",
        *(f"--customize-hook={hook}" for hook in hooks),
        SUITE, str(target), str(sources),
    ]  # fmt: skip
    subprocess.run(command, check=True)


def write_sources(target: Path) -> Path:
    """Write the package sources of this host, without those that are not Debian's."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(SIGNED_BY)"
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    lines = []
    for line in dict.fromkeys(listing.splitlines()):
        uri, suite, component, key = line.split(" ", 3)
        if suite.startswith(SUITE) and uri.startswith("http"):
            signed = f" [signed-by={key}]" if key.startswith("/") else ""
            lines.append(f"deb{signed} {uri} {suite} {component}\n")
    if not lines:
        raise RuntimeError(f"this host has no source of Debian packages for {SUITE}")
    target = target.with_suffix(".list")
    target.write_text("".join(lines))
    return target
