"""Refuse what must not be committed: registry hosts, this machine's paths, unfinished code.

Reads the files that git tracks or would track in the working tree, or, outside a clone, all files
below it. Changes nothing. Where the rules come from: CONTRIBUTING.md, "House rules".
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# A checkout without git (an unpacked archive) still has these; they hold nothing that is committed.
UNTRACKED = {".venv", ".git", "__pycache__", "build", "dist", ".hypothesis"}


class Rule(NamedTuple):
    """What `pattern` finds in files under one of `folders` ("" is the whole tree) is a fault."""

    fault: str
    pattern: re.Pattern[str]
    folders: tuple[str, ...]


# The patterns are written so that none of them finds itself.
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
        "line that lintian finds too long for a source package",
        re.compile(r"^.{500}"),
        ("appliance", "config", "docs", "packaging", "requirements", "tools"),
    ),
    Rule("conflict marker", re.compile(r"^(?:<{7} |>{7} )"), ("",)),
)


def main() -> int:
    """Print each fault as PATH:LINE: FAULT and return 1 if there is one."""
    faults = [
        f"{path}:{line}: {fault}"
        for path in tracked_files(ROOT)
        for line, fault in find_faults(path, read_text(ROOT / path))
    ]
    print("\n".join(faults) or "check_tree: nothing that must not be committed")
    return 1 if faults else 0


def tracked_files(root: Path) -> list[str]:
    """Paths below root, relative to it, that are or would be committed."""
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
    """The file's text, empty for what is not UTF-8 text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def find_faults(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, fault) for the text of the file at `path` below the root."""
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
