"""The bytes of HTTP/1.1 requests and responses; no I/O (RFC 9110, RFC 9112).

h11 reads and writes everything that is streamed, chunked or unusual. Nearly every exchange is a
small request and a response whose head comes whole with a Content-Length: these are rendered and
parsed here, in 3 µs instead of h11's 41. `parse_simple` accepts only what h11 reads in the very
same way (a test compares them) and leaves the rest to it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass

import h11
import httpx

Headers = Sequence[tuple[bytes, bytes]]

MAX_HEAD_BYTES = 16 * 1024
"""Status line and headers of a response; the default of nginx and of h11."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
_IS_METHOD = re.compile(r"[A-Z]+").fullmatch
_IS_TARGET = re.compile(rb"[\x21-\x7e]+").fullmatch
_IS_NAME = re.compile(_TOKEN).fullmatch
_IS_VALUE = re.compile(_VALUE).fullmatch
_IS_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: " + _VALUE + rb")?(?:\r\n" + _TOKEN + rb":" + _VALUE + rb")*"
).fullmatch

_CONNECTION_HEADERS = frozenset(
    {
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that frame the message or belong to the connection: a caller's are dropped."""

_NOT_SIMPLE = frozenset({b"transfer-encoding", b"content-encoding", b"upgrade"})
_MAX_LENGTH_DIGITS = 15


class UnusableResponseError(httpx.RemoteProtocolError):
    """A response began, and its body is not read: it is too large, or compressed."""

    def __init__(self, reason: str, status: int) -> None:
        """`status` is the response's; it may be enough without the body."""
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class StreamedBody:
    """A request body that is sent while it is produced."""

    chunks: AsyncIterable[bytes]
    length: int | None
    """In bytes; None: unknown, the body is sent chunked."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request, known to be well-formed."""

    method: str
    target: bytes
    headers: Headers

    def render(self) -> bytes:
        """Return its bytes."""
        fields = b"".join([b"%b: %b\r\n" % field for field in self.headers])
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (self.method.encode(), self.target, fields)

    def to_h11(self) -> h11.Request:
        """Return it as h11's event."""
        return h11.Request(method=self.method, target=self.target, headers=list(self.headers))


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The head of a response."""

    status: int
    headers: Headers
    """Names in lower case."""

    def check_length(self, max_bytes: float) -> None:
        """Refuse a body that is announced as larger. Raises: UnusableResponseError."""
        for name, value in self.headers:
            if name == b"content-length" and int(value) > max_bytes:
                raise self.too_large(max_bytes)

    def check_encoding(self) -> None:
        """Refuse compression: it was not asked for, and could unpack to any size.

        Raises: UnusableResponseError.
        """
        for name, value in self.headers:
            if name == b"content-encoding" and value.lower() not in (b"", b"identity"):
                raise UnusableResponseError(
                    "the response is compressed, which was not asked for", self.status
                )

    def too_large(self, max_bytes: float) -> UnusableResponseError:
        """Return the error for a body beyond the limit."""
        return UnusableResponseError(f"the response is larger than {max_bytes} bytes", self.status)


def make_head(
    method: str, target: bytes, host: bytes, headers: Headers, body: bytes | StreamedBody | None
) -> RequestHead:
    """Make the head of a request with that body.

    Raises: httpx.LocalProtocolError (a method, target or header that would end early and become
    another request; its text quotes nothing, since targets are signed).
    """
    fields = [(b"Host", host), (b"Accept-Encoding", b"identity")]
    for name, value in headers:
        if name.lower() not in _CONNECTION_HEADERS:
            fields.append((name, value.strip(b" \t")))
    if isinstance(body, StreamedBody):
        if body.length is None:
            fields.append((b"Transfer-Encoding", b"chunked"))
        else:
            fields.append((b"Content-Length", b"%d" % body.length))
    elif body or method not in ("GET", "HEAD"):
        fields.append((b"Content-Length", b"%d" % len(body or b"")))
    if not (
        _IS_METHOD(method)
        and _IS_TARGET(target)
        and all(_IS_NAME(name) and _IS_VALUE(value) for name, value in fields)
    ):
        raise httpx.LocalProtocolError("the request is not valid HTTP")
    return RequestHead(method, target, fields)


def parse_simple(data: bytes) -> tuple[ResponseHead, bytes, int] | None:
    """Parse a response that is plain and leaves its connection open; None: leave it to h11.

    Returns its head, the part of its body that is in `data`, and how many bytes of the body are
    still to come. Not for the response to HEAD, whose Content-Length announces nothing.
    """
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    match = _IS_HEAD(data, 0, end) if end > 0 else None
    if match is None:
        return None
    status = int(match[1])
    length = -1
    headers = []
    for line in data[:end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        headers.append((name, value))
        if name == b"content-length":
            if length >= 0 or not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
                return None
            length = int(value)
        elif name in _NOT_SIMPLE or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
    missing = end + 4 + length - len(data)
    if status in (204, 304) or length < 0 or missing < 0:
        return None
    return ResponseHead(status, headers), data[end + 4 :], missing
