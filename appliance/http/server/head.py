"""Limits of a request's head, and the forms of its target. Pure.

Source: RFC 9112 sections 2.2, 3 and 3.2; RFC 6585 section 5 (431).
"""

from __future__ import annotations

import re

MAX_HEAD_BYTES = 64 * 1024
"""Request line and fields. Front-ends send long queries (a welcome text in `create`)."""
MAX_FIELDS = 200
"""Browsers and proxies send about 20."""

Fields = list[tuple[bytes, bytes]]

_END = re.compile(rb"\n\r?\n").search
# Without user information, which no client may send (RFC 9110 section 4.2.4).
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)((?:[/?][^#]*)?)").fullmatch


def has_large_head(received: bytes) -> bool:
    """Return whether the head at the beginning of `received`, whole or not, is over a limit."""
    end = _END(received, 0, MAX_HEAD_BYTES + 1)
    size = end.end() if end else len(received)
    # One line more than the fields, and an empty one.
    return size > MAX_HEAD_BYTES or received.count(b"\n", 0, size) > MAX_FIELDS + 2


def to_origin_form(target: bytes, headers: Fields) -> tuple[bytes, Fields]:
    """Return the path and query of a target that is a whole URL, and its host as the Host field.

    Any other target is returned unchanged. The names of `headers` are in lower case.
    """
    if target.startswith(b"/"):
        return target, headers
    absolute = _ABSOLUTE(target)
    if absolute is None:
        return target, headers
    host, rest = absolute.groups()
    path = rest if rest.startswith(b"/") else b"/" + rest
    return path, [(b"host", host), *(field for field in headers if field[0] != b"host")]
