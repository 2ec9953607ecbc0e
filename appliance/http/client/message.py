"""The bytes of HTTP/1.1 requests and answers; no I/O (RFC 9110, RFC 9112).

h11 is the judge of everything that is streamed, chunked or odd. What nearly every exchange consists
of, a small request and an answer whose head came whole with a Content-Length, is rendered and read
here: h11 takes four times as long for it as all the rest of an exchange. `parse_simple`
takes only what h11 reads in the very same way (a test compares them) and leaves the rest to it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass

import h11
import httpx

Headers = Sequence[tuple[bytes, bytes]]

MAX_HEAD_BYTES = 16 * 1024
"""Status line and header of an answer; what nginx and h11 itself take by default."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
_IS_METHOD = re.compile(r"[A-Z]+").fullmatch
_IS_TARGET = re.compile(rb"[\x21-\x7e]+").fullmatch
_IS_NAME = re.compile(_TOKEN).fullmatch
_IS_VALUE = re.compile(_VALUE).fullmatch
_IS_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: " + _VALUE + rb")?(?:\r\n" + _TOKEN + rb":" + _VALUE + rb")*"
).fullmatch

_OURS = frozenset(
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
"""Headers that frame the message or belong to the connection: the caller's are dropped."""

_NOT_SIMPLE = frozenset({b"transfer-encoding", b"content-encoding", b"upgrade"})
_MAX_LENGTH_DIGITS = 15


class UnusableAnswerError(httpx.RemoteProtocolError):
    """An answer was begun, and its body is not wanted: too large, or compressed."""

    def __init__(self, reason: str, status: int) -> None:
        """`status` is the answer's: it may say enough without the body."""
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Upload:
    """A request body that is streamed."""

    chunks: AsyncIterable[bytes]
    length: int | None
    """In bytes; None: sent in chunks of HTTP/1.1, length unknown."""


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
class AnswerHead:
    """The head of an answer."""

    status: int
    headers: Headers
    """Names in lower case."""

    def check_length(self, max_bytes: float) -> None:
        """Refuse a body announced as larger than that. Raises: UnusableAnswerError."""
        for name, value in self.headers:
            if name == b"content-length" and int(value) > max_bytes:
                raise self.too_large(max_bytes)

    def check_encoding(self) -> None:
        """Refuse compression: none was asked for, and it could unpack to any size.

        Raises: UnusableAnswerError.
        """
        for name, value in self.headers:
            if name == b"content-encoding" and value.lower() not in (b"", b"identity"):
                raise UnusableAnswerError("the answer is compressed, unasked", self.status)

    def too_large(self, max_bytes: float) -> UnusableAnswerError:
        """Return the error for a body beyond the limit."""
        return UnusableAnswerError(f"the answer is larger than {max_bytes} bytes", self.status)


def make_head(
    method: str, target: bytes, host: bytes, headers: Headers, body: bytes | Upload | None
) -> RequestHead:
    """Make the head of a request with that body.

    Raises: httpx.LocalProtocolError (a method, target or header that would not stay one; its text
    does not quote it, for targets are signed).
    """
    fields = [(b"Host", host), (b"Accept-Encoding", b"identity")]
    for name, value in headers:
        if name.lower() not in _OURS:
            fields.append((name, value.strip(b" \t")))
    if isinstance(body, Upload):
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


def parse_simple(data: bytes) -> tuple[AnswerHead, bytes, int] | None:
    """Read an answer that is plain and leaves its connection open; None: ask h11.

    Gives its head, the beginning of its body, and how many bytes of that are still to come. Not for
    the answer to a HEAD request, whose Content-Length announces nothing.
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
    return AnswerHead(status, headers), data[end + 4 :], missing
