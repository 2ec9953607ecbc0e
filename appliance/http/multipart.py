"""Multipart bodies: the text fields, or one file.

Holds no I/O. Source: RFC 7578; the parser is Werkzeug's.
"""

from __future__ import annotations

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

_MAX_PARTS = 1000
_MAX_BOUNDARY_CHARS = 70
"""RFC 2046 section 5.1.1."""


def fields_of_multipart(body: bytes, content_type: str) -> tuple[tuple[str, str], ...] | None:
    """Return (name, value) of the text fields of a whole body, None if it is malformed.

    `content_type` is the header of that name, with the boundary.
    """
    fields = _parts(body, content_type, Field)
    if fields is None:
        return None
    return tuple((name, value.decode("utf-8", "replace")) for name, value in fields)


def file_of_multipart(body: bytes, content_type: str, name: str) -> bytes | None:
    """Return the first file of a name in a whole body; None: malformed, or no such file.

    A field without a file name counts as well: some clients send none.
    """
    for kind in (File, Field):
        for part, content in _parts(body, content_type, kind) or ():
            if part == name:
                return content
    return None


def _parts(
    body: bytes, content_type: str, kind: type[Field] | type[File]
) -> list[tuple[str, bytes]] | None:
    """Return (name, content) of the parts of one kind, None if the body is malformed."""
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not 1 <= len(boundary) <= _MAX_BOUNDARY_CHARS or not boundary.isascii():
        return None
    try:
        return _decode(body, boundary.encode("ascii"), kind)
    except (ValueError, LookupError, RequestEntityTooLarge):
        return None


def _decode(
    body: bytes, boundary: bytes, kind: type[Field] | type[File]
) -> list[tuple[str, bytes]]:
    decoder = MultipartDecoder(boundary, max_parts=_MAX_PARTS)
    decoder.receive_data(body)
    decoder.receive_data(None)
    parts: list[tuple[str, bytes]] = []
    of_kind = False
    while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
        if isinstance(event, Data):
            if of_kind:
                name, value = parts[-1]
                parts[-1] = name, value + event.data
        else:
            of_kind = isinstance(event, kind)
            if isinstance(event, kind):
                parts.append((event.name or "", b""))
    return parts
