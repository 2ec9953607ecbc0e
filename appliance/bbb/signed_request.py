"""Check the checksum of a BBB API request, and read only what it covers.

End users hold signed URLs, so nothing may be added to a signed request: parameters of the query
make a form body void, and a body is read only where the query is empty but for the checksum.
Truth: docs of the public BBB API; the rules are in core.checksum and core.params.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import trio

from appliance.bbb import errors
from appliance.bbb.checksum import (
    split_checksum,
    verify_body_checksum,
    verify_checksum,
)
from appliance.bbb.errors import ApiError
from appliance.bbb.params import Params, encode_query, parse_query, repeated_guarded_name
from appliance.bbb.request_body import RequestBody
from appliance.http.messages import Chunks, Request, read_body
from appliance.http.multipart import fields_of_multipart, file_of_multipart
from appliance.settings import Algorithm

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
XML_TYPES = frozenset({"application/xml", "text/xml"})
FORM_MAX_BYTES = 1024 * 1024
"""Form bodies are held in memory."""
FILE_MAX_BYTES = 10 * 1024 * 1024
"""Of a body with the captions of a recording, which is held in memory too: a day's have less."""
INLINE_BYTES = 16 * 1024
"""A larger multipart body is parsed in a thread: a hostile one of a mebibyte takes half a second,
before anyone has shown a secret."""
REPLAY_MAX_BYTES = 1024 * 1024
"""A document up to this size is kept, so that a create can fail over; a larger one is streamed."""


class Accepts(Enum):
    """Which bodies a call takes with POST."""

    NOTHING = "nothing"
    FORM = "form"
    FORM_OR_XML = "form or xml"
    XML = "xml"
    FILE = "file"
    """A multipart body, of which the part `file` is read and nothing else."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a checksum has covered (the document body of a POST excepted, as BBB has it)."""

    params: Params
    body: RequestBody | None = None
    file: bytes | None = field(default=None, repr=False)
    secret: str = field(default="", repr=False)
    """The one that has signed it."""


async def read_signed(
    request: Request,
    call: str,
    accepts: Accepts,
    *,
    secrets: Sequence[str],
    allowed: frozenset[Algorithm],
    max_bytes: int,
) -> SignedRequest:
    """Return the parameters and the document of a signed request.

    Raises ApiError (checksumError, unsupportedContentType), HttpError (413, 408), ClientGone.
    """
    rest, url_checksum = split_checksum(request.query)
    params = parse_query(rest)
    posted = request.method == "POST" and accepts is not Accepts.NOTHING and request.has_body()
    media_type = request.media_type() if posted else ""
    if posted:
        _require_media_type(media_type, accepts)
    if media_type in (FORM, MULTIPART) and not params and accepts is not Accepts.FILE:
        form = await _read_form(request, media_type)
        secret = verify_body_checksum(call, form, url_checksum, secrets, allowed)
        params = parse_query(split_checksum(form)[0])
    else:
        secret = verify_checksum(call, request.query, secrets, allowed)
    if secret is None:
        raise ApiError(errors.CHECKSUM_ERROR)
    # The checksum that was cut out counts: one more, its name escaped, would reach a server too.
    if repeated_guarded_name((("checksum", ""), *params)) is not None:
        raise ApiError(errors.CHECKSUM_ERROR)
    if media_type in XML_TYPES:
        return SignedRequest(params, await _read_document(request, max_bytes), secret=secret)
    if posted and accepts is Accepts.FILE:
        return SignedRequest(params, file=await _read_file(request), secret=secret)
    return SignedRequest(params, secret=secret)


def _require_media_type(media_type: str, accepts: Accepts) -> None:
    if accepts is Accepts.FILE:
        if media_type != MULTIPART:
            raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)
        return
    form = accepts is not Accepts.XML and media_type in (FORM, MULTIPART)
    xml = accepts in (Accepts.XML, Accepts.FORM_OR_XML) and media_type in XML_TYPES
    if not form and not xml:
        raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)


async def _read_file(request: Request) -> bytes | None:
    """Return the part `file`, None if there is none. Its sender has shown a secret."""
    body = await read_body(request, FILE_MAX_BYTES)
    content_type = request.header(b"content-type") or ""
    return await trio.to_thread.run_sync(file_of_multipart, body, content_type, "file")


async def _read_form(request: Request, media_type: str) -> bytes:
    body = await read_body(request, FORM_MAX_BYTES)
    if media_type == FORM:
        return body
    content_type = request.header(b"content-type") or ""
    if len(body) <= INLINE_BYTES:
        form = _form_of_multipart(body, content_type)
    else:
        form = await trio.to_thread.run_sync(_form_of_multipart, body, content_type)
    if form is None:
        raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)
    return form


def _form_of_multipart(body: bytes, content_type: str) -> bytes | None:
    """Return the text fields of a multipart body as a form, None if the body is malformed."""
    fields = fields_of_multipart(body, content_type)
    return None if fields is None else encode_query(fields).encode("ascii")


async def _read_document(request: Request, max_bytes: int) -> RequestBody:
    """Return a document: whole if it is small, else a stream that begins with what was read."""
    content_type = request.header(b"content-type") or ""
    source = Chunks(request, max_bytes)
    head: list[bytes] = []
    size = 0
    async for chunk in source:
        head.append(chunk)
        size += len(chunk)
        if size > REPLAY_MAX_BYTES:
            source.put_back(head)
            return RequestBody(content_type, source, request.content_length())
    return RequestBody(content_type, b"".join(head), size)
