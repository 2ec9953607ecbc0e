"""Check the checksum of a BBB API request, and read only what it covers.

End users hold signed URLs, so nothing may be added to a signed request: parameters of the query
make a form body void, and a body is read only where the query is empty but for the checksum.
Truth: docs of the public BBB API; the rules are in core.checksum and core.params.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum

import trio
from werkzeug.sansio.multipart import Data, Epilogue, Field, MultipartDecoder, NeedData

from appliance.core import errors
from appliance.core.checksum import (
    Algorithm,
    split_checksum,
    verify_body_checksum,
    verify_checksum,
)
from appliance.core.errors import ApiError
from appliance.core.params import Params, encode_query, parse_query, repeated_guarded_name
from appliance.core.request_body import RequestBody
from appliance.web.http import Request, read_chunks

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
XML_TYPES = frozenset({"application/xml", "text/xml"})
FORM_MAX_BYTES = 1024 * 1024
"""Form bodies are held in memory."""
REPLAY_MAX_BYTES = 1024 * 1024
"""A document up to this size is kept, so that a create can fail over; a larger one is streamed."""
FORM_PATIENCE_S = 60.0


class Accepts(Enum):
    """Which bodies a call takes with POST."""

    NOTHING = "nothing"
    FORM = "form"
    FORM_OR_XML = "form or xml"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a checksum has covered (the document body of a POST excepted, as BBB has it)."""

    params: Params
    body: RequestBody | None = None


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

    Raises ApiError: checksumError, unsupportedContentType, requestTooLarge (413).
    """
    rest, url_checksum = split_checksum(request.query)
    params = parse_query(rest)
    posted = request.method == "POST" and accepts is not Accepts.NOTHING and request.has_body()
    media_type = request.media_type() if posted else ""
    if posted:
        _require_media_type(media_type, accepts)
    if media_type in (FORM, MULTIPART) and not params:
        form = await _read_form(request, media_type)
        params = parse_query(split_checksum(form)[0])
        signed = verify_body_checksum(call, form, url_checksum, secrets, allowed)
    else:
        signed = verify_checksum(call, request.query, secrets, allowed)
    if signed is None or repeated_guarded_name(params) is not None:
        raise ApiError(errors.CHECKSUM_ERROR)
    if media_type in XML_TYPES:
        return SignedRequest(params, await _read_document(request, max_bytes))
    return SignedRequest(params)


def _require_media_type(media_type: str, accepts: Accepts) -> None:
    form = accepts is not Accepts.XML and media_type in (FORM, MULTIPART)
    xml = accepts in (Accepts.XML, Accepts.FORM_OR_XML) and media_type in XML_TYPES
    if not form and not xml:
        raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)


async def _read_form(request: Request, media_type: str) -> bytes:
    chunks = []
    with trio.move_on_after(FORM_PATIENCE_S) as patience:
        chunks = [chunk async for chunk in read_chunks(request, FORM_MAX_BYTES)]
    if patience.cancelled_caught:
        raise ApiError(errors.BODY_STALLED)
    body = b"".join(chunks)
    if media_type == FORM:
        return body
    return _form_of_multipart(body, request.header(b"content-type") or "")


def _form_of_multipart(body: bytes, content_type: str) -> bytes:
    """Return the text fields of a multipart body, encoded as a form; files are not parameters."""
    boundary = _boundary(content_type)
    if not boundary:
        raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)
    decoder = MultipartDecoder(boundary.encode("latin-1"), max_parts=1000)
    fields: list[tuple[str, bytes]] = []
    try:
        decoder.receive_data(body)
        decoder.receive_data(None)
        event = decoder.next_event()
        name: str | None = None
        while not isinstance(event, Epilogue | NeedData):
            if isinstance(event, Field):
                name = event.name or ""
                fields.append((name, b""))
            elif isinstance(event, Data):
                if name is not None:
                    fields[-1] = name, fields[-1][1] + event.data
            else:
                name = None
            event = decoder.next_event()
    except ValueError as error:
        raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE) from error
    return encode_query(
        tuple((name, value.decode("utf-8", "replace")) for name, value in fields)
    ).encode()


def _boundary(content_type: str) -> str | None:
    for part in content_type.split(";")[1:]:
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "boundary":
            return value.strip().strip('"') or None
    return None


async def _read_document(request: Request, max_bytes: int) -> RequestBody:
    """Return a document: whole if it is small, else a stream that goes on where we stopped."""
    content_type = request.header(b"content-type") or ""
    source = read_chunks(request, max_bytes)
    head: list[bytes] = []
    size = 0
    async for chunk in source:
        head.append(chunk)
        size += len(chunk)
        if size > REPLAY_MAX_BYTES:
            stream = _chain(head, source)
            return RequestBody(content_type, stream, request.content_length())
    return RequestBody(content_type, b"".join(head), size)


async def _chain(head: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while head:
        yield head.pop(0)
    async for chunk in rest:
        yield chunk
