"""Files as responses: ranges, conditional requests, HEAD, and a body that is never in memory.

The caller decides who may see a file. If anything happens to the file after the head of the
response was sent, the connection is cut off, so that no client takes a part for the whole.
Source: RFC 9110 (13 conditional requests, 14 ranges).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

import trio

from appliance.http.content_types import content_type_of
from appliance.http.messages import ClientGone, Headers, Request, Send
from appliance.log import Log

CHUNK_BYTES = 256 * 1024
"""Read at a time: smaller pieces need a thread more often (64 KiB: 500 MB/s instead of 1200),
larger ones are not faster."""
STALL_S = 120.0
"""A client that does not take a chunk within this is given up. The slowest lines take 256 KiB in
that time; a player that was paused asks again with a range."""

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,100})\s*-\s*([0-9]{0,100})\s*", re.IGNORECASE)
_SECOND_NS = 1_000_000_000


class OpenedFile:
    """A regular file, open until `close`. The methods block."""

    def __init__(self, descriptor: int, name: str, found: os.stat_result) -> None:
        self._descriptor = descriptor
        self.name = name
        self.size = found.st_size
        self.modified_ns = found.st_mtime_ns

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


@dataclass(frozen=True, slots=True)
class FileResponse:
    """A response out of an open file, which `send_file` closes."""

    file: OpenedFile
    status: int
    headers: Headers
    start: int = 0
    length: int = 0
    """In bytes; how much of the file is sent."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a file, in bytes."""

    start: int
    length: int


def make_file_response(request: Request, file: OpenedFile, extra: Headers = ()) -> FileResponse:
    """Decide what is sent of a file: all of it, a part, or nothing as the client has it already."""
    tag, modified = entity_tag(file), formatdate(file.modified_ns // _SECOND_NS, usegmt=True)
    validators = ((b"etag", tag.encode()), (b"last-modified", modified.encode()), *extra)
    if has_changed(request.headers, tag, file.modified_ns // _SECOND_NS):
        return FileResponse(file, 412, ((b"content-length", b"0"), *validators))
    if is_unchanged(request.headers, tag, file.modified_ns // _SECOND_NS):
        return FileResponse(file, 304, validators)
    content_type = content_type_of(file.name).encode()
    headers = (
        (b"content-type", content_type),
        (b"accept-ranges", b"bytes"),
        (b"x-content-type-options", b"nosniff"),
        *validators,
    )
    span = _requested_span(request, tag, modified, file.size)
    if span is None:
        length = (b"content-length", b"%d" % file.size)
        return FileResponse(file, 200, (length, *headers), 0, file.size)
    if not span.length:
        none = ((b"content-length", b"0"), (b"content-range", b"bytes */%d" % file.size))
        return FileResponse(file, 416, (*none, *headers))
    last = span.start + span.length - 1
    part = (
        (b"content-length", b"%d" % span.length),
        (b"content-range", b"bytes %d-%d/%d" % (span.start, last, file.size)),
    )
    return FileResponse(file, 206, (*part, *headers), span.start, span.length)


def entity_tag(file: OpenedFile) -> str:
    """Return the ETag of a file: equal on every appliance that serves it from a shared disk."""
    return f'"{file.modified_ns:x}-{file.size:x}"'


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


async def send_file(
    send: Send, response: FileResponse, request: Request, request_id: bytes | None, log: Log
) -> None:
    """Send a response out of a file and close the file.

    Raises: ClientGone (the client has closed the connection or takes no bytes, or the file has
    become shorter or unreadable).
    """
    try:
        headers = list(response.headers)
        if request_id is not None:
            headers.append((b"x-request-id", request_id))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if request.method == "HEAD" or not response.length:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await _send_watched(send, response, request, log)
    finally:
        response.file.close()


async def _send_watched(send: Send, response: FileResponse, request: Request, log: Log) -> None:
    """Send the body until its end, or until the client has closed the connection."""
    failure: Exception | None = None
    finished = False

    async def watch(scope: trio.CancelScope) -> None:
        await request.body.wait_gone()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        try:
            await _send_body(send, response)
            finished = True
        except Exception as error:
            failure = error  # a nursery would wrap it into a group
        nursery.cancel_scope.cancel()
    if isinstance(failure, OSError):
        log.warning("file_not_read_to_its_end", path=request.path, reason=failure.strerror)
    elif failure is not None:
        raise failure
    if not finished:
        raise ClientGone


async def _send_body(send: Send, response: FileResponse) -> None:
    """Raises: OSError (the file cannot be read, or has become shorter), ClientGone."""
    offset, left = response.start, response.length
    while left:
        count = min(left, CHUNK_BYTES)
        chunk = await trio.to_thread.run_sync(response.file.read, offset, count)
        if len(chunk) < count:
            raise OSError(0, "the file has become shorter")
        offset, left = offset + count, left - count
        with trio.move_on_after(STALL_S) as scope:
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
        if scope.cancelled_caught:
            raise ClientGone
