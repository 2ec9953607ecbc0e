"""/fsapi: FreeSWITCH's mod_xml_curl posts a form about a call and gets its dialplan.

On the public listener, or on one of its own (FSAPI_BIND). FreeSWITCH takes any status but 200 for
"no answer" and goes on with its own dialplan, so a known call gets 200 whatever happens.
Source: docs/dial-in.md; `xml_url_fetch` in FreeSWITCH's mod_xml_curl.c.
"""

from __future__ import annotations

import base64
import binascii
import hmac

import trio

from appliance.bbb.params import parse_query
from appliance.bbb.request_metrics import count_request, result_of
from appliance.dialin.caller import FIELDS, read_call
from appliance.dialin.calls import answer_call
from appliance.dialin.deps import DialInDeps
from appliance.dialin.dialplan import NOT_FOUND, PromptRules, render_answer
from appliance.http.authorization import digest_secret
from appliance.http.errors import HttpError
from appliance.http.messages import (
    ClientGone,
    ClientTimeouts,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    read_body,
    read_request,
    send_response,
)
from appliance.http.origin import OriginReader
from appliance.log import request_context

DIALPLAN_PATHS = frozenset({"/fsapi", "/fsapi/"})
FORM_MAX_BYTES = 256 * 1024
"""FreeSWITCH's forms have 5 to 20 KB: all variables of the call, session descriptions included."""

USER = "fsapi"

_XML = b"text/xml; charset=utf-8"
_TEXT = b"text/plain; charset=utf-8"
_TIMEOUTS = ClientTimeouts()


class DialplanEndpoint:
    """Answers requests for dialplans."""

    def __init__(self, deps: DialInDeps, origins: OriginReader) -> None:
        settings = deps.settings
        self._deps = deps
        self._origins = origins
        bridges = settings.voice_bridge
        self._rules = PromptRules(
            bridges.pin_min,
            bridges.pin_max,
            settings.fsapi.max_duration_s,
            settings.fsapi.context,
        )
        password = settings.fsapi.password
        self._credentials = (
            None if password is None else digest_secret(f"{USER}:{password}".encode())
        )
        realm = (settings.api.url_host or "scalelite-appliance").replace('"', "")
        challenge = (b"www-authenticate", f'Basic realm="{realm}"'.encode("ascii", "replace"))
        self._unauthorized = Response(401, _TEXT, b"Wrong user or password.\n", (challenge,))

    async def handle(self, request: Request) -> Response:
        """Answer one request. Raises ClientGone."""
        if request.method != "POST":
            return Response(405, _TEXT, b"POST only.\n", ((b"allow", b"POST"),))
        if not self._is_authorized(request):
            return self._unauthorized
        try:
            call = read_call(_fields_of(await read_body(request, FORM_MAX_BYTES)))
        except HttpError as error:
            return Response(error.status, _TEXT, error.reason.encode())
        if call is None:
            return Response(200, _XML, NOT_FOUND)
        answer = await answer_call(self._deps, call, self._origins.client_address(request))
        return Response(200, _XML, render_answer(answer, call.number, self._rules))

    def _is_authorized(self, request: Request) -> bool:
        if self._credentials is None:
            return True
        scheme, _, token = (request.header(b"authorization") or "").strip().partition(" ")
        try:
            given = base64.b64decode(token.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        right = hmac.compare_digest(digest_secret(given), self._credentials)
        return right and scheme.lower() == "basic"


class DialplanApp:
    """The application of FSAPI_BIND: nothing but the endpoint, for whichever host it is asked."""

    def __init__(self, deps: DialInDeps, timeouts: ClientTimeouts = _TIMEOUTS) -> None:
        self._deps = deps
        self._timeouts = timeouts
        self._origins = OriginReader(
            deps.settings.web.trusted_proxies, url_host=None, base_url=None, multitenancy=False
        )
        self._endpoint = DialplanEndpoint(deps, self._origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other scopes are ignored."""
        if scope["type"] != "http":
            return
        began_s = trio.current_time()
        request = read_request(scope, receive, self._timeouts)
        origin = self._origins.read(request)
        with request_context(origin.trusted_id):
            try:
                response = await self._answer(request)
            except ClientGone:
                return
            call = "fsapi" if request.path in DIALPLAN_PATHS else "other"
            metrics, log = self._deps.metrics, self._deps.log
            result = result_of(response.status, response.body)
            count_request(metrics, log, request, began_s, call, result)
        await send_response(send, response, request, origin.request_id)

    async def _answer(self, request: Request) -> Response:
        if request.path not in DIALPLAN_PATHS:
            return Response(404, _TEXT, b"There is nothing here but /fsapi.\n")
        try:
            return await self._endpoint.handle(request)
        except ClientGone:
            raise
        except Exception as error:
            self._deps.log.error("request_failed", path=request.path, exc_info=error)
            return Response(500, _TEXT, b"The request failed; the log says why.\n")


def _fields_of(form: bytes) -> dict[str, str]:
    """Return the fields that are read; of several with one name the first, as in FreeSWITCH."""
    read = [part for part in form.split(b"&") if part.partition(b"=")[0] in _ENCODED]
    return dict(reversed(parse_query(b"&".join(read))))


# mod_xml_curl writes the names as they are, and none of those read needs encoding.
_ENCODED = frozenset(name.encode() for name in FIELDS)
