"""The calls of the public BBB API: which methods and bodies each takes, and its operation.

Parses, calls one operation, renders; no rule and no store. Truth: docs of the public BBB API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.params import get
from appliance.bbb.signed_request import Accepts, SignedRequest, read_signed
from appliance.bbb.xml import XML_TYPE, render_index
from appliance.callbacks import hook_routes
from appliance.callbacks.server_routes import SERVER_CALLS
from appliance.faults import DatabaseDown
from appliance.http.messages import Request, Response
from appliance.http.origin import Origin
from appliance.http.streaming import Streamed
from appliance.meetings import calls as meetings
from appliance.meetings.create import create_meeting
from appliance.recordings import routes as recording_routes
from appliance.resources import Caller, Resources

PREFIX = "/bigbluebutton/api"
XML = XML_TYPE.encode()

Handler = Callable[[Resources, Caller, SignedRequest], Awaitable[Response | Streamed]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API."""

    handler: Handler
    methods: frozenset[str] = frozenset({"GET", "POST"})
    accepts: Accepts = Accepts.FORM
    json: bool = False
    """Failures are told in JSON."""


def xml_response(body: bytes, status: int = 200) -> Response:
    """Return an XML answer; API errors have status 200 too, as BBB's do."""
    return Response(status, XML, body)


async def _create(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    made = create_meeting(res, caller, request.params, request.body, secret=request.secret)
    return xml_response(await made)


async def _join(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    url = await meetings.join_meeting(res, caller, request.params)
    # A signed URL must not be kept by anything on the way.
    headers = ((b"location", url.encode("ascii")), (b"cache-control", b"no-store"))
    return Response(302, b"text/html; charset=utf-8", b"", headers)


async def _is_meeting_running(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    return xml_response(await meetings.is_meeting_running(res, caller, request.params))


async def _get_meeting_info(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    return xml_response(await meetings.get_meeting_info(res, caller, request.params))


async def _get_meetings(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    return xml_response(await meetings.get_meetings(res, caller, request.params))


async def _end(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    return xml_response(await meetings.end_meeting(res, caller, request.params))


async def _insert_document(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    if request.body is None:
        raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)
    return xml_response(await meetings.insert_document(res, caller, request.params, request.body))


CALLS: Mapping[str, Call] = {
    "create": Call(_create, accepts=Accepts.FORM_OR_XML),
    "join": Call(_join, methods=frozenset({"GET"}), accepts=Accepts.NOTHING),
    "isMeetingRunning": Call(_is_meeting_running),
    "getMeetingInfo": Call(_get_meeting_info),
    "getMeetings": Call(_get_meetings),
    "end": Call(_end),
    "insertDocument": Call(_insert_document, frozenset({"POST"}), Accepts.XML),
    "hooks/create": Call(hook_routes.create_hook),
    "hooks/list": Call(hook_routes.list_hooks),
    "hooks/destroy": Call(hook_routes.destroy_hook),
    "getRecordings": Call(recording_routes.get_recordings),
    "publishRecordings": Call(recording_routes.publish_recordings),
    "updateRecordings": Call(recording_routes.update_recordings),
    "deleteRecordings": Call(recording_routes.delete_recordings),
    "getRecordingTextTracks": Call(
        recording_routes.get_text_tracks, accepts=Accepts.NOTHING, json=True
    ),
    "putRecordingTextTrack": Call(
        recording_routes.put_text_track, frozenset({"POST"}), Accepts.FILE, json=True
    ),
}


def _pass_through(name: str) -> Call:
    async def handle(res: Resources, caller: Caller, request: SignedRequest) -> Response:
        return xml_response(await meetings.pass_through(res, caller, name, request.params))

    return Call(handle)


class BbbApi:
    """The API under PREFIX."""

    def __init__(self, res: Resources) -> None:
        self._res = res
        api = res.settings.api
        self._index = xml_response(render_index(api.build_number))
        passed = {name: _pass_through(name) for name in api.passthrough_calls}
        self._calls = passed | dict(CALLS)

    async def handle(self, request: Request, origin: Origin) -> Response | Streamed:
        """Answer one request for a path under PREFIX. Raises ApiError, StoreDown, ClientGone."""
        name = request.path[len(PREFIX) :].removeprefix("/")
        if not name:
            if request.method not in ("GET", "POST", "HEAD"):
                raise ApiError(errors.UNSUPPORTED_REQUEST)
            return self._index
        by_server = SERVER_CALLS.get(name)
        if by_server is not None and request.method == by_server.method:
            return await by_server.handler(self._res, request, origin)
        call = self._calls.get(name)
        if call is None or request.method not in call.methods:
            raise ApiError(errors.UNSUPPORTED_REQUEST)
        if not call.json:
            return await self._answer(request, origin, name, call)
        try:
            return await self._answer(request, origin, name, call)
        except ApiError as error:
            return recording_routes.json_failure(error.failure)
        except DatabaseDown as error:
            self._res.faults.note("request_without_store", "postgres", reason=str(error))
            return recording_routes.json_failure(errors.RECORDINGS_DOWN)

    async def _answer(
        self, request: Request, origin: Origin, name: str, call: Call
    ) -> Response | Streamed:
        caller, secrets = await self._identify(origin)
        api = self._res.settings.api
        signed = await read_signed(
            request,
            name,
            call.accepts,
            secrets=secrets,
            allowed=api.allowed_algorithms,
            max_bytes=api.request_max_bytes,
        )
        meeting_id = get(signed.params, "meetingID")
        request.told.update(meeting=meeting_id, tenant=caller.tenant_id)
        return await call.handler(self._res, caller, signed)

    async def _identify(self, origin: Origin) -> tuple[Caller, tuple[str, ...]]:
        """Return whose request it is, and the secrets that may have signed it."""
        api = self._res.settings.api
        if not api.multitenancy:
            return Caller(base_url=origin.base_url), api.secrets
        tenant = await self._res.tenants.find(origin.host.partition(".")[0])
        if tenant is None:
            raise ApiError(errors.CHECKSUM_ERROR)
        return Caller(tenant, origin.base_url), tenant.secrets
