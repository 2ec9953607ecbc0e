"""Reads a file of environment variables as systemd reads an EnvironmentFile. Pure.

For commands that work with the variables of another installation, whose file they are given.
Source: systemd.exec(5), EnvironmentFile=.
"""

from __future__ import annotations

import re

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)", re.DOTALL).fullmatch


def parse_environment_file(text: str) -> dict[str, str]:
    """Return the variables; a later one of a name counts. What is no assignment is ignored."""
    found = {}
    joined = re.sub(r"\\\r?\n", "", text)
    for raw in joined.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if match := _LINE(line):
            found[match[1]] = _unquote(match[2].strip())
    return found


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        inner = value[1:-1]
        return re.sub(r'\\(["\\$`])', r"\1", inner) if value[0] == '"' else inner
    return value
