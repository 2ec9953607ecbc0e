"""What the admin calls about a takeover take and answer (admin_takeover_calls.py). Pure."""

from __future__ import annotations

from typing import Any

from appliance.admin_calls.schema import (
    MAYBE_FLAG,
    TEXT,
    WHOLE,
    About,
    Named,
    Schema,
    fields,
    list_of,
    one_of,
    record,
    told,
)
from appliance.takeover.findings import Verdict

_TAKEOVER = "takeover"
_PARTS = one_of("pool", "servers", "directories", "database", "recordings", "folders")
_AFTER = told("How far the part is, as `next` says.", WHOLE, maximum=10**18 - 1)
_PART: Schema = {"enum": ["pool", "recordings", None]}

FINDING = Named(
    "TakeoverFinding",
    record(
        verdict=told(
            "fine; self: the appliance puts it right by itself; heal: healTakeover does; person: "
            "somebody must decide.",
            one_of(*(verdict.value for verdict in Verdict)),
        ),
        text=told("What they are.", TEXT),
        count=told("How many.", WHOLE),
        names=told("Which, where they are named.", list_of(TEXT)),
        advice=told("What to do; may be empty.", TEXT),
    ),
)
STEP = Named(
    "TakeoverStep",
    record(
        findings=list_of(FINDING),
        checked=told("Recordings that this step looked at.", WHOLE),
        total=told("Recordings in all; 0 where this step has not counted them.", WHOLE),
        next=told(
            "What to ask for next; null: that was the last.",
            {"anyOf": [{"type": "null"}, record(part=TEXT, after=WHOLE)]},
        ),
    ),
)
_EXAMPLE: dict[str, Any] = {
    "findings": [
        {
            "verdict": "self",
            "text": "meetings whose server was removed",
            "count": 1,
            "names": ["room-9"],
            "advice": "",
        }
    ],
    "checked": 0,
    "total": 0,
    "next": {"part": "servers", "after": 0},
}

CHECK = About(
    _TAKEOVER,
    "Looks at a part of what a Scalelite left in the stores; changes nothing.",
    STEP,
    _EXAMPLE,
    query={"part": _PARTS, "after": told("How far the part is.", TEXT, pattern="^[0-9]{1,18}$")},
    optional=("part", "after"),
    query_example={"part": "pool", "after": "0"},
)
HEAL = About(
    _TAKEOVER,
    "Puts right a part of it: what is stale in Redis, and where the files of recordings are.",
    STEP,
    {**_EXAMPLE, "next": None},
    body=fields(part=_PART, after=_AFTER, dry_run=told("Only say what would be done.", MAYBE_FLAG)),
    body_example={"part": "pool", "dry_run": False},
    logs="takeover_healed",
)
