"""What the admin calls about callbacks take and answer (admin_callback_calls.py). Pure."""

from __future__ import annotations

from typing import Any

from appliance.admin_calls.schema import (
    GIVEN_TEXT,
    MAYBE_TEXTS,
    TEXT,
    TEXT_OR_NULL,
    TRUTH,
    WHOLE,
    WHOLE_OR_NULL,
    About,
    Schema,
    fields,
    limit,
    list_of,
    one_of,
    record,
    told,
)
from appliance.callbacks.rules import CallbackKind, CallbackState

DEFAULT_LIMIT, MAX_LIMIT = 50, 10_000
EXAMPLE_ID = "r50d858e0985ecc7f"

_GROUP = "callbacks"
_STATES = tuple(state.value for state in CallbackState)
_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_PROBLEMS = told("Which of the queue's two stores could not be asked, and why.", list_of(TEXT))
_CALLBACK = record(
    id=TEXT,
    kind=one_of(*(kind.value for kind in CallbackKind)),
    state=told(
        "failed: refused for good (404, 410), not to be sent, or tried for a day.",
        one_of(*_STATES),
    ),
    sending=told("An appliance is at it.", TRUTH),
    receiver=told("Scheme, host and port of the url.", TEXT),
    url=told("As the front-end gave it; it may hold a token of the front-end's.", TEXT),
    tenant_id=TEXT_OR_NULL,
    meeting_id=told("The front-end's own.", TEXT),
    record_id=TEXT_OR_NULL,
    attempts=WHOLE,
    created_ms=told("Milliseconds since the epoch.", WHOLE),
    next_in_s=told("Until the next attempt, of a pending one.", _COUNT),
    last_status=told("HTTP status of the last answer.", WHOLE_OR_NULL),
    last_error=told("Why it is not done.", TEXT_OR_NULL),
)
_EXAMPLE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "kind": CallbackKind.RECORDING_READY.value,
    "state": CallbackState.PENDING.value,
    "sending": False,
    "receiver": "https://lms.example.org",
    "url": "https://lms.example.org/ready",
    "tenant_id": None,
    "meeting_id": "room-7",
    "record_id": "5573e39b6600496d40f493d00ec7658479a19607-1700000000154",
    "attempts": 3,
    "created_ms": 1700003600000,
    "next_in_s": 17,
    "last_status": 503,
    "last_error": "the receiver answered 503",
}
_CHANGED = record(
    ids=told("Those that were changed.", list_of(TEXT)),
    unchanged=told(
        "What was asked for besides: unknown, being sent, or not in a state for it.", list_of(TEXT)
    ),
    problems=_PROBLEMS,
)
_CHANGED_EXAMPLE: dict[str, Any] = {"ids": [EXAMPLE_ID], "unchanged": [], "problems": []}
_IDS: Schema = told("Of the callbacks, as listCallbacks shows them.", list_of(GIVEN_TEXT))

LIST_CALLBACKS = About(
    _GROUP,
    "The calls to front-ends that wait or were made in the last week, the newest first.",
    record(callbacks=list_of(_CALLBACK), problems=_PROBLEMS),
    {"callbacks": [_EXAMPLE], "problems": []},
    query={
        "state": told("Only those in this state.", {"enum": [*_STATES, "", None]}),
        "limit": limit(DEFAULT_LIMIT, MAX_LIMIT),
    },
    optional=("state", "limit"),
    query_example={"state": "pending", "limit": "50"},
)
RETRY_CALLBACKS = About(
    _GROUP,
    "Tries callbacks now, and for another day: those named, also if they wait or are done.",
    _CHANGED,
    _CHANGED_EXAMPLE,
    body=fields(ids=told("Default: all that failed.", MAYBE_TEXTS)),
    body_example={"ids": [EXAMPLE_ID]},
    logs="callbacks_retried_by_hand",
)
DROP_CALLBACKS = About(
    _GROUP,
    "Takes callbacks that wait or failed out of the queue, so that they are never sent.",
    _CHANGED,
    _CHANGED_EXAMPLE,
    body=fields("ids", ids={**_IDS, "minItems": 1}),
    body_example={"ids": [EXAMPLE_ID]},
    logs="callbacks_dropped",
)
