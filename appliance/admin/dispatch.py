"""Makes admin calls: the one place that all of them pass, whoever makes them.

The control socket, the admin API over HTTP and the console make their calls here, so that no call
can forget who may make it, nor to hide secrets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from appliance.admin_calls.actors import Actor, Role
from appliance.admin_calls.call import AdminCall, BoundAdminCall
from appliance.admin_calls.fields import Json
from appliance.admin_calls.refusal import ErrorAnswer, ErrorJson
from appliance.admin_calls.secrets import hide_secrets


class AdminCalls:
    """All calls, bound to the features that make them."""

    def __init__(self, calls: Iterable[BoundAdminCall]) -> None:
        self._calls = {call.declaration.name: call for call in calls}

    def find(self, name: str) -> AdminCall[Any] | None:
        """Return the declaration of a call."""
        call = self._calls.get(name)
        return None if call is None else call.declaration

    async def make(self, name: str, actor: Actor, fields: Json, file: int | None = None) -> Any:
        """Make a call and return its answer. file: descriptor of a passed file.

        Raises as BoundAdminCall.run, and ErrorAnswer: the actor may not make it.
        """
        call = self._calls[name]
        check_role(call.declaration, actor)
        answer = await call.run(actor, fields, file)
        return answer if actor.role is Role.ADMIN else hide_secrets(answer)


def check_role(call: AdminCall[Any], actor: Actor) -> None:
    """Raise ErrorAnswer, with status 403, if an actor may not make a call, whatever its fields."""
    if not actor.role.includes(call.role):
        reason = f"{call.name} needs the role {call.role}; this is a token of the role {actor.role}"
        raise ErrorAnswer(403, ErrorJson(reason))
    if actor.tenant_id is not None and not call.of_tenants:
        raise ErrorAnswer(403, ErrorJson(f"{call.name} is not for the token of a tenant"))
