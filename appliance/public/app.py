"""The public listener's ASGI application: host check, the frequent calls, and Quart for the rest.

Quart adds 140 µs to a request; index, isMeetingRunning and the like take about as much without it,
so they are plain ASGI. All other paths are routes of one Quart application (public/routes.py).
"""

from __future__ import annotations

import re
from functools import lru_cache

import trio

from appliance.admin_calls.call import PREFIX as ADMIN_PREFIX
from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.request_metrics import ERROR, CallNames, count_request, result_of
from appliance.bbb.signed_request import xml_failure, xml_response
from appliance.bbb.xml import render_index
from appliance.console.core import Console
from appliance.dialin.routes import DIALPLAN_PATHS, DialplanEndpoint
from appliance.features import Features
from appliance.http.messages import (
    ClientGone,
    ClientTimeouts,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    read_request,
    send_response,
)
from appliance.http.origin import CLIENT_KEY, OriginReader, RequestOrigin
from appliance.http.quart_exchange import Exchange
from appliance.log import request_context
from appliance.meetings.routes import make_frequent_calls
from appliance.public.errors import API_PREFIX, ErrorReader
from appliance.public.health import HEALTH_PATHS, check_health
from appliance.public.routes import make_routes, names_of_calls
from appliance.recordings.uploads.routes import UPLOAD_PREFIX
from appliance.tenants.signed_calls import SignedCalls

_CONSOLE = re.compile(r"/scalelite(?!/api)(?:/|$)").match
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_WRONG_HOST = Response(403, b"text/plain; charset=utf-8", b"This host is not served here.\n")
_BELOW_API = API_PREFIX + "/"
_INDEXES = frozenset({API_PREFIX, "/bigbluebutton"})
"""BBB's two; a slash at the end has been dropped."""
_TIMEOUTS = ClientTimeouts()
_SLASHES = re.compile("//+")
_CALLS = ("/bigbluebutton/", "/scalelite/", "/health_check/", "/metrics/")
"""Paths that are the same without a slash at the end. A recording's are not: links in its pages
are relative to it."""
_JSON_CALLS = ADMIN_PREFIX + "/"
_NAMED_JSON = ADMIN_PREFIX + "/openapi.json"


class PublicApp:
    """Answers every request of the public listener."""

    def __init__(
        self,
        features: Features,
        timeouts: ClientTimeouts = _TIMEOUTS,
        console: Console | None = None,
    ) -> None:
        """`console`: served here; None: it is disabled, or has a listener of its own."""
        api = features.settings.api
        self._features = features
        self._timeouts = timeouts
        self._errors = ErrorReader(features.log, features.faults)
        self._origins = OriginReader(
            features.settings.web.trusted_proxies,
            url_host=api.url_host,
            base_url=api.base_url,
            multitenancy=api.multitenancy,
        )
        self._signed = SignedCalls(features.tenants, features.checksum_errors, self._origins)
        self._frequent = make_frequent_calls(features.meetings)
        self._index = lru_cache(maxsize=8)(
            lambda bbb_version: xml_response(render_index(api.build_number, bbb_version))
        )
        self._routes = make_routes(features, self._signed, self._errors, console)
        self._call_names = CallNames(API_PREFIX, {*self._frequent, *names_of_calls(self._routes)})
        own_listener = bool(features.settings.fsapi.binds)
        self._dialplan = None if own_listener else DialplanEndpoint(features.dialin, self._origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other scopes are ignored."""
        if scope["type"] != "http":
            return
        began_s = trio.current_time()
        scope = clean_scope(scope)
        request = read_request(scope, receive, self._timeouts)
        origin = self._origins.read(request)
        with request_context(origin.trusted_id):
            try:
                response = await self._answer(request, origin)
                if response is None:
                    await self._pass_to_quart(scope, send, request, origin, began_s)
                    return
            except ClientGone:
                return
            self._count(request, began_s, result_of(response.status, response.body))
        await send_response(send, response, request, origin.request_id)

    def _count(self, request: Request, began_s: float, result: str) -> None:
        call, features = self._call_names.of(request.path), self._features
        count_request(features.metrics, features.log, request, began_s, call, result)

    async def _answer(self, request: Request, origin: RequestOrigin) -> Response | None:
        """Return the response of a frequent call or another plain route, None for Quart's."""
        try:
            return await self._route(request, origin)
        except Exception as error:
            failure = self._errors.failure_of(error, request.path)
            # A load balancer looks at the status only.
            return xml_failure(failure, 503 if request.path in HEALTH_PATHS else None)

    async def _route(self, request: Request, origin: RequestOrigin) -> Response | None:
        path = request.path
        if path in HEALTH_PATHS:  # load balancers ask by address: no host check
            vanished = self._features.servers.remembered.vanished
            return await check_health(self._features.redis, request, vanished)
        # Which names no other site can take; the console answers them to the host itself.
        is_own_console = origin.host in _LOOPBACK and _CONSOLE(path) is not None
        if not (is_own_console or self._origins.allows(origin.host)):
            return _WRONG_HOST
        if path.startswith(_BELOW_API) or path in _INDEXES:
            return await self._answer_api(request, origin)
        if path in DIALPLAN_PATHS and self._dialplan is not None:
            return await self._dialplan.handle(request)
        # Quart reads another path out of `http://host/path`.
        return None if path.startswith("/") else xml_failure(errors.UNSUPPORTED_REQUEST, 404)

    async def _answer_api(self, request: Request, origin: RequestOrigin) -> Response | None:
        """Return the response of the index or a frequent call, None for any other call.

        Raises: ApiError, HttpError, StoreDown, ClientGone.
        """
        # The answer to a CONNECT must not be a 200: what follows would be a tunnel (RFC 9110).
        if request.method == "CONNECT":
            return xml_failure(errors.UNSUPPORTED_REQUEST, 404)
        name = request.path[len(_BELOW_API) :]
        if not name and request.method in ("GET", "POST", "HEAD"):
            return self._index(self._features.servers.remembered.bbb_version)
        call = self._frequent.get(name)
        if call is None and request.method in ("GET", "POST"):
            return None
        if call is None or request.method not in call.methods:
            raise ApiError(errors.UNSUPPORTED_REQUEST)
        caller, signed = await self._signed.read(request, origin, name, call.accepts)
        return await call.answer(caller, signed)

    async def _pass_to_quart(
        self, scope: Scope, send: Send, request: Request, origin: RequestOrigin, began_s: float
    ) -> None:
        """Have Quart answer. Raises: ClientGone."""

        def report(status: int, body: bytes) -> None:
            self._count(request, began_s, result_of(status, body))

        exchange = Exchange(request, origin, send, report)
        try:
            client = self._origins.client_address(request)
            await exchange.run(self._routes, {**scope, CLIENT_KEY: client})
        except Exception as error:
            failure = self._errors.failure_of(error, request.path)
            self._count(request, began_s, ERROR)
            # The end of a response that was begun must not look like one: the connection is cut.
            if not exchange.started:
                await send_response(send, xml_failure(failure), request, origin.request_id)


def clean_scope(scope: Scope) -> Scope:
    """Return an ASGI scope of type `http` with its path cleaned."""
    path = scope["path"]
    if not path.endswith(("/", ".json")) and "//" not in path:
        return scope
    return {**scope, "path": clean_path(path)}


def clean_path(path: str) -> str:
    """Return the path as it is routed: front-ends spell the same path in several ways.

    Slashes are merged, one at the end of a call and `.json` after an admin call are dropped.
    Greenlight 3.0.0 to 3.0.2 and version 1.9 of the Ruby gem send `//`, others a slash at the end,
    and Rails, which a Scalelite runs on, takes `.json` after the name of a call.
    """
    if not path.startswith("/"):  # `*`, or a whole URL that is not this host's
        return path
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if path.endswith("/") and path.startswith(_CALLS):
        path = path[:-1]
    if path.endswith(".json") and path.startswith(_JSON_CALLS) and path != _NAMED_JSON:
        return path if path.startswith(UPLOAD_PREFIX) else path.removesuffix(".json")
    return path
