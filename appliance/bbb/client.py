"""The client of BigBlueButton servers: signs and sends calls, and classifies failures.

The classes of failures (appliance/faults.py) are the basis of the failover rules, which are not
here. Error texts contain nothing signed. Source: BigBlueButton API reference,
https://docs.bigbluebutton.org/development/api (checksums, POST calls).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

import httpx
import trio

from appliance.bbb.checksum import sign, signed_query
from appliance.bbb.list_reading import ListReading
from appliance.bbb.meeting_list import HashedList, MeetingList, MeetingListReader, RawList
from appliance.bbb.params import Params, encode_query
from appliance.bbb.request_body import RequestBody
from appliance.bbb.xml import MalformedAnswer, ServerAnswer, parse_answer, parse_version
from appliance.faults import Ambiguous, BbbError, NotSent, ServerFault
from appliance.http.client.dial import Origin, parse_origin
from appliance.http.client.message import StreamedBody, UnusableResponseError
from appliance.http.client.pool import ExchangeLimits, PoolTransport, RawResponse
from appliance.model import ServerId, Target
from appliance.settings import Algorithm
from appliance.system.exhaustion import is_own_limit
from appliance.system.threads import run_sized

MAX_LINE_BYTES = 8192
"""Maximum length of a request line that nginx and Tomcat accept."""
LINE_FRAME_BYTES = len("GET  HTTP/1.1\r\n")

OFFLINE_SHARE = 0.1
OFFLINE_CONNECT_S = 0.2
OFFLINE_RESPONSE_S = 0.5

_USER_AGENT = (b"User-Agent", b"scalelite-appliance")
_FORM_TYPE = (b"Content-Type", b"application/x-www-form-urlencoded")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,200}").fullmatch
_T = TypeVar("_T")

OUTCOMES: dict[type[Exception], type[BbbError]] = {
    httpx.ConnectError: NotSent,
    httpx.ConnectTimeout: NotSent,
    httpx.PoolTimeout: NotSent,
    httpx.UnsupportedProtocol: NotSent,
    httpx.LocalProtocolError: NotSent,
    httpx.ProxyError: NotSent,
    httpx.InvalidURL: NotSent,
    httpx.CookieConflict: NotSent,
    httpx.ReadTimeout: Ambiguous,
    httpx.WriteTimeout: Ambiguous,
    httpx.ReadError: Ambiguous,
    httpx.WriteError: Ambiguous,
    httpx.CloseError: Ambiguous,
    httpx.RemoteProtocolError: ServerFault,
    httpx.DecodingError: ServerFault,
    httpx.TooManyRedirects: ServerFault,
    httpx.HTTPStatusError: ServerFault,
    # Base classes are not specific, and the stream errors would be defects here: the request may
    # have been sent.
    httpx.HTTPError: Ambiguous,
    httpx.RequestError: Ambiguous,
    httpx.TransportError: Ambiguous,
    httpx.TimeoutException: Ambiguous,
    httpx.NetworkError: Ambiguous,
    httpx.ProtocolError: Ambiguous,
    httpx.StreamError: Ambiguous,
    httpx.StreamConsumed: Ambiguous,
    httpx.StreamClosed: Ambiguous,
    httpx.ResponseNotRead: Ambiguous,
    httpx.RequestNotRead: Ambiguous,
}
"""Classification of each error of httpx."""

_HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)


class BbbClient:
    """Calls servers through one connection pool."""

    def __init__(
        self,
        pool: PoolTransport,
        *,
        connect_timeout_s: float,
        response_timeout_s: float,
        response_max_bytes: int,
        send_algorithm: Algorithm,
        max_meetings: float = math.inf,
        remember_lists_s: float = math.inf,
        request_id: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Sign with `send_algorithm`; the timeouts and the size limit are the settings.

        A meeting that a list contained within `remember_lists_s` is not parsed again. `request_id`
        returns the X-Request-ID to be sent with a call, if any.
        """
        self._pool = pool
        self._request_id = request_id
        self._algorithm = send_algorithm
        self._lists = MeetingListReader(
            max_meetings=max_meetings, keep_s=remember_lists_s, clock=time.monotonic
        )
        self._limits = ExchangeLimits(connect_timeout_s, response_timeout_s, response_max_bytes)
        self._offline_limits = ExchangeLimits(
            _offline_limit(connect_timeout_s, OFFLINE_CONNECT_S),
            _offline_limit(response_timeout_s, OFFLINE_RESPONSE_S),
            response_max_bytes,
        )

    async def call(
        self,
        target: Target,
        call: str,
        params: Params,
        *,
        post_form: bool = False,
        body: RequestBody | None = None,
        deadline_s: float | None = None,
    ) -> ServerAnswer:
        """Make one API call, without retries, and return the answer, also if it is FAILED.

        With `post_form`, or if the query is too long for a URL, the parameters are sent as a form.
        `body` is POSTed with the parameters in the query. `deadline_s` limits the whole call.
        Raises NotSent, Ambiguous, ServerFault, and exceptions of the body's iterator.
        """
        request = self._request(target, call, params, post_form=post_form, body=body)
        return await self._send(target, request, parse_answer, deadline_s)

    async def list_meetings(
        self,
        target: Target,
        params: Params = (),
        *,
        deadline_s: float | None = None,
    ) -> MeetingList:
        """Return the server's getMeetings answer, which may be FAILED.

        Raises NotSent, Ambiguous, ServerFault.
        """
        reading = ListReading(self._lists)
        return await self._list(target, params, deadline_s, reading.take, reading.finish)

    async def poll_meetings(self, target: Target, before: HashedList | None) -> HashedList:
        """Return the server's getMeetings answer, which may be FAILED, without its XML.

        It is `before` if that is the same: then nothing is parsed. Raises as `list_meetings`.
        """
        reading = ListReading(self._lists, keeps_elements=False)
        finish = partial(reading.finish_hashed, before)
        return await self._list(target, (), None, reading.take, finish)

    async def reread_meetings(
        self,
        target: Target,
        params: Params,
        known: RawList | None,
        *,
        deadline_s: float | None = None,
        turns: trio.Semaphore | None = None,
    ) -> RawList:
        """Return the server's getMeetings answer with its bytes.

        It is `known` if that is the same: then nothing is parsed. `turns`: of many that are read
        together, only some are parsed between two moments of other tasks. Raises as
        `list_meetings`.
        """
        reading = ListReading(self._lists, known, keeps_body=True, turns=turns)
        meetings = await self._list(target, params, deadline_s, reading.take, reading.finish)
        if known is not None and meetings is known.meetings:
            return known
        return RawList(reading.body, meetings)

    async def _list(
        self,
        target: Target,
        params: Params,
        deadline_s: float | None,
        take: Callable[[bytes | bytearray], Awaitable[None]],
        finish: Callable[[], Awaitable[_T]],
    ) -> _T:
        request = self._request(target, "getMeetings", params, post_form=False, body=None)
        try:
            await self._fetch(target, request, deadline_s, take)
            return await finish()
        except MalformedAnswer as exc:
            raise ServerFault(target.id, str(exc), status=200) from None

    async def version(self, target: Target, *, deadline_s: float | None = None) -> str | None:
        """Return the BBB version from the index call, which is not signed; None: not given.

        Raises NotSent, Ambiguous, ServerFault.
        """
        return await self._send(
            target, _Request("GET", "", [_USER_AGENT]), parse_version, deadline_s
        )

    def join_url(self, target: Target, params: Params) -> str:
        """Return the signed join URL for a user. No I/O."""
        query = signed_query("join", encode_query(params), target.secret, self._algorithm)
        return f"{target.url.rstrip('/')}/join?{query}"

    def _request(
        self,
        target: Target,
        call: str,
        params: Params,
        *,
        post_form: bool,
        body: RequestBody | None,
    ) -> _Request:
        query = encode_query(params)
        signed = signed_query(call, query, target.secret, self._algorithm)
        if body is not None:
            content_type = body.content_type.encode("latin-1", "replace")
            headers = self._headers((b"Content-Type", content_type))
            content = body.chunks
            if not isinstance(content, bytes):
                content = _TrackedBody(content)
            return _Request("POST", f"/{call}?{signed}", headers, content, body.length)
        path = f"/{call}?{signed}"
        # A longer line is sent as a form. The length of the URL is an upper bound of its path's.
        if post_form or len(target.url) + len(path) + LINE_FRAME_BYTES > MAX_LINE_BYTES:
            # BBB >= 2.7: the checksum of a form covers the query of the URL, which is empty.
            checksum = sign(call, "", target.secret, self._algorithm)
            form = f"{query}{'&' if query else ''}checksum={checksum}".encode()
            return _Request("POST", f"/{call}", self._headers(_FORM_TYPE), form)
        return _Request("GET", path, self._headers())

    def _headers(self, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        headers = [_USER_AGENT, *more]
        request_id = self._request_id()
        if request_id is not None and _REQUEST_ID(request_id):
            headers.append((b"X-Request-ID", request_id.encode("ascii")))
        return headers

    async def _send(
        self,
        target: Target,
        request: _Request,
        parse: Callable[[bytes], _T],
        deadline_s: float | None,
    ) -> _T:
        body = await self._fetch(target, request, deadline_s)
        return await run_sized(len(body), partial(_parse, target.id, request, body, parse))

    async def _fetch(
        self,
        target: Target,
        request: _Request,
        deadline_s: float | None,
        take: Callable[[bytes | bytearray], Awaitable[None]] | None = None,
    ) -> bytes:
        deadline = math.inf if deadline_s is None else trio.current_time() + deadline_s
        try:
            endpoint = _parse_endpoint(target.url)
            answer = await self._pool.exchange(
                endpoint.origin,
                request.method,
                f"{endpoint.path}{request.path}".encode() or b"/",
                self._limits if target.online else self._offline_limits,
                headers=request.headers,
                body=request.body_to_send(),
                deadline=deadline,
                take=take,
            )
        except _HTTPX_ERRORS as exc:
            # The exception chain is cut, since h11 or the system may quote the signed request.
            raise _translate(target.id, exc, request.body_started) from None
        if answer.status != 200:
            raise _status_fault(target.id, answer, request.body_started)
        return answer.body


@dataclass(slots=True)
class _Request:
    """One call, ready to be sent."""

    method: str
    path: str
    """Below the API endpoint, with the query."""
    headers: list[tuple[bytes, bytes]]
    content: bytes | _TrackedBody | None = None
    length: int | None = None

    @property
    def body_started(self) -> bool:
        return isinstance(self.content, _TrackedBody) and self.content.started

    def body_to_send(self) -> bytes | StreamedBody | None:
        if isinstance(self.content, _TrackedBody):
            return StreamedBody(self.content, self.length)
        return self.content


class _TrackedBody:
    """Passes the chunks of a body on, and records whether the first one was requested."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self.started = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.started = True
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Close the source if it is a generator."""
        close = getattr(self._chunks, "aclose", None)
        if self.started and close is not None:
            await close()


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """A parsed API URL of a server."""

    origin: Origin
    path: str
    """Encoded, without a trailing slash; may be empty."""


@lru_cache(maxsize=4096)
def _parse_endpoint(url: str) -> _Endpoint:
    """Parse a URL. Raises httpx.InvalidURL, httpx.UnsupportedProtocol."""
    parsed = httpx.URL(url)
    path = parsed.raw_path.decode("ascii").partition("?")[0]
    return _Endpoint(parse_origin(parsed), path.rstrip("/"))


def _parse(server_id: ServerId, request: _Request, body: bytes, parse: Callable[[bytes], _T]) -> _T:
    try:
        return parse(body)
    except MalformedAnswer as exc:
        raise ServerFault(
            server_id, str(exc), status=200, body_started=request.body_started
        ) from None


def _offline_limit(configured_s: float, least_s: float) -> float:
    return min(configured_s, max(configured_s * OFFLINE_SHARE, least_s))


def _translate(server_id: ServerId, exc: Exception, body_started: bool) -> BbbError:
    """Translate an error of httpx into one of appliance/faults.py."""
    outcome = next(OUTCOMES[cls] for cls in type(exc).__mro__ if cls in OUTCOMES)
    reason = str(exc) or type(exc).__name__
    if outcome is not ServerFault:
        own_limit = is_own_limit(exc)
        return outcome(server_id, reason, body_started=body_started, own_limit=own_limit)
    status = exc.status if isinstance(exc, UnusableResponseError) else 0
    if status == 504:
        return Ambiguous(server_id, reason, body_started=body_started)
    return ServerFault(server_id, reason, status=status, body_started=body_started)


def _status_fault(server_id: ServerId, answer: RawResponse, body_started: bool) -> BbbError:
    reason = f"HTTP status {answer.status}"
    if answer.status == 504:  # its proxy stopped waiting; BBB itself may have carried out the call
        return Ambiguous(server_id, reason, body_started=body_started)
    return ServerFault(server_id, reason, status=answer.status, body_started=body_started)
