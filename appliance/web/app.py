"""The public listener's ASGI application: host check, routing, and the one place for errors.

Whatever goes wrong in a request ends here as the answer that the spec names, and touches no
other request. Plain ASGI, since a framework would cost more than the calls themselves.
"""

from __future__ import annotations

from appliance.core import errors
from appliance.core.bbb_xml import render_error
from appliance.core.errors import ApiError, Failure
from appliance.core.faults import StoreDown
from appliance.operations.resources import Resources
from appliance.web.bbb_routes import PREFIX, BbbApi, xml_response
from appliance.web.health_routes import HEALTH_PATHS, check_health
from appliance.web.http import ClientGone, Receive, Request, Response, Scope, Send, send_response
from appliance.web.origin import OriginReader

MAX_TARGET_BYTES = 64 * 1024
"""Front-ends send long queries (a welcome text in `create`); Scalelite stops at 10 KB."""

_WRONG_HOST = Response(403, b"text/plain; charset=utf-8", b"This host is not served here.\n")


class PublicApp:
    """Answers every request of the public listener."""

    def __init__(self, res: Resources) -> None:
        self._res = res
        self._api = BbbApi(res)
        api = res.settings.api
        self._origins = OriginReader(
            res.settings.web.trusted_proxies,
            url_host=api.url_host,
            base_url=api.base_url,
            multitenancy=api.multitenancy,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope."""
        if scope["type"] == "lifespan":
            await _serve_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve_http(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        request = Request(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"],
            headers=scope["headers"],
            receive=receive,
            peer=client[0] if client else None,
        )
        origin = self._origins.read(request)
        try:
            response = await self._answer(request, origin.host)
        except ClientGone:
            return
        head_only = request.method == "HEAD"
        await send_response(send, response, origin.request_id, head_only=head_only)

    async def _answer(self, request: Request, host: str) -> Response:
        if request.path in HEALTH_PATHS:  # load balancers ask by address: no host check
            return await check_health(self._res, request)
        if not self._origins.allows(host):
            return _WRONG_HOST
        if request.path != PREFIX and not request.path.startswith(PREFIX + "/"):
            return xml_response(_render(errors.UNSUPPORTED_REQUEST), 404)
        try:
            if len(request.path) + len(request.query) > MAX_TARGET_BYTES:
                raise ApiError(errors.URI_TOO_LONG)
            return await self._api.handle(request, host)
        except ApiError as error:
            return _refuse(error.failure)
        except StoreDown as error:
            self._res.faults.note("request_without_store", "redis", reason=str(error))
            return _refuse(errors.STORE_DOWN)
        except ClientGone:
            raise
        except Exception as error:
            # Never the query: it is signed, and may hold passwords.
            self._res.log.error("request_failed", path=request.path, exc_info=error)
            return _refuse(errors.INTERNAL_ERROR)


def _refuse(failure: Failure) -> Response:
    return xml_response(_render(failure), failure.http_status)


def _render(failure: Failure) -> bytes:
    return render_error(failure.key, failure.message)


async def _serve_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
