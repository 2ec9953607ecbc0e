"""Errors of admin calls as answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
import trio

from appliance.admin.errors import answer_error
from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import BadRequest, NoFields
from appliance.admin_calls.refusal import ErrorAnswer, ErrorJson, RefusalKind, Refused
from appliance.fault_log import FaultLog
from appliance.faults import DatabaseDown, StoreDown
from appliance.http.errors import HttpError
from tests.doubles.features import EventBook


async def handler(deps: None, call: Call[NoFields]) -> Answer:
    """Answer nothing."""
    return Answer()


CALL: AdminCall[Any] = AdminCall(
    "doIt", "POST", handler, "x", "Does it.", {}, role=Role.ADMIN, deadline_s=7
)


def answer(error: Exception, call: AdminCall[Any] = CALL) -> tuple[int, dict[str, Any], EventBook]:
    log = EventBook()
    found = answer_error(call, error, FaultLog(log, lambda: 0), log)
    return found.status, msgspec.to_builtins(found.document), log


@pytest.mark.parametrize(
    ("error", "status", "document"),
    [
        (BadRequest("x is missing"), 400, {"error": "x is missing"}),
        (HttpError(413, "too large"), 413, {"error": "too large"}),
        (trio.TooSlowError(), 504, {"error": "not done within 7 seconds"}),
        (StoreDown("lost"), 503, {"error": "The meeting store is not reachable."}),
        (DatabaseDown("lost"), 503, {"error": "The database is not reachable."}),
        (
            ErrorAnswer(412, ErrorJson("a hint", message="Scalelite's")),
            412,
            {"error": "a hint", "message": "Scalelite's"},
        ),
        *(
            (Refused(kind, "why"), status, {"error": "why", "kind": kind.value})
            for kind, status in (
                (RefusalKind.INVALID, 400),
                (RefusalKind.NOT_FOUND, 404),
                (RefusalKind.CONFIRMATION_NEEDED, 409),
                (RefusalKind.UNREACHABLE, 502),
            )
        ),
    ],
)
def test_expected_error_has_its_status_and_reason(
    error: Exception, status: int, document: dict[str, Any]
) -> None:
    found = answer(error)

    assert found[:2] == (status, document)
    assert not found[2].errors


def test_change_that_was_sent_to_a_lost_store_may_have_been_made() -> None:
    lost = StoreDown("connection lost: no reply in time", sent=True)
    text = "The meeting store is not reachable."

    assert answer(lost)[1] == {"error": text}  # a call that changes nothing
    changing = answer(lost, replace(CALL, logs="it_was_done"))
    assert changing[1] == {"error": f"{text} The change may have been made."}


def test_error_in_the_groups_of_nurseries_is_found() -> None:
    inner = ExceptionGroup("inner", [StoreDown("lost"), StoreDown("lost")])

    assert answer(ExceptionGroup("outer", [inner]))[0] == 503


def test_defect_is_logged_and_not_shown() -> None:
    status, document, log = answer(ValueError("s3cr3t"))

    assert status == 500
    assert document == {"error": "The request failed; the appliance's log says why."}
    (event,) = log.named("request_failed")
    assert event["call"] == "doIt"
