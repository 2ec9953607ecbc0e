"""The public BBB API: routes each call to its feature, after its checksum was verified.

Knows no rule and no store. Source: BigBlueButton API reference.
"""

from __future__ import annotations

from appliance.bbb import errors
from appliance.bbb.api_call import Answer, BoundCall, xml_response
from appliance.bbb.caller import Caller
from appliance.bbb.errors import ApiError, ChecksumError, ChecksumReason
from appliance.bbb.params import get
from appliance.bbb.signed_request import read_signed
from appliance.bbb.xml import render_index
from appliance.callbacks.hook_routes import HOOK_CALLS
from appliance.callbacks.server_routes import SERVER_CALLS
from appliance.faults import DatabaseDown
from appliance.features import Features
from appliance.http.errors import HttpError
from appliance.http.messages import Request
from appliance.http.origin import OriginReader, RequestOrigin
from appliance.meetings.routes import MEETING_CALLS, passed_through
from appliance.recordings.routes import RECORDING_CALLS, json_failure

PREFIX = "/bigbluebutton/api"
CALL_NAMES = frozenset({*MEETING_CALLS, *HOOK_CALLS, *RECORDING_CALLS})


def bind_calls(features: Features) -> dict[str, BoundCall]:
    """Return every call by its name; what PASSTHROUGH_CALLS names never replaces one."""
    meetings, passed = features.meetings, features.settings.api.passthrough_calls
    return {
        **{name: passed_through(name).bind(meetings) for name in passed},
        **{name: call.bind(meetings) for name, call in MEETING_CALLS.items()},
        **{name: call.bind(features.callbacks) for name, call in HOOK_CALLS.items()},
        **{name: call.bind(features.recordings) for name, call in RECORDING_CALLS.items()},
    }


class BbbApi:
    """The API under PREFIX."""

    def __init__(self, features: Features, origins: OriginReader) -> None:
        self._features = features
        self._origins = origins
        api = features.settings.api
        self._index = xml_response(render_index(api.build_number))
        self._calls = bind_calls(features)

    async def handle(self, request: Request, origin: RequestOrigin) -> Answer:
        """Answer one request for a path under PREFIX.

        Raises ApiError, HttpError, StoreDown, ClientGone.
        """
        name = request.path[len(PREFIX) :].removeprefix("/")
        if not name:
            if request.method not in ("GET", "POST", "HEAD"):
                raise ApiError(errors.UNSUPPORTED_REQUEST)
            return self._index
        by_server = SERVER_CALLS.get(name)
        if by_server is not None and request.method == by_server.method:
            return await by_server.handler(self._features.callbacks, request, origin)
        call = self._calls.get(name)
        if call is None or request.method not in call.methods:
            raise ApiError(errors.UNSUPPORTED_REQUEST)
        if not call.json:
            return await self._answer(request, origin, name, call)
        try:
            return await self._answer(request, origin, name, call)
        except ApiError as error:
            return json_failure(error.failure)
        except HttpError as error:
            return json_failure(errors.failure_of(error))
        except DatabaseDown as error:
            self._features.faults.note("request_without_store", "postgres", reason=str(error))
            return json_failure(errors.RECORDINGS_DOWN)

    async def _answer(
        self, request: Request, origin: RequestOrigin, name: str, call: BoundCall
    ) -> Answer:
        api = self._features.settings.api
        try:
            caller, secrets = await self._identify(origin)
            signed = await read_signed(
                request,
                name,
                call.accepts,
                secrets=secrets,
                allowed=api.allowed_algorithms,
                max_bytes=api.request_max_bytes,
            )
        except ChecksumError as error:
            client = self._origins.client_address(request)
            self._features.checksum_errors.note(error, call=name, host=origin.host, client=client)
            raise
        meeting_id = get(signed.params, "meetingID")
        request.log_fields.update(meeting=meeting_id, tenant=caller.tenant_id)
        return await call.answer(caller, signed)

    async def _identify(self, origin: RequestOrigin) -> tuple[Caller, tuple[str, ...]]:
        """Return whose request it is, and the secrets that may have signed it."""
        api = self._features.settings.api
        if not api.multitenancy:
            return Caller(base_url=origin.base_url), api.secrets
        tenant = await self._features.tenants.cache.find(origin.host.partition(".")[0])
        if tenant is None:
            raise ChecksumError(ChecksumReason.TENANT)
        return Caller(tenant, origin.base_url), tenant.secrets
