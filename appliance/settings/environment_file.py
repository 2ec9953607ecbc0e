"""Parses a file of environment variables as systemd parses an EnvironmentFile. Pure.

Used for the files of the Debian package, and for commands that are given the environment file of
another installation. Keep the imports few: the packaged `ctl` imports this at every start.
Source: systemd.exec(5), EnvironmentFile=; `make deb-test` compares with a real systemd.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPORTED = re.compile(r"export[ \t]+([A-Za-z_][A-Za-z0-9_]*)")
_BLANKS = re.compile(r"[ \t\r]*")
_SINGLE_QUOTED = re.compile(r"'([^']*)(?:'|\Z)")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\Z)', re.DOTALL)
_BARE = re.compile(r"(?:[^\\\n]|\\.)*", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r'\\(?:([\\"`$])|\n)')
_ESCAPED = re.compile(r"\\(?:\n|(.))")


def parse_environment_file(text: str) -> dict[str, str]:
    """Return the variables of a file.

    Lines without `=` and invalid names are ignored.
    """
    return {name: value for name, value in _assignments(text) if _NAME.fullmatch(name)}


def find_exported(text: str) -> list[str]:
    """Return the variables that a file has with `export`, as in a script; they are ignored."""
    return [found[1] for name, _ in _assignments(text) if (found := _EXPORTED.fullmatch(name))]


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yield each value with what stands before its `=`."""
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        head, equals, _ = text[position:end].partition("=")
        if not equals or head.lstrip()[:1] in ("#", ";"):
            position = end + 1
            continue
        value, position = _parse_value(text, position + len(head) + 1)
        yield head.strip(), value


def _parse_value(text: str, position: int) -> tuple[str, int]:
    """Return the value that starts at `position`, and the position of the next line."""
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
    # An escaped space at the end belongs to the value.
    if trailing and bare[0][: len(bare[0]) - trailing].endswith("\\"):
        trailing -= 1
    kept = bare[0][: len(bare[0]) - trailing] if trailing else bare[0]
    parts.append(_ESCAPED.sub(lambda found: found[1] or "", kept))
    return "".join(parts), bare.end() + 1
