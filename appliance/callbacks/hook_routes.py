"""The calls of the BBB API about web hooks: parses, calls one operation, renders."""

from __future__ import annotations

from appliance.bbb.signed_request import SignedRequest
from appliance.bbb.xml import XML_TYPE
from appliance.callbacks import hooks
from appliance.http.messages import Response
from appliance.resources import Caller, Resources

XML = XML_TYPE.encode()


async def create_hook(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    """Answer hooks/create."""
    return Response(200, XML, await hooks.create_hook(res, caller, request.params))


async def list_hooks(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    """Answer hooks/list."""
    return Response(200, XML, await hooks.list_hooks(res, caller, request.params))


async def destroy_hook(res: Resources, caller: Caller, request: SignedRequest) -> Response:
    """Answer hooks/destroy."""
    return Response(200, XML, await hooks.destroy_hook(res, caller, request.params))
