"""An API request: its caller, its verified parameters and body, and its response.

Only what the checksum covers is read: end users have signed URLs, so they must not be able to add
to a signed request. A form body is read only if the query is empty except for the checksum. The
rules are in checksum.py and params.py. Source: BigBlueButton API reference.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

import trio

from appliance.bbb import errors
from appliance.bbb.checksum import (
    algorithm_of,
    split_checksum,
    verify_body_checksum,
    verify_split,
)
from appliance.bbb.errors import ApiError, ChecksumError, ChecksumReason, Failure
from appliance.bbb.params import (
    MAX_PARAMETERS,
    Params,
    encode_query,
    has_parameters,
    keep_last,
    parse_query,
    repeated_guarded_name,
)
from appliance.bbb.request_body import RequestBody
from appliance.bbb.xml import XML_TYPE, render_error
from appliance.http.messages import Chunks, Request, Response, read_body
from appliance.http.multipart import fields_of_multipart, file_of_multipart
from appliance.model import Tenant, TenantId
from appliance.settings import Algorithm
from appliance.system.threads import run_sized

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
FORM_TYPES = frozenset({FORM, MULTIPART})
XML_TYPES = frozenset({"application/xml", "text/xml"})
FORM_MAX_BYTES = 1024 * 1024
"""Limit of form bodies, which are held in memory."""
FILE_MAX_BYTES = 10 * 1024 * 1024
"""Limit of caption files, which are held in memory too; those of a whole day are smaller."""
INLINE_BYTES = 16 * 1024
"""Larger forms are hashed and parsed in a thread."""
REPLAY_MAX_BYTES = 1024 * 1024
"""Documents up to this size are buffered, so that a create can fail over; larger ones are
streamed."""
_BOM = b"\xef\xbb\xbf"

_XML = XML_TYPE.encode()
NO_CACHE = ("cache-control", "no-cache")
"""On every answer of the API, as BBB's ApiController sends it."""
_HEADERS = ((NO_CACHE[0].encode(), NO_CACHE[1].encode()),)


@dataclass(frozen=True, slots=True)
class Caller:
    """The front-end that makes a request, with its tenant if multitenancy is on."""

    tenant: Tenant | None = None
    base_url: str = ""
    """Scheme and host of the request, `https://bbb.example.org`; prefix of the appliance's URLs."""
    log_fields: dict[str, object] = field(default_factory=dict, repr=False, compare=False)
    """Those of the request: use cases add the server of its meeting."""

    @property
    def tenant_id(self) -> TenantId | None:
        """Return the tenant's id, None without tenants."""
        return self.tenant.id if self.tenant else None


class Accepts(Enum):
    """The bodies that a call accepts with POST."""

    NOTHING = "nothing"
    FORM = "form"
    FORM_OR_XML = "form or xml"
    XML = "xml"
    FILE = "file"
    """A multipart body, of which only the part `file` is read."""


_READ_FORMS = frozenset({Accepts.FORM, Accepts.FORM_OR_XML})
_TAKE_XML = frozenset({Accepts.FORM_OR_XML, Accepts.XML})


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A verified request. As in BBB, the checksum does not cover the document of a POST."""

    params: Params
    body: RequestBody | None = None
    file: bytes | None = field(default=None, repr=False)
    secret: str = field(default="", repr=False)
    """The secret that signed it."""
    request: Request | None = field(default=None, repr=False)
    """For its headers, of a request without a document."""


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

    Of a parameter that occurs more than once the last value counts, as in Rails. Refuses before
    anything is parsed whose sender has not shown that it knows a secret.
    Raises ApiError (checksumError, requestTooLarge, unsupportedContentType), HttpError (413, 408),
    ClientGone.
    """
    rest, url_checksum = split_checksum(request.query)
    _limit_parameters(request.query)
    posted = request.method == "POST" and accepts is not Accepts.NOTHING and request.has_body()
    media_type = request.media_type() if posted else ""
    if posted:
        _require_media_type(media_type, accepts)
    if media_type in FORM_TYPES and accepts in _READ_FORMS and not has_parameters(rest):
        form = await _read_form(request, media_type)
        read = partial(_read_signed_form, call, form, url_checksum, secrets, allowed)
        secret, params = await run_sized(len(form), read, inline_bytes=INLINE_BYTES)
    else:
        verified = verify_split(call, rest, url_checksum, secrets, allowed)
        if verified is None:
            raise _refusal(url_checksum, allowed)
        secret, params = verified, parse_query(rest)
    names = dict(params)
    # A second checksum, with an escaped name, would be passed to a server.
    if len(names) != len(params) or "checksum" in names:
        repeated = repeated_guarded_name((("checksum", ""), *params))
        if repeated is not None:
            raise ChecksumError(ChecksumReason.WRONG, repeated=repeated)
        params = keep_last(params)
    if media_type in XML_TYPES:
        return SignedRequest(params, await _read_document(request, max_bytes), secret=secret)
    if media_type == FORM and accepts in _TAKE_XML:
        return SignedRequest(params, await _read_labelled_form(request, max_bytes), secret=secret)
    if posted and accepts is Accepts.FILE:
        return SignedRequest(params, file=await _read_file(request), secret=secret)
    return SignedRequest(params, None, None, secret, request)


def _read_signed_form(
    call: str,
    form: bytes,
    url_checksum: str | None,
    secrets: Sequence[str],
    allowed: frozenset[Algorithm],
) -> tuple[str, Params]:
    """Return the secret that a form was signed with, and its parameters. Raises ChecksumError."""
    secret = verify_body_checksum(call, form, url_checksum, secrets, allowed)
    rest, in_form = split_checksum(form)
    if secret is None:
        raise _refusal(in_form if url_checksum is None else url_checksum, allowed)
    return secret, parse_query(rest)


def _refusal(given: str | None, allowed: frozenset[Algorithm]) -> ChecksumError:
    algorithm = algorithm_of(given)
    if not given:
        return ChecksumError(ChecksumReason.MISSING)
    if algorithm is not None and algorithm not in allowed:
        return ChecksumError(ChecksumReason.ALGORITHM, algorithm=algorithm)
    return ChecksumError(ChecksumReason.WRONG, algorithm=algorithm)


def _limit_parameters(raw: bytes) -> None:
    if raw.count(b"&") > MAX_PARAMETERS:
        raise ApiError(errors.TOO_MANY_PARAMETERS)


def _require_media_type(media_type: str, accepts: Accepts) -> None:
    if accepts is Accepts.FILE:
        if media_type != MULTIPART:
            raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)
        return
    form = media_type == FORM or (media_type == MULTIPART and accepts is not Accepts.XML)
    if not form and not (accepts in _TAKE_XML and media_type in XML_TYPES):
        raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)


async def _read_file(request: Request) -> bytes | None:
    """Return the part `file`, None if there is none. Only called for authenticated requests."""
    body = await read_body(request, FILE_MAX_BYTES)
    content_type = request.header(b"content-type") or ""
    return await trio.to_thread.run_sync(file_of_multipart, body, content_type, "file")


async def _read_form(request: Request, media_type: str) -> bytes:
    if media_type == FORM:
        return await _read_url_encoded(request)
    body = await read_body(request, FORM_MAX_BYTES)
    content_type = request.header(b"content-type") or ""
    read = partial(_form_of_multipart, body, content_type)
    form = await run_sized(len(body), read, inline_bytes=INLINE_BYTES)
    if form is None:
        raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)
    return form


async def _read_url_encoded(request: Request) -> bytes:
    """Return a form; one with too many parameters is refused before it has arrived."""
    separators = 0

    def check(chunk: bytes) -> None:
        nonlocal separators
        separators += chunk.count(b"&")
        if separators > MAX_PARAMETERS:
            raise ApiError(errors.TOO_MANY_PARAMETERS)

    return await read_body(request, FORM_MAX_BYTES, check=check)


def _form_of_multipart(body: bytes, content_type: str) -> bytes | None:
    """Return the text fields of a multipart body as a form, None if the body is malformed."""
    fields = fields_of_multipart(body, content_type)
    return None if fields is None else encode_query(fields).encode("ascii")


async def _read_document(request: Request, max_bytes: int) -> RequestBody:
    content_type = request.header(b"content-type") or ""
    return await _buffer(Chunks(request, max_bytes), content_type, request.content_length())


async def _read_labelled_form(request: Request, max_bytes: int) -> RequestBody | None:
    """Return the XML document in a body that is labelled as a form; None: it is another body.

    curl and BBB's Java library send documents so. The parameters are in the query then, so a real
    form is ignored. What stands before the first tag is left out: BBB would not parse it.
    """
    source, length = Chunks(request, max_bytes), request.content_length()
    taken, document = 0, b""
    async for chunk in source:
        taken += len(chunk)
        document = (document + chunk).lstrip().removeprefix(_BOM).lstrip()
        if not _BOM.startswith(document):  # neither empty nor a part of the mark
            break
    if not document.startswith(b"<"):
        return None
    source.put_back([document])
    if length is not None:
        length -= taken - len(document)
    return await _buffer(source, "application/xml", length)


async def _buffer(source: Chunks, content_type: str, length: int | None) -> RequestBody:
    """Return a document: small ones buffered, others as a stream that begins with the read part."""
    head: list[bytes] = []
    size = 0
    async for chunk in source:
        head.append(chunk)
        size += len(chunk)
        if size > REPLAY_MAX_BYTES:
            source.put_back(head)
            return RequestBody(content_type, source, length)
    return RequestBody(content_type, b"".join(head), size)


def xml_response(body: bytes, status: int = 200, *, more: Sequence[bytes] = ()) -> Response:
    """Return an XML response; API errors have status 200 too, as BBB's do."""
    return Response(status, _XML, body, _HEADERS, more)


def xml_failure(failure: Failure, status: int | None = None) -> Response:
    """Return a FAILED response, with the failure's own status unless one is given."""
    body = render_error(failure.key, failure.message)
    return xml_response(body, failure.http_status if status is None else status)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A frequent call, answered as plain ASGI: by which function, with which methods and bodies.

    Quart adds 140 µs to a request, as much as these calls take without it. All others are
    blueprints (tenants/signed_calls.py).
    """

    answer: Callable[[Caller, SignedRequest], Awaitable[Response]]
    methods: frozenset[str] = frozenset({"GET", "POST"})
    accepts: Accepts = Accepts.FORM
