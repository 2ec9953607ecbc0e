"""Reads a file of environment variables as systemd reads an EnvironmentFile. Pure.

For the package's own files, and for commands that work with the variables of another installation,
whose file they are given. Must stay light to import: `ctl` starts through it.
Source: systemd.exec(5), EnvironmentFile=; `make deb-test` compares with a real systemd.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANKS = re.compile(r"[ \t\r]*")
_SINGLE_QUOTED = re.compile(r"'([^']*)(?:'|\Z)")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\Z)', re.DOTALL)
_BARE = re.compile(r"(?:[^\\\n]|\\.)*", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r'\\(?:([\\"`$])|\n)')
_ESCAPED = re.compile(r"\\(?:\n|(.))")


def parse_environment_file(text: str) -> dict[str, str]:
    """Return the variables of an EnvironmentFile=, read as systemd reads it.

    Lines without `=`, and names that no variable can have, are passed over.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        head, equals, _ = text[position:end].partition("=")
        if not equals or head.lstrip()[:1] in ("#", ";"):
            position = end + 1
            continue
        value, position = _parse_value(text, position + len(head) + 1)
        if _NAME.fullmatch(head.strip()):
            found[head.strip()] = value
    return found


def _parse_value(text: str, position: int) -> tuple[str, int]:
    """Return the value that begins at `position`, and where the next line begins."""
    parts: list[str] = []
    while True:
        match = _BLANKS.match(text, position)
        position = match.end() if match else position
        if quoted := _SINGLE_QUOTED.match(text, position):
            parts.append(quoted[1])
        elif quoted := _DOUBLE_QUOTED.match(text, position):
            parts.append(_ESCAPED_IN_QUOTES.sub(lambda found: found[1] or "", quoted[1]))
        else:
            break
        position = quoted.end()
    bare = _BARE.match(text, position)
    if bare is None or not bare[0]:
        return "".join(parts), position + 1
    trailing = len(bare[0]) - len(bare[0].rstrip())
    # An escaped blank at the end belongs to the value.
    if trailing and bare[0][: len(bare[0]) - trailing].endswith("\\"):
        trailing -= 1
    kept = bare[0][: len(bare[0]) - trailing] if trailing else bare[0]
    parts.append(_ESCAPED.sub(lambda found: found[1] or "", kept))
    return "".join(parts), bare.end() + 1
