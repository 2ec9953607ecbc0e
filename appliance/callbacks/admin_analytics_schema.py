"""What the admin calls about analytics take and answer (admin_analytics_calls.py). Pure."""

from __future__ import annotations

from typing import Any

from appliance.admin_calls.schema import (
    GIVEN_TEXT,
    TEXT,
    WHOLE,
    About,
    limit,
    list_of,
    record,
    told,
)

DEFAULT_LIMIT, MAX_LIMIT = 50, 10_000
EXAMPLE_ID = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"

_GROUP = "analytics"
_ID = told("Of the run of the meeting: BBB's internal meeting id.", TEXT)
_STORED = record(
    id=_ID,
    meeting_id=told("The front-end's own.", TEXT),
    customer=told("The tenant's name; without tenants `scalelite`.", TEXT),
    received_ms=told("Milliseconds since the epoch.", WHOLE),
    bytes=WHOLE,
)
_EXAMPLE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "meeting_id": "room-7",
    "customer": "school",
    "received_ms": 1700003600000,
    "bytes": 20480,
}

LIST_ANALYTICS = About(
    _GROUP,
    "The reports about meetings that are kept (ANALYTICS_STORE), the newest first.",
    record(analytics=list_of(_STORED)),
    {"analytics": [_EXAMPLE]},
    query={
        "limit": limit(DEFAULT_LIMIT, MAX_LIMIT),
    },
    optional=("limit",),
    query_example={"limit": "50"},
)
GET_ANALYTICS = About(
    _GROUP,
    "One report, as the server wrote it, with `customer`.",
    record(id=_ID, report=told("BBB says what is in it.", {})),
    {
        "id": EXAMPLE_ID,
        "report": {"version": "1.0", "meeting_id": "room-7", "customer": "school", "data": {}},
    },
    query={"id": told("As listAnalytics shows it.", GIVEN_TEXT)},
    query_example={"id": EXAMPLE_ID},
    refusals={404: "No such report is kept."},
)
