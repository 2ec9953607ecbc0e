"""The signed calls of the BBB API: the caller of a request, and what its checksum covers.

The only place that verifies the checksum of a BBB API call; the frequent calls use
`SignedCalls.read`, all others are views of blueprints.
Source: BigBlueButton API reference, "Usage/Security".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from quart import Blueprint, Response

from appliance.bbb.checksum_errors import ChecksumErrors
from appliance.bbb.errors import ChecksumError, ChecksumReason
from appliance.bbb.params import Params, get
from appliance.bbb.signed_request import Accepts, Caller, SignedRequest, read_signed
from appliance.bbb.xml import XML_TYPE
from appliance.http.messages import Request
from appliance.http.origin import OriginReader, RequestOrigin
from appliance.http.quart_exchange import current_exchange
from appliance.tenants.deps import TenantDeps

View = Callable[[Caller, SignedRequest], Awaitable[Response]]
UseCase = Callable[[Caller, Params], Awaitable[bytes]]


async def find_caller(deps: TenantDeps, origin: RequestOrigin, request: Request) -> Caller | None:
    """Return the front-end whose host was requested, None if no tenant has it. Raises: StoreDown.

    Without multitenancy there is one front-end, whatever the host.
    """
    tenant = None
    if deps.settings.api.multitenancy:
        tenant = await deps.cache.find(origin.host.partition(".")[0])
        if tenant is None:
            return None
    return Caller(tenant, origin.base_url, request.log_fields)


class SignedCalls:
    """Reads signed requests, and adds calls to blueprints."""

    def __init__(self, deps: TenantDeps, refused: ChecksumErrors, origins: OriginReader) -> None:
        self._deps = deps
        self._refused = refused
        self._origins = origins

    async def read(
        self, request: Request, origin: RequestOrigin, call: str, accepts: Accepts
    ) -> tuple[Caller, SignedRequest]:
        """Return the caller of a request and what its checksum covers.

        Raises: ApiError (checksumError, unsupportedContentType), HttpError (413, 408), StoreDown,
        ClientGone.
        """
        api = self._deps.settings.api
        try:
            caller = await find_caller(self._deps, origin, request)
            if caller is None:
                raise ChecksumError(ChecksumReason.TENANT)
            signed = await read_signed(
                request,
                call,
                accepts,
                secrets=api.secrets if caller.tenant is None else caller.tenant.secrets,
                allowed=api.allowed_algorithms,
                max_bytes=api.request_max_bytes,
            )
        except ChecksumError as error:
            client = self._origins.client_address(request)
            self._refused.note(error, call=call, host=origin.host, client=client)
            raise
        meeting_id = get(signed.params, "meetingID")
        request.log_fields.update(meeting=meeting_id, tenant=caller.tenant_id)
        return caller, signed

    def add(
        self,
        blueprint: Blueprint,
        name: str,
        view: View,
        *,
        methods: tuple[str, ...] = ("GET", "POST"),
        accepts: Accepts = Accepts.FORM,
    ) -> None:
        """Add a call to a blueprint below `/bigbluebutton/api`."""

        async def read_and_answer() -> Response:
            exchange = current_exchange()
            return await view(*await self.read(exchange.request, exchange.origin, name, accepts))

        blueprint.add_url_rule(f"/{name}", name, read_and_answer, methods=methods)

    def add_xml(self, blueprint: Blueprint, name: str, use_case: UseCase) -> None:
        """Add a call that takes parameters only and is answered in XML."""

        async def view(caller: Caller, signed: SignedRequest) -> Response:
            return Response(await use_case(caller, signed.params), content_type=XML_TYPE)

        self.add(blueprint, name, view)
