"""The calls of the BBB API about web hooks: parses, calls one operation, renders."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.bbb.api_call import ApiCall, xml_response
from appliance.bbb.caller import Caller
from appliance.bbb.signed_request import SignedRequest
from appliance.callbacks import hooks
from appliance.callbacks.deps import CallbackDeps
from appliance.http.messages import Response


async def create_hook(deps: CallbackDeps, caller: Caller, request: SignedRequest) -> Response:
    """Answer hooks/create."""
    return xml_response(await hooks.create_hook(deps, caller, request.params))


async def list_hooks(deps: CallbackDeps, caller: Caller, request: SignedRequest) -> Response:
    """Answer hooks/list."""
    return xml_response(await hooks.list_hooks(deps, caller, request.params))


async def destroy_hook(deps: CallbackDeps, caller: Caller, request: SignedRequest) -> Response:
    """Answer hooks/destroy."""
    return xml_response(await hooks.destroy_hook(deps, caller, request.params))


HOOK_CALLS: Mapping[str, ApiCall[CallbackDeps]] = {
    "hooks/create": ApiCall(create_hook),
    "hooks/list": ApiCall(list_hooks),
    "hooks/destroy": ApiCall(destroy_hook),
}
