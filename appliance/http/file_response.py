"""Files as responses: ranges, conditional requests, HEAD, and a body that is never in memory.

The caller decides who may see a file. If anything happens to the file after the head of the
response was sent, the connection is cut off, so that no client takes a part for the whole.
Quart's own file responses fail with suffix ranges, refuse several ranges, and read 8 KiB at a time
(45 MB/s instead of 850). Source: RFC 9110 (13 conditional requests, 14 ranges).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from types import TracebackType
from typing import Protocol

import trio
from quart import Response
from quart.wrappers.response import ResponseBody
from werkzeug.datastructures import Headers

from appliance.http.content_types import content_type_of
from appliance.http.messages import ClientGone, Request
from appliance.http.quart_exchange import current_exchange
from appliance.log import Log

CHUNK_BYTES = 256 * 1024
"""Read at a time: smaller pieces need a thread more often (64 KiB: 500 MB/s instead of 1200),
larger ones are not faster."""
STALL_S = 120.0
"""A client that does not take a chunk within this is given up. The slowest lines take 256 KiB in
that time; a player that was paused asks again with a range."""

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,100})\s*-\s*([0-9]{0,100})\s*", re.IGNORECASE)
_SECOND_NS = 1_000_000_000


class ServedFile(Protocol):
    """A file that is sent: on a disk, or an object in a bucket. The methods block."""

    @property
    def name(self) -> str:
        """Return the name, which decides the content type."""

    @property
    def size(self) -> int:
        """Return the size in bytes."""

    @property
    def modified_ns(self) -> int:
        """Return the time of the last change since the epoch."""

    @property
    def tag(self) -> str:
        """Return the ETag, with quotes."""

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes, fewer at the end of the file only. Raises: OSError."""

    def close(self) -> None:
        """Close the file; safe to call twice."""


class OpenedFile:
    """A regular file, open until `close`. The methods block."""

    def __init__(self, descriptor: int, name: str, found: os.stat_result) -> None:
        self._descriptor = descriptor
        self.name = name
        self.size = found.st_size
        self.modified_ns = found.st_mtime_ns

    @property
    def tag(self) -> str:
        """Return the ETag: equal on every appliance that serves the file from a shared disk."""
        return f'"{self.modified_ns:x}-{self.size:x}"'

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes, fewer at the end of the file only. Raises: OSError."""
        parts: list[bytes] = []
        while count > 0 and (part := os.pread(self._descriptor, count, offset)):
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close
    """A response that was made may never be sent."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a file, in bytes."""

    start: int
    length: int


def file_response(
    file: ServedFile,
    extra: Sequence[tuple[str, str]],
    log: Log,
    *,
    threads: trio.CapacityLimiter | None = None,
) -> Response:
    """Return the response to the current request: the file, a part of it, or its validators only.

    Takes the file over and closes it. threads: for reading; None: Trio's own.
    """
    exchange = current_exchange()
    request = exchange.request
    tag, modified = file.tag, formatdate(file.modified_ns // _SECOND_NS, usegmt=True)
    headers = [("etag", tag), ("last-modified", modified), *extra]
    if has_changed(request.headers, tag, file.modified_ns // _SECOND_NS):
        return _respond(412, [("content-length", "0"), *headers])
    if is_unchanged(request.headers, tag, file.modified_ns // _SECOND_NS):
        return _respond(304, headers)
    headers += [
        ("content-type", content_type_of(file.name)),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
    ]
    status, span = 200, _requested_span(request, tag, modified, file.size)
    if span is not None:
        status = 206 if span.length else 416
        part = f"{span.start}-{span.start + span.length - 1}" if span.length else "*"
        headers.append(("content-range", f"bytes {part}/{file.size}"))
    span = span or Span(0, file.size)
    headers.append(("content-length", str(span.length)))
    if request.method == "HEAD" or not span.length:
        return _respond(status, headers)
    exchange.stall_s = STALL_S
    exchange.watch_client()
    return _respond(status, headers, _FileBody(file, span, request.path, log, threads))


def _respond(
    status: int, headers: Sequence[tuple[str, str]], body: ResponseBody | bytes = b""
) -> Response:
    response = Response(body, status)
    response.headers = Headers(headers)  # without those that Quart adds
    return response


def has_changed(headers: Mapping[bytes, bytes], tag: str, modified_s: int) -> bool:
    """Return whether the client asks for another version (If-Match, else If-Unmodified-Since)."""
    match = headers.get(b"if-match")
    if match is not None:
        tags = {one.strip() for one in match.decode("latin-1").split(",")}
        return tag not in tags and tags != {"*"}
    since = headers.get(b"if-unmodified-since")
    known_s = None if since is None else _seconds(since.decode("latin-1"))
    return known_s is not None and modified_s > known_s


def is_unchanged(headers: Mapping[bytes, bytes], tag: str, modified_s: int) -> bool:
    """Return whether the client has this version (If-None-Match, else If-Modified-Since)."""
    none_match = headers.get(b"if-none-match")
    if none_match is not None:
        named = none_match.decode("latin-1").split(",")
        tags = {one.strip().removeprefix("W/") for one in named}
        return tag in tags or tags == {"*"}
    since = headers.get(b"if-modified-since")
    known_s = None if since is None else _seconds(since.decode("latin-1"))
    return known_s is not None and modified_s <= known_s


def parse_range(text: str, size: int) -> Span | None:
    """Return the part that a Range header asks for; None: the whole, length 0: not satisfiable.

    Several ranges, another unit and a malformed header ask for the whole (RFC 9110 14.2).
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        length = min(int(found[2]), size)
        return Span(size - length, length)
    start = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < start:
        return None
    return Span(start, max(0, min(last, size - 1) - start + 1))


def _requested_span(request: Request, tag: str, modified: str, size: int) -> Span | None:
    header = request.header(b"range")
    if header is None or request.method != "GET":
        return None
    condition = request.header(b"if-range")
    # Compared literally: a weak tag, or a date of another second, does not prove equality.
    if condition is not None and condition.strip() not in (tag, modified):
        return None
    return parse_range(header, size)


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class _FileBody(ResponseBody):
    """Reads a part of an open file, and closes it."""

    def __init__(
        self,
        file: ServedFile,
        span: Span,
        path: str,
        log: Log,
        threads: trio.CapacityLimiter | None,
    ) -> None:
        self._file = file
        self._threads = threads
        self._offset, self._left = span.start, span.length
        self._path = path
        self._log = log

    async def __aenter__(self) -> _FileBody:
        return self

    async def __aexit__(
        self, exc_type: type, exc_value: BaseException, traceback: TracebackType
    ) -> None:
        self._file.close()

    def __aiter__(self) -> _FileBody:
        return self

    async def __anext__(self) -> bytes:
        """Raises: ClientGone, which cuts the connection off (the file has failed or shrunk)."""
        if not self._left:
            raise StopAsyncIteration
        count = min(self._left, CHUNK_BYTES)
        try:
            chunk = await trio.to_thread.run_sync(
                self._file.read, self._offset, count, limiter=self._threads
            )
        except OSError as error:
            raise self._cut_off(error.strerror or "I/O error") from error
        if len(chunk) < count:
            raise self._cut_off("the file has become shorter")
        self._offset, self._left = self._offset + count, self._left - count
        return chunk

    def _cut_off(self, reason: str) -> ClientGone:
        self._log.warning("file_not_read_to_its_end", path=self._path, reason=reason)
        return ClientGone()
