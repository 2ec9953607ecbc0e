"""Reads requests and writes heads of answers that need no state of HTTP/1.1: nearly all of them.

A request is simple if it came whole and is a GET without a body or a wish for another protocol; an
answer, if its one body is as long as its Content-Length says. h11 does all others, and would read
and write the simple ones as they are read and written here, to the byte: its work on them is a
third of what the cheapest call costs. Only what it would not do, and load generators ask for, is
done here: an HTTP/1.0 client that says so keeps its connection. Pure. Truth: RFC 9112, h11.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]

# Narrower than what h11 takes: what is left to it is refused there, or not.
_FIELD = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n"
_REQUEST = re.compile(rb"GET ([!-~]++) HTTP/1\.([01])\r\n((?:" + _FIELD + rb")++)\r\n").fullmatch
_OWN_NAME = re.compile(rb"[-0-9a-z]++").fullmatch
_OWN_VALUE = re.compile(rb"(?:[!-~]++(?: ++[!-~]++)*+)?+").fullmatch

CLOSE, KEEP_ALIVE = b"close", b"keep-alive"
_SAY_MORE = frozenset({b"content-length", b"expect", b"transfer-encoding", b"upgrade"})
"""Request headers that announce a body or another protocol."""
_CONNECTION = frozenset({b"connection", b"transfer-encoding"})
_WITHOUT_BODY = frozenset({204, 304})


class SimpleRequest(NamedTuple):
    """A GET that is wholly there."""

    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    connection: bytes
    """What the answer says of how the connection goes on, if anything."""


def parse_request(data: bytes) -> SimpleRequest | None:
    """Read what is exactly one simple request; None: ask h11."""
    match = _REQUEST(data)
    if match is None:
        return None
    old = match[2] == b"0"
    hosts, wishes = 0, []
    headers = []
    for line in match[3].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"host":
            hosts += 1
        elif name == b"connection":
            wishes.append(value.lower())
        elif name in _SAY_MORE:
            return None
        headers.append((name, value))
    wish = b",".join(wishes) or (CLOSE if old else KEEP_ALIVE)
    if hosts > 1 or (not hosts and not old) or wish not in (CLOSE, KEEP_ALIVE):
        return None
    connection = wish if old or wish == CLOSE else b""
    return SimpleRequest(match[1], "1.0" if old else "1.1", headers, connection)


def render_head(
    status: int, headers: Headers, body_bytes: int, connection: bytes = b""
) -> bytes | None:
    """Write the head of a simple answer to a simple request; None: ask h11."""
    lengths = 0
    for name, value in headers:
        if name == b"content-length":
            if value != b"%d" % body_bytes:
                return None
            lengths += 1
        # Nothing of a value may become a header of its own.
        elif name in _CONNECTION or not (_OWN_NAME(name) and _OWN_VALUE(value)):
            return None
    if lengths != 1 or not 200 <= status < 600 or status in _WITHOUT_BODY:
        return None
    fields = b"".join([b"%b: %b\r\n" % field for field in headers])
    if connection:
        fields += b"Connection: %b\r\n" % connection
    return b"HTTP/1.1 %d \r\n%b\r\n" % (status, fields)
