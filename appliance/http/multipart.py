"""Multipart bodies: the text fields, or one file.

Holds no I/O. The checksum of a multipart form is over its fields, so any client can have a body of
a mebibyte parsed: it is split at the boundary, and the heads of its parts are short. (Werkzeug's
parser takes a second for some bodies of that size, in expressions during which nothing else runs.)
Source: RFC 7578, RFC 2046 section 5.1.
"""

from __future__ import annotations

from werkzeug.http import parse_options_header

_MAX_PARTS = 1000
_MAX_BOUNDARY_CHARS = 70
"""RFC 2046 section 5.1.1."""
_MAX_HEAD_BYTES = 1024
"""Of a part: its name, and the name of a file."""
_MAX_OPTIONS = 8
"""Semicolons in Content-Disposition, those in names included."""
_DISPOSITION = b"content-disposition"


def fields_of_multipart(body: bytes, content_type: str) -> tuple[tuple[str, str], ...] | None:
    """Return (name, value) of the text fields of a whole body, None if it is malformed.

    `content_type` is the header of that name, with the boundary.
    """
    parts = _parts(body, content_type)
    if parts is None:
        return None
    return tuple(
        (name, value.decode("utf-8", "replace")) for name, file, value in parts if not file
    )


def file_of_multipart(body: bytes, content_type: str, name: str) -> bytes | None:
    """Return the first file of a name in a whole body; None: malformed, or no such file.

    A field without a file name counts as well: some clients send none.
    """
    parts = _parts(body, content_type) or []
    for kind in (True, False):
        for part, file, content in parts:
            if part == name and file is kind:
                return content
    return None


def _parts(body: bytes, content_type: str) -> list[tuple[str, bool, bytes]] | None:
    """Return (name, whether it is a file, content) of the parts, None if the body is malformed."""
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not 1 <= len(boundary) <= _MAX_BOUNDARY_CHARS or not boundary.isascii():
        return None
    delimiter = b"\r\n--" + boundary.encode("ascii")
    first, *parts = (b"\r\n" + body.lstrip(b"\r\n")).split(delimiter, _MAX_PARTS + 1)
    if first or not parts or not parts.pop().startswith(b"--"):
        return None
    found = [_parse_part(part) for part in parts]
    return None if None in found else [part for part in found if part is not None]


def _parse_part(part: bytes) -> tuple[str, bool, bytes] | None:
    """Return one part, None if it is malformed. Its head begins behind the boundary."""
    blank = part.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES)
    if blank < 0:
        return None
    padding, *fields = part[:blank].replace(b"\r\n ", b" ").split(b"\r\n")
    if padding.strip(b" \t"):
        return None
    for field in fields:
        name, colon, value = field.partition(b":")
        if colon and name.strip().lower() == _DISPOSITION and value.count(b";") <= _MAX_OPTIONS:
            options = parse_options_header(value.decode("utf-8", "replace"))[1]
            return options.get("name", ""), "filename" in options, part[blank + 4 :]
    return None
