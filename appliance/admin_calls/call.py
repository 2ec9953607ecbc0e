"""What one call of the admin API is: its name and method, the operation behind it, its deadline.

The tables of calls are in admin_*_calls.py, one for each field of administration; admin_routes.py
serves them on the control socket, admin_api.py on the public listener.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import trio

from appliance.admin_calls import forms as form
from appliance.admin_calls.forms import BadRequest, Json
from appliance.admin_calls.refusal import RefusalKind, Refused, no_server
from appliance.admin_calls.schema import About
from appliance.fault_log import FaultLog
from appliance.faults import DatabaseDown, StoreDown
from appliance.log import Log

PREFIX = "/scalelite/api"
ID_MISSING = " (id is missing)"
MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 10

SHORT_S = 15.0
LONG_S = 600.0
"""For calls that ask many servers, some of which may be dead."""

STATUS_OF = {
    RefusalKind.INVALID: 400,
    RefusalKind.NOT_FOUND: 404,
    RefusalKind.CONFIRMATION_NEEDED: 409,
    RefusalKind.UNREACHABLE: 502,
}

Answer = tuple[Any, int]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read: who makes it, and its fields from query and body."""

    who: str
    fields: Json

    @property
    def server_id(self) -> str:
        """Return the `id`, which may stand beside or inside `server`.

        Raises BadRequest; Refused: there is none, which Scalelite answers like an unknown one.
        """
        found = form.text(self.fields, "id")
        found = found or form.text(form.server_fields(self.fields), "id")
        if not found:
            raise no_server(ID_MISSING)
        return found


Deps = TypeVar("Deps")


@dataclass(frozen=True, slots=True)
class AdminCall(Generic[Deps]):
    """One row of a table of calls."""

    name: str
    method: str
    handler: Callable[[Deps, Call], Awaitable[Answer]]
    deadline_s: float = SHORT_S
    about: About = field(kw_only=True)
    local: bool = False
    """Only for the control socket: its arguments mean something of this machine, such as a file."""

    def bind(self, deps: Deps) -> BoundAdminCall:
        """Return the call with what its feature is given."""
        return BoundAdminCall(self.name, self.method, partial(self.handler, deps), self.deadline_s)


@dataclass(frozen=True, slots=True)
class BoundAdminCall:
    """A call that is ready to be answered."""

    name: str
    method: str
    handler: Callable[[Call], Awaitable[Answer]]
    deadline_s: float


async def answer_call(
    call: BoundAdminCall, read: Callable[[], Awaitable[Call]], faults: FaultLog, log: Log
) -> Answer:
    """Read a request and do what it asks; whatever goes wrong becomes an answer, too.

    Errors of `read` other than BadRequest are its caller's.
    """
    try:
        request = await read()
    except BadRequest as error:
        return {"error": str(error)}, 400
    try:
        with trio.fail_after(call.deadline_s):
            return await call.handler(request)
    except trio.TooSlowError:
        return {"error": f"not done within {call.deadline_s:g} seconds"}, 504
    except Exception as error:
        answer = _describe(faults, _first_leaf(error))
        if answer is None:
            # Never the query or the body: they may hold secrets.
            log.error("request_failed", call=call.name, exc_info=error)
            return {"error": "The request failed; the appliance's log says why."}, 500
        return answer


def _describe(faults: FaultLog, error: BaseException) -> Answer | None:
    """Return the answer for an error that is expected, None for a defect."""
    if isinstance(error, BadRequest):
        return {"error": str(error)}, 400
    if isinstance(error, Refused):
        return {"error": error.reason, "kind": error.kind.value}, STATUS_OF[error.kind]
    if isinstance(error, StoreDown):
        faults.note("request_without_store", "redis", reason=str(error))
        return {"error": "The meeting store is not reachable."}, 503
    if isinstance(error, DatabaseDown):
        faults.note("request_without_store", "postgres", reason=str(error))
        return {"error": "The recording store is not reachable."}, 503
    return None


def _first_leaf(error: BaseException) -> BaseException:
    """Look into the groups that nurseries make: one lost store fails all tasks alike."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
