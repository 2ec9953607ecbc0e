"""The public listener's ASGI application: host check, routing, and the one place for errors.

Whatever goes wrong in a request ends here as the answer that the spec names, and touches no
other request. Plain ASGI, since a framework would cost more than the calls themselves.
"""

from __future__ import annotations

import trio

from appliance.bbb import errors
from appliance.bbb.api_call import xml_response
from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.request_metrics import ERROR, OK, REFUSED, CallNames, count_request, result_of
from appliance.bbb.xml import render_error
from appliance.callbacks.server_routes import SERVER_CALLS
from appliance.dialin.routes import DIALPLAN_PATHS, DialplanEndpoint
from appliance.faults import DatabaseDown, StoreDown
from appliance.features import Features
from appliance.http.errors import HttpError
from appliance.http.file_response import FileResponse, send_file
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
from appliance.http.origin import OriginReader, RequestOrigin
from appliance.http.streaming import ResponseStream, StreamedResponse
from appliance.log import request_context
from appliance.metrics.routes import METRICS_PATH, MetricsEndpoint
from appliance.public.admin_mount import ADMIN_PREFIX, AdminMount
from appliance.public.bbb_api import CALL_NAMES, PREFIX, BbbApi
from appliance.public.clean_path import clean_scope
from appliance.public.health import HEALTH_PATHS, check_health
from appliance.recordings.playback_routes import PlaybackRoutes
from appliance.recordings.upload_routes import UPLOAD_PREFIX, UploadRoute

_WRONG_HOST = Response(403, b"text/plain; charset=utf-8", b"This host is not served here.\n")
_BELOW_PREFIX = PREFIX + "/"
_TIMEOUTS = ClientTimeouts()


class PublicApp:
    """Answers every request of the public listener."""

    def __init__(self, features: Features, timeouts: ClientTimeouts = _TIMEOUTS) -> None:
        self._features = features
        self._timeouts = timeouts
        self._admin = AdminMount(features, timeouts)
        self._metrics = MetricsEndpoint(features.exposition)
        recordings = features.recordings
        self._uploads = (
            None if recordings.spool is None else UploadRoute(recordings, recordings.spool)
        )
        self._playback = (
            None if recordings.served is None else PlaybackRoutes(recordings, recordings.served)
        )
        api = features.settings.api
        self._call_names = CallNames(PREFIX, {*CALL_NAMES, *SERVER_CALLS, *api.passthrough_calls})
        self._origins = OriginReader(
            features.settings.web.trusted_proxies,
            url_host=api.url_host,
            base_url=api.base_url,
            multitenancy=api.multitenancy,
        )
        self._api = BbbApi(features, self._origins)
        own_listener = bool(features.settings.fsapi.binds)
        self._dialplan = None if own_listener else DialplanEndpoint(features.dialin, self._origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other scopes are none of ours."""
        if scope["type"] != "http":
            return
        began_s = trio.current_time()
        scope = clean_scope(scope)
        request = read_request(scope, receive, self._timeouts)
        origin = self._origins.read(request)
        stream = ResponseStream(send, request, origin.request_id)
        with request_context(origin.trusted_id):
            try:
                response = await self._answer(request, origin, stream)
                if isinstance(response, FileResponse):
                    self._count(request, began_s, OK if response.status < 400 else REFUSED)
                    await send_file(send, response, request, origin.request_id, self._features.log)
                    return
            except ClientGone:
                return
            self._count(request, began_s, _result_of(response, stream))
        # Of an answer that was begun the end must not look like one: the connection is cut off.
        if response is not None and not stream.started:
            await send_response(send, response, request, origin.request_id)

    def _count(self, request: Request, began_s: float, result: str) -> None:
        call, features = self._call_names.of(request.path), self._features
        count_request(features.metrics, features.log, request, began_s, call, result)

    async def _answer(
        self, request: Request, origin: RequestOrigin, stream: ResponseStream
    ) -> Response | FileResponse | None:
        try:
            answer = await self._route(request, origin)
            return await stream.run(answer) if isinstance(answer, StreamedResponse) else answer
        except ApiError as error:
            return _refuse(error.failure)
        except HttpError as error:
            return _refuse(errors.failure_of(error))
        except StoreDown as error:
            self._features.faults.note("request_without_store", "redis", reason=str(error))
            return _refuse(errors.STORE_DOWN)
        except DatabaseDown as error:
            self._features.faults.note("request_without_store", "postgres", reason=str(error))
            return _refuse(errors.RECORDINGS_DOWN)
        except ClientGone:
            raise
        except Exception as error:
            # Never the query: it is signed, and may hold passwords.
            self._features.log.error("request_failed", path=request.path, exc_info=error)
            # A load balancer looks at the status only.
            status = 503 if request.path in HEALTH_PATHS else None
            return _refuse(errors.INTERNAL_ERROR, status)

    async def _route(
        self, request: Request, origin: RequestOrigin
    ) -> Response | FileResponse | StreamedResponse:
        path = request.path
        if path in HEALTH_PATHS:  # load balancers ask by address: no host check
            vanished = self._features.servers.remembered.vanished
            return await check_health(self._features.redis, request, vanished)
        if not self._origins.allows(origin.host):
            return _WRONG_HOST
        if path in DIALPLAN_PATHS and self._dialplan is not None:
            return await self._dialplan.handle(request)
        if path == METRICS_PATH:
            return await self._metrics.handle_public(request)
        if self._uploads is not None and path.startswith(UPLOAD_PREFIX):
            return await self._uploads.handle(request)
        if path.startswith(ADMIN_PREFIX):
            return await self._admin.handle(request, self._origins.client_address(request))
        if self._playback is not None and self._playback.serves(path):
            return await self._playback.handle(request, origin)
        # The answer to a CONNECT must not be a 200: what follows would be a tunnel (RFC 9110).
        below = path.startswith(_BELOW_PREFIX) or path == PREFIX
        if not below or request.method == "CONNECT":
            return _refuse(errors.UNSUPPORTED_REQUEST, 404)
        return await self._api.handle(request, origin)


def _result_of(response: Response | None, stream: ResponseStream) -> str:
    if response is None:  # streamed to its end
        return OK
    # One that was begun and could not be ended.
    return ERROR if stream.started else result_of(response)


def _refuse(failure: Failure, status: int | None = None) -> Response:
    body = render_error(failure.key, failure.message)
    return xml_response(body, failure.http_status if status is None else status)
