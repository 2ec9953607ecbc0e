"""Finds text that must not be committed: registry hosts, local paths, unfinished code.

Reads the files that git tracks or would track, or without git all files. The rules are described in
CONTRIBUTING.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# Skipped without git, for example in an unpacked archive.
UNTRACKED = {".venv", ".git", "__pycache__", "build", "dist", ".hypothesis"}


class Rule(NamedTuple):
    """A forbidden pattern in files of some folders; "" is the whole tree."""

    fault: str
    pattern: re.Pattern[str]
    folders: tuple[str, ...]


# The patterns do not match themselves.
RULES = (
    Rule(
        "path of a build machine",
        re.compile(r"(?:^|[^\w./-])/(?:work|farm|opt/wheels|root/\.pyenv)/"),
        ("",),
    ),
    Rule(
        "address of a package registry",
        re.compile(
            r"(?:index-url|find-links|trusted-host)[ =]+\S*[/.]\S"
            r"|\"resolved\": *\"http"
            r"|https?://[^ \"]+\.(?:whl|tar\.gz|tgz|deb)\b"
            r"|\b(?:deb|registry|files)\.(?!example\b)[a-z]+\.(?:org|io)\b"
            r"|\bpypi\.[a-z]"
        ),
        ("",),
    ),
    Rule("host or option in a lock file", re.compile(r"://|^-(?!-hash|c |r )"), ("requirements",)),
    Rule(
        "unfinished code",
        re.compile(r"\b(?:TO(?:DO)|FIX(?:ME)|Not(?:Implemented)Error)\b"),
        ("appliance", "benchmarks", "config", "tests", "tools"),
    ),
    Rule(
        "skipped test",
        re.compile(r"pytest\.(?:mark\.)?(?:skip|xfail|importorskip)"),
        ("tests",),
    ),
    Rule(
        "line that is too long for lintian",
        re.compile(r"^.{500}"),
        ("appliance", "config", "docs", "packaging", "requirements", "tools"),
    ),
    Rule("conflict marker", re.compile(r"^(?:<{7} |>{7} )"), ("",)),
)


def main() -> int:
    """Print each fault as PATH:LINE: FAULT; return 1 if there is one."""
    faults = [
        f"{path}:{line}: {fault}"
        for path in tracked_files(ROOT)
        for line, fault in find_faults(path, read_text(ROOT / path))
    ]
    print("\n".join(faults) or "check_tree: no faults")
    return 1 if faults else 0


def tracked_files(root: Path) -> list[str]:
    """Return the paths below root, relative to it, that git tracks or would track."""
    listing = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
        text=True,
    )
    if listing.returncode == 0:
        return [path for path in listing.stdout.split("\0") if (root / path).is_file()]
    below = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return [str(path) for path in below if not UNTRACKED.intersection(path.parts)]


def read_text(path: Path) -> str:
    """Return the text of a file, empty if it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def find_faults(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and fault for the text of a file; path: relative to the root."""
    rules = [
        rule
        for rule in RULES
        if any(not folder or path.startswith(f"{folder}/") for folder in rule.folders)
    ]
    for number, line in enumerate(text.splitlines(), start=1):
        for rule in rules:
            if rule.pattern.search(line):
                yield number, rule.fault


if __name__ == "__main__":
    sys.exit(main())
