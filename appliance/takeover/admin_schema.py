"""Descriptions of the admin calls about a takeover. Pure."""

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
_AFTER = told("Progress within the part, from `next`.", WHOLE, maximum=10**18 - 1)
_PART: Schema = {"enum": ["pool", "recordings", None]}

FINDING = Named(
    "TakeoverFinding",
    record(
        verdict=told(
            "fine; self: the running appliance corrects it; heal: healTakeover corrects it; "
            "person: a person must decide.",
            one_of(*(verdict.value for verdict in Verdict)),
        ),
        text=told("Kind of the items.", TEXT),
        count=told("Number of items.", WHOLE),
        names=told("Names of the items, where they have names.", list_of(TEXT)),
        advice=told("What to do; may be empty.", TEXT),
    ),
)
STEP = Named(
    "TakeoverStep",
    record(
        findings=list_of(FINDING),
        checked=told("Recordings that this step inspected.", WHOLE),
        total=told("All recordings; 0 if this step has not counted them.", WHOLE),
        next=told(
            "Parameters of the next call; null: this was the last.",
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
    "Inspects a part of what a Scalelite left in the stores; changes nothing.",
    STEP,
    _EXAMPLE,
    query={
        "part": _PARTS,
        "after": told("Progress within the part.", TEXT, pattern="^[0-9]{1,18}$"),
    },
    optional=("part", "after"),
    query_example={"part": "pool", "after": "0"},
)
HEAL = About(
    _TAKEOVER,
    "Repairs a part of it: stale entries in Redis, and files of recordings in the wrong place.",
    STEP,
    {**_EXAMPLE, "next": None},
    body=fields(
        part=_PART, after=_AFTER, dry_run=told("Only report what would be done.", MAYBE_FLAG)
    ),
    body_example={"part": "pool", "dry_run": False},
    logs="takeover_healed",
)
