"""Files as answers: ranges, conditional requests, HEAD, and a body that is never in memory.

Must not decide who may see a file. Whatever happens to the file once the head of the answer has
gone out, the connection is cut off then, so that no client takes a part for the whole.
Truth: RFC 9110 (13 conditional requests, 14 ranges).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

import trio

from appliance.http.content_types import content_type_of
from appliance.http.messages import ClientGone, Request, Send
from appliance.log import Log
from appliance.recordings.served_files import OpenedFile

CHUNK_BYTES = 256 * 1024
"""What is read at a time: smaller pieces cost a thread more often, larger ones gain nothing."""
STALL_S = 120.0
"""A client that does not take a chunk within this is given up. The slowest of lines brings 256 KiB
in that time; who has paused a video asks again with a range."""

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,100})\s*-\s*([0-9]{0,100})\s*", re.IGNORECASE)
_SECOND_NS = 1_000_000_000

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """An answer out of an open file, which `send_file` closes."""

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


def answer_with_file(request: Request, file: OpenedFile, extra: Headers = ()) -> FileAnswer:
    """Decide what is sent of a file: all of it, a part, or nothing as the client has it already."""
    tag, modified = entity_tag(file), formatdate(file.modified_ns // _SECOND_NS, usegmt=True)
    validators = ((b"etag", tag.encode()), (b"last-modified", modified.encode()), *extra)
    if has_changed(request.headers, tag, file.modified_ns // _SECOND_NS):
        return FileAnswer(file, 412, ((b"content-length", b"0"), *validators))
    if is_unchanged(request.headers, tag, file.modified_ns // _SECOND_NS):
        return FileAnswer(file, 304, validators)
    content_type = content_type_of(file.name).encode()
    headers = (
        (b"content-type", content_type),
        (b"accept-ranges", b"bytes"),
        (b"x-content-type-options", b"nosniff"),
        *validators,
    )
    span = _wanted_span(request, tag, modified, file.size)
    if span is None:
        length = (b"content-length", b"%d" % file.size)
        return FileAnswer(file, 200, (length, *headers), 0, file.size)
    if not span.length:
        none = ((b"content-length", b"0"), (b"content-range", b"bytes */%d" % file.size))
        return FileAnswer(file, 416, (*none, *headers))
    last = span.start + span.length - 1
    part = (
        (b"content-length", b"%d" % span.length),
        (b"content-range", b"bytes %d-%d/%d" % (span.start, last, file.size)),
    )
    return FileAnswer(file, 206, (*part, *headers), span.start, span.length)


def entity_tag(file: OpenedFile) -> str:
    """Return the ETag of a file: equal on every appliance that serves it from a shared disk."""
    return f'"{file.modified_ns:x}-{file.size:x}"'


def has_changed(headers: Mapping[bytes, bytes], tag: str, modified_s: int) -> bool:
    """Whether the client wants another file than this (If-Match, else If-Unmodified-Since)."""
    match = headers.get(b"if-match")
    if match is not None:
        tags = {one.strip() for one in match.decode("latin-1").split(",")}
        return tag not in tags and tags != {"*"}
    since = headers.get(b"if-unmodified-since")
    known_s = None if since is None else _seconds(since.decode("latin-1"))
    return known_s is not None and modified_s > known_s


def is_unchanged(headers: Mapping[bytes, bytes], tag: str, modified_s: int) -> bool:
    """Whether the client has the file already (If-None-Match, else If-Modified-Since)."""
    none_match = headers.get(b"if-none-match")
    if none_match is not None:
        named = none_match.decode("latin-1").split(",")
        tags = {one.strip().removeprefix("W/") for one in named}
        return tag in tags or tags == {"*"}
    since = headers.get(b"if-modified-since")
    known_s = None if since is None else _seconds(since.decode("latin-1"))
    return known_s is not None and modified_s <= known_s


def parse_range(text: str, size: int) -> Span | None:
    """Return the part that a Range header wants; None: the whole, a length of 0: not satisfiable.

    Several ranges, another unit and what is malformed are answered with the whole (RFC 9110 14.2).
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


def _wanted_span(request: Request, tag: str, modified: str, size: int) -> Span | None:
    wanted = request.header(b"range")
    if wanted is None or request.method != "GET":
        return None
    condition = request.header(b"if-range")
    # Compared as they are: a weak tag, or a date of another second, is no proof.
    if condition is not None and condition.strip() not in (tag, modified):
        return None
    return parse_range(wanted, size)


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


async def send_file(
    send: Send, answer: FileAnswer, request: Request, request_id: bytes | None, log: Log
) -> None:
    """Send an answer out of a file and close the file.

    Raises ClientGone: the client has gone or takes nothing, or the file has no more to give.
    """
    try:
        headers = list(answer.headers)
        if request_id is not None:
            headers.append((b"x-request-id", request_id))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if request.method == "HEAD" or not answer.length:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await _send_watched(send, answer, request, log)
    finally:
        answer.file.close()


async def _send_watched(send: Send, answer: FileAnswer, request: Request, log: Log) -> None:
    """Send the body, and stop when there is nobody left to send it to."""
    failure: Exception | None = None
    finished = False

    async def watch(scope: trio.CancelScope) -> None:
        await request.body.wait_gone()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        try:
            await _send_body(send, answer)
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


async def _send_body(send: Send, answer: FileAnswer) -> None:
    """Raises OSError: the file cannot be read, or has become shorter."""
    offset, left = answer.start, answer.length
    while left:
        count = min(left, CHUNK_BYTES)
        chunk = await trio.to_thread.run_sync(answer.file.read, offset, count)
        if len(chunk) < count:
            raise OSError(0, "the file has become shorter")
        offset, left = offset + count, left - count
        with trio.move_on_after(STALL_S) as patience:
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
        if patience.cancelled_caught:
            raise ClientGone
