"""Errors of admin calls as answers: the only place for both listeners."""

from __future__ import annotations

import trio

from appliance.admin_calls.call import AdminCall
from appliance.admin_calls.fields import BadRequest
from appliance.admin_calls.refusal import ErrorAnswer, ErrorJson, RefusalKind, Refused
from appliance.fault_log import FaultLog
from appliance.faults import DatabaseDown, StoreDown
from appliance.http.errors import HttpError
from appliance.log import Log

_STATUS_OF = {
    RefusalKind.INVALID: 400,
    RefusalKind.NOT_FOUND: 404,
    RefusalKind.CONFIRMATION_NEEDED: 409,
    RefusalKind.UNREACHABLE: 502,
}


def answer_error(
    call: AdminCall[object], error: Exception, faults: FaultLog, log: Log
) -> ErrorAnswer:
    """Return the answer for an error of a call; log it unless it is expected."""
    match _first_leaf(error):
        case ErrorAnswer() as answer:
            return answer
        case BadRequest() as bad:
            return ErrorAnswer(400, ErrorJson(str(bad)))
        case Refused() as refused:
            document = ErrorJson(refused.reason, kind=refused.kind)
            return ErrorAnswer(_STATUS_OF[refused.kind], document)
        case HttpError() as unreadable:
            return ErrorAnswer(unreadable.status, ErrorJson(unreadable.reason))
        case trio.TooSlowError():
            return ErrorAnswer(504, ErrorJson(f"not done within {call.deadline_s:g} seconds"))
        case StoreDown() as down:
            faults.note("request_without_store", "redis", reason=str(down))
            # A change may begin by reading, so this may be said of one that was not made.
            unknown = " The change may have been made." if down.sent and call.logs else ""
            return ErrorAnswer(503, ErrorJson(f"The meeting store is not reachable.{unknown}"))
        case DatabaseDown() as down:
            faults.note("request_without_store", "postgres", reason=str(down))
            store = "recording store" if call.group == "recordings" else "database"
            return ErrorAnswer(503, ErrorJson(f"The {store} is not reachable."))
    # Never the query or the body: they may hold secrets.
    log.error("request_failed", call=call.name, exc_info=error)
    return ErrorAnswer(500, ErrorJson("The request failed; the appliance's log says why."))


def _first_leaf(error: BaseException) -> BaseException:
    """Return an error of a nursery's group: a lost store fails all of its tasks alike."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
