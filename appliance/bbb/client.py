"""Calls BigBlueButton servers: signs, sends, and says what became of the request.

Holds no rule about what to do when a call fails; it only tells apart the three cases on which
those rules rest (core.faults). Nothing signed gets into an error's text.
Source: BBB API reference, https://docs.bigbluebutton.org/development/api (checksums, POST calls).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import httpx
import trio

from appliance.bbb.checksum import sign, signed_query
from appliance.bbb.meeting_list import MeetingList, MeetingListReader
from appliance.bbb.params import Params, encode_query
from appliance.bbb.request_body import RequestBody
from appliance.bbb.xml import Answer, MalformedAnswer, parse_answer, parse_version
from appliance.faults import Ambiguous, BbbError, NotSent, ServerFault
from appliance.http.client.dial import Origin, parse_origin
from appliance.http.client.message import StreamedBody, UnusableResponseError
from appliance.http.client.pool import ExchangeLimits, PoolTransport, RawResponse
from appliance.model import ServerId, Target
from appliance.settings import Algorithm

BIG_LIST_BYTES = 256 * 1024
"""Lists of meetings above this are read in a thread, and delay no other request."""

MAX_LINE_BYTES = 8192
"""What nginx and Tomcat take as a request line."""
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
    # The bases say too little, and a body read at the wrong time is a mistake of ours: the
    # request may have been sent.
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
"""What each error of httpx's vocabulary says about the request."""

_HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)


class BbbClient:
    """Calls servers through one pool."""

    def __init__(
        self,
        pool: PoolTransport,
        *,
        connect_timeout_s: float,
        response_timeout_s: float,
        response_max_bytes: int,
        send_algorithm: Algorithm,
        remember_lists_s: float = math.inf,
        request_id: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Sign with `send_algorithm`; the other values are the settings of those names.

        A meeting that a list held within `remember_lists_s` is not parsed again. `request_id`
        returns the X-Request-ID that a call is to carry, if any.
        """
        self._pool = pool
        self._request_id = request_id
        self._algorithm = send_algorithm
        self._lists = MeetingListReader(keep_s=remember_lists_s, clock=time.monotonic)
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
    ) -> Answer:
        """Make one API call, once, and return the server's answer, FAILED or not.

        `post_form` puts the parameters into a form body, as does a query too long for a URL;
        `body` is POSTed with the parameters in the query. `deadline_s`, if given, limits all.
        Raises: NotSent, Ambiguous, ServerFault; and what the body's iterator raises.
        """
        request = self._request(target, call, params, post_form=post_form, body=body)
        return await self._send(target, request, parse_answer, deadline_s)

    async def list_meetings(
        self, target: Target, params: Params = (), *, deadline_s: float | None = None
    ) -> MeetingList:
        """Ask for all meetings with getMeetings; the answer may be FAILED.

        Raises: NotSent, Ambiguous, ServerFault.
        """
        request = self._request(target, "getMeetings", params, post_form=False, body=None)
        body = await self._fetch(target, request, deadline_s)
        if len(body) < BIG_LIST_BYTES:
            return _parse(target.id, request, body, self._lists.read)
        return await trio.to_thread.run_sync(_parse, target.id, request, body, self._lists.read)

    async def version(self, target: Target, *, deadline_s: float | None = None) -> str | None:
        """Ask the index call, which is not signed, for the BBB version; None: not told.

        Raises: NotSent, Ambiguous, ServerFault.
        """
        return await self._send(
            target, _Request("GET", "", [_USER_AGENT]), parse_version, deadline_s
        )

    def join_url(self, target: Target, params: Params) -> str:
        """Return the signed URL that lets a user in. No I/O."""
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
        # What needs more is sent as a form. The URL's length stands for its path's: it is never
        # shorter.
        if post_form or len(target.url) + len(path) + LINE_FRAME_BYTES > MAX_LINE_BYTES:
            # BBB >= 2.7: the checksum of a form is over the query of the URL, and that is empty
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
        return _parse(target.id, request, body, parse)

    async def _fetch(self, target: Target, request: _Request, deadline_s: float | None) -> bytes:
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
            )
        except _HTTPX_ERRORS as exc:
            # The chain is cut: it may hold what h11 or the system quote of a signed request.
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
    """Passes the chunks of a body on and remembers that it began to."""

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
    """A server's API URL, taken apart."""

    origin: Origin
    path: str
    """Encoded, without a trailing slash; may be empty."""


@lru_cache(maxsize=4096)
def _parse_endpoint(url: str) -> _Endpoint:
    """Raises: httpx.InvalidURL, httpx.UnsupportedProtocol."""
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
    """Say in the words of core.faults what an error of httpx's means."""
    outcome = next(OUTCOMES[cls] for cls in type(exc).__mro__ if cls in OUTCOMES)
    reason = str(exc) or type(exc).__name__
    if outcome is not ServerFault:
        return outcome(server_id, reason, body_started=body_started)
    status = exc.status if isinstance(exc, UnusableResponseError) else 0
    if status == 504:
        return Ambiguous(server_id, reason, body_started=body_started)
    return ServerFault(server_id, reason, status=status, body_started=body_started)


def _status_fault(server_id: ServerId, answer: RawResponse, body_started: bool) -> BbbError:
    reason = f"HTTP status {answer.status}"
    if answer.status == 504:  # its proxy gave up waiting; BBB itself may well have done it
        return Ambiguous(server_id, reason, body_started=body_started)
    return ServerFault(server_id, reason, status=answer.status, body_started=body_started)
