"""HTTP/1.1 for the simulated BBB server: requests, answers and the framing of bodies.

Pure; bbb_connection.py has the sockets. Written without a library, because the double must be much
faster than the appliance and must be able to send malformed answers.
Source: RFC 9112 (framing).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

MAX_HEAD_BYTES = 256 * 1024
MAX_LINE_BYTES = 8 * 1024
"""The nginx of a real BBB refuses longer request lines (large_client_header_buffers 8k)."""
KEPT_BODY_BYTES = 1024 * 1024
"""Part of a body that is kept in memory; the rest is counted and hashed."""

REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    404: "Not Found",
    413: "Content Too Large",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Reply(NamedTuple):
    """An answer before framing."""

    body: bytes
    content_type: str = "text/xml;charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def head(self, framing: str) -> bytes:
        """Return status line and header fields; `framing` is the field that delimits the body."""
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        return (
            f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}\r\n"
            f"Content-Type: {self.content_type}\r\n{extra}{framing}\r\n\r\n"
        ).encode()

    def encode(self) -> bytes:
        """Return the encoded answer."""
        return self.head(f"Content-Length: {len(self.body)}") + self.body


class BadRequestError(Exception):
    """The request is no valid HTTP; args: status, reason."""


@dataclass(slots=True)
class Request:
    """A request as received, not decoded."""

    method: str
    target: bytes
    head: bytes
    received_s: float
    """time.time()"""
    body_size: int = 0
    body_sha256: str = ""
    body: bytes = b""
    """At most KEPT_BODY_BYTES; shortened once the request is answered."""
    headers_cache: dict[str, str] | None = field(default=None, repr=False)

    @property
    def path(self) -> bytes:
        """Return the target up to its `?`."""
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        """Return the raw query, as received."""
        return self.target.partition(b"?")[2]

    @property
    def headers(self) -> dict[str, str]:
        """Return the header fields, names in lower case."""
        if self.headers_cache is None:
            fields = (line.partition(b":") for line in self.head.split(b"\r\n")[1:])
            self.headers_cache = {
                name.strip().lower().decode("latin-1"): value.strip().decode("latin-1")
                for name, _, value in fields
            }
        return self.headers_cache


class Framing(Protocol):
    """The framing of a request body."""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return the body's bytes in `data`, and the rest of `data` if the body has ended."""


class LengthFraming:
    """A body of known length."""

    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See Framing.feed."""
        if len(data) < self._left:
            self._left -= len(data)
            return data, None
        part, rest = data[: self._left], data[self._left :]
        self._left = 0
        return part, rest


class ChunkedFraming:
    """A body in chunks (RFC 9112, 7.1)."""

    def __init__(self) -> None:
        self._pending = b""
        self._left = 0
        self._after_chunk = False
        self._in_trailer = False

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See Framing.feed."""
        parts = []
        data, self._pending = self._pending + data, b""
        while data:
            if self._left:
                part, data = data[: self._left], data[self._left :]
                self._left -= len(part)
                self._after_chunk = self._left == 0
                parts.append(part)
                continue
            line, found, rest = data.partition(b"\r\n")
            if not found:
                self._pending = data
                break
            data = rest
            if self._read_line(line):
                return b"".join(parts), data
        return b"".join(parts), None

    def _read_line(self, line: bytes) -> bool:
        if self._in_trailer:
            return not line
        if self._after_chunk:
            self._after_chunk = False
            if line:
                raise BadRequestError(400, "chunk without its end")
            return False
        try:
            self._left = int(line.partition(b";")[0].strip(), 16)
        except ValueError:
            raise BadRequestError(400, "chunk size is not a number") from None
        self._in_trailer = self._left == 0
        return False
