"""The limits of a request's head, and simple requests without h11.

A request is simple if it arrived whole and is a GET without a body and without a request for
another protocol; a response, if its one body is as long as its Content-Length says. Nearly all
are. h11 reads and writes the others, and would read and write the simple ones to the byte as they
are here (a test compares them), but needs 41 µs for a request and its response instead of 4. One
exception: an HTTP/1.0 client that asks for it keeps its connection, as load generators do. Another:
a query may hold UTF-8 that is not percent-encoded, as curl sends what was typed. Pure.
Source: RFC 9112, for the limits its sections 2.2 to 3.2 and RFC 6585 section 5 (431).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MAX_HEAD_BYTES = 64 * 1024
"""Request line and fields. Front-ends send long queries (a welcome text in `create`)."""
MAX_FIELDS = 200
"""Browsers and proxies send about 20."""

Fields = list[tuple[bytes, bytes]]
Headers = Sequence[tuple[bytes, bytes]]

_END = re.compile(rb"\n\r?\n").search
# Without user information, which no client may send (RFC 9110 section 4.2.4).
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)((?:[/?][^#]*)?)").fullmatch

# Narrower than what h11 accepts: h11 decides about the rest.
_FIELD = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n"
_TARGET = rb"[!->@-~]++(?:\?[!-~\x80-\xff]*+)?+"
_REQUEST = re.compile(
    rb"GET (" + _TARGET + rb") HTTP/1\.([01])\r\n((?:" + _FIELD + rb")++)\r\n"
).fullmatch
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_RESPONSE_NAME = re.compile(rb"[-0-9a-z]++").fullmatch
_RESPONSE_VALUE = re.compile(rb"(?:[!-~]++(?: ++[!-~]++)*+)?+").fullmatch

CLOSE, KEEP_ALIVE = b"close", b"keep-alive"
_NOT_SIMPLE = frozenset({b"content-length", b"expect", b"transfer-encoding", b"upgrade"})
"""Request headers that announce a body or another protocol."""
_CONNECTION = frozenset({b"connection", b"transfer-encoding"})
_WITHOUT_BODY = frozenset({204, 304})


def has_large_head(received: bytes) -> bool:
    """Return whether the head at the beginning of `received`, whole or not, is over a limit."""
    if len(received) <= MAX_HEAD_BYTES and received.count(b"\n") <= MAX_FIELDS:
        return False  # wherever the head ends
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


class SimpleRequest(NamedTuple):
    """A GET that arrived whole."""

    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    connection: bytes
    """The Connection header of the response, b"" if it needs none."""


def parse_request(data: bytes) -> SimpleRequest | None:
    """Parse exactly one simple request; None: leave it to h11."""
    match = None if has_large_head(data) else _REQUEST(data)
    if match is None or not (match[1].isascii() or _is_utf8(match[1])):
        return None
    http_1_0 = match[2] == b"0"
    hosts, options = 0, []
    headers = []
    for line in match[3].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"host":
            hosts += 1
        elif name == b"connection":
            options.append(value.lower())
        elif name in _NOT_SIMPLE:
            return None
        headers.append((name, value))
    option = b",".join(options) or (CLOSE if http_1_0 else KEEP_ALIVE)
    if hosts > 1 or (not hosts and not http_1_0) or option not in (CLOSE, KEEP_ALIVE):
        return None
    connection = option if http_1_0 or option == CLOSE else b""
    return SimpleRequest(match[1], "1.0" if http_1_0 else "1.1", headers, connection)


def for_h11(request: bytes) -> bytes:
    """Return a request, or a part of one, with `?` for what is not ASCII in its first line."""
    line, end, rest = request.partition(b"\n")
    return _NOT_ASCII.sub(b"?", line) + end + rest


def parse_target(line: bytes) -> bytes | None:
    """Return the target of a request line that is well-formed but for bytes that are not ASCII.

    None: they are not UTF-8, or not in the query.
    """
    target = line.split(b" ")[1]
    path, _, query = target.partition(b"?")
    return target if path.isascii() and _is_utf8(query) else None


def _is_utf8(target: bytes) -> bool:
    try:
        target.decode()
    except UnicodeDecodeError:
        return False
    return True


def render_head(
    status: int, headers: Headers, body_bytes: int, connection: bytes = b""
) -> bytes | None:
    """Render the head of a simple response to a simple request; None: leave it to h11."""
    lengths = 0
    for name, value in headers:
        if name == b"content-length":
            if value != b"%d" % body_bytes:
                return None
            lengths += 1
        # No part of a value may become a header of its own.
        elif name in _CONNECTION or not (_RESPONSE_NAME(name) and _RESPONSE_VALUE(value)):
            return None
    if lengths != 1 or not 200 <= status < 600 or status in _WITHOUT_BODY:
        return None
    fields = b"".join([b"%b: %b\r\n" % field for field in headers])
    if connection:
        fields += b"Connection: %b\r\n" % connection
    return b"HTTP/1.1 %d \r\n%b\r\n" % (status, fields)
