"""Makes the file tree of a fresh Debian machine, with packages that its guests may install.

A guest has no network: what it installs lies in its apt cache. The tree lives as long as one run
of the test, and each guest writes into a layer of its own above it (machine.py).
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

SUITE = "trixie"
PACKAGES = "/srv/packages"
"""Where the packages under test are in the tree."""

_INCLUDE = ("systemd", "systemd-sysv", "dbus", "ca-certificates", "curl", "nginx-light", "ssl-cert")
_DOWNLOAD = "-qq --yes --no-install-recommends --download-only"
_UNSAFE = "force-unsafe-io"


def make_tree(target: Path, packages: Sequence[Path], wanted: Sequence[Sequence[str]]) -> None:
    """Make the tree. packages: the .deb files; wanted: sets of names to have in apt's cache.

    Raises subprocess.CalledProcessError.
    """
    sources = write_sources(target.with_suffix(".sources"))
    hooks = [
        f'mkdir -p "$1{PACKAGES}"',
        *(f'cp {package} "$1{PACKAGES}/"' for package in packages),
        # Faster, and no harm: a test that is cut off is run anew.
        f'echo {_UNSAFE} >"$1/etc/dpkg/dpkg.cfg.d/test"',
        # nginx is for one of the guests, and only when it says so.
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
    """Write down where this machine has Debian from, without what is only its own."""
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
        raise RuntimeError(f"this machine knows no source of Debian packages for {SUITE}")
    target = target.with_suffix(".list")
    target.write_text("".join(lines))
    return target
