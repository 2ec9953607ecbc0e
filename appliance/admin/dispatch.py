"""Makes admin calls: every call of every client passes here.

The control socket, the admin API over HTTP and the console make their calls here, so that no call
can forget who may make it, to hide secrets, and to record what it changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import trio

from appliance.admin_calls.actors import Actor, Role
from appliance.admin_calls.call import AdminCall, BoundAdminCall, Snapshot
from appliance.admin_calls.fields import BadRequest, Json
from appliance.admin_calls.refusal import ErrorAnswer, ErrorJson, Refused
from appliance.admin_calls.rendering import records_of
from appliance.admin_calls.secrets import hide_secrets
from appliance.audit.rules import DONE, Change, change_of_fields, compare
from appliance.audit.trail import RECORD_S, AuditTrail
from appliance.faults import DatabaseDown, StoreDown
from appliance.log import Log
from appliance.system.threads import run_counted

OBSERVE_S = 1.0
"""How long a change waits for the values before and after it, for the audit trail."""


class AdminCalls:
    """All calls, bound to the features that make them."""

    def __init__(self, calls: Iterable[BoundAdminCall], trail: AuditTrail, log: Log) -> None:
        self._calls = {call.declaration.name: call for call in calls}
        self._trail = trail
        self._log = log

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
        if call.declaration.logs:
            answer = await self._make_audited(call, actor, fields, file)
        else:
            answer = await call.run(actor, fields, file)
        if actor.role is Role.ADMIN:
            return answer
        return await run_counted(records_of(answer), partial(hide_secrets, answer))

    async def _make_audited(
        self, call: BoundAdminCall, actor: Actor, fields: Json, file: int | None
    ) -> Any:
        before = await self._observe(call, actor, fields, None)
        answer, result = None, "failed: it was cancelled"
        try:
            answer = await call.run(actor, fields, file)
            failure = getattr(answer, "failure", "")
            result = f"failed: {failure}" if failure else DONE
            return answer
        except BadRequest:
            result = ""  # nothing was understood, so nothing was done
            raise
        except Exception as error:
            unknown = isinstance(error, StoreDown) and error.sent
            result = f"{'unknown' if unknown else 'failed'}: {_reason_of(error)}"
            raise
        finally:
            if result:
                with trio.move_on_after(OBSERVE_S + RECORD_S, shield=True):
                    await self._record(call, actor, fields, before, answer, result)

    async def _record(
        self,
        call: BoundAdminCall,
        actor: Actor,
        fields: Json,
        before: Mapping[str, Snapshot] | None,
        answer: Any,
        result: str,
    ) -> None:
        declaration = call.declaration
        audited = declaration.audited
        after = await self._observe(call, actor, fields, answer)
        changes: list[Change] = []
        if audited is not None and before is not None and after is not None:
            find = partial(compare, before, after, unchanged=audited.unchanged)
            changes = await run_counted(len(before) + len(after), find)
            if not changes and not audited.unchanged and result == DONE:
                return
        shown = fields if audited is None or audited.shows_fields else {}
        changes = changes or [change_of_fields(declaration.group, shown)]
        await self._trail.record(actor.who, declaration.name, changes, result)

    async def _observe(
        self, call: BoundAdminCall, actor: Actor, fields: Json, answer: Any
    ) -> Mapping[str, Snapshot] | None:
        """Return the objects of a call; None: they cannot be read, which does not stop it."""
        try:
            with trio.fail_after(OBSERVE_S):
                return await call.observe(actor, fields, answer)
        except Exception as error:
            self._log.debug("audit_values_unknown", call=call.declaration.name, reason=str(error))
            return None


def check_role(call: AdminCall[Any], actor: Actor) -> None:
    """Raise ErrorAnswer, with status 403, if an actor may not make a call, whatever its fields."""
    if not actor.role.includes(call.role):
        reason = f"{call.name} needs the role {call.role}; this is a token of the role {actor.role}"
        raise ErrorAnswer(403, ErrorJson(reason))
    if actor.tenant_id is not None and not call.of_tenants:
        raise ErrorAnswer(403, ErrorJson(f"{call.name} is not for the token of a tenant"))


def _reason_of(error: Exception) -> str:
    """Return why a call was not done, as far as it is safe to show."""
    match error:
        case Refused() | StoreDown() | DatabaseDown():
            return str(error)
        case ErrorAnswer():
            return error.document.error
        case trio.TooSlowError():
            return "it took too long; a part may have been done"
    return "the appliance failed; its log says why"
