"""What the admin calls about the list of servers take and answer (admin_sync_calls.py). Pure."""

from __future__ import annotations

from typing import Any

from appliance.admin_calls.schema import (
    GIVEN_TEXT,
    MAYBE_FLAG,
    TEXT,
    TRUTH,
    WHOLE,
    About,
    Schema,
    fields,
    list_of,
    one_of,
    record,
    told,
)
from appliance.servers.admin_schema import ENDED, URL_EXAMPLE
from appliance.servers.yaml_nodes import MAX_CHARS

_SERVERS = "servers"
_YAML = told(
    "The file as a text. Everything wrong with it is told in `problems`, and nothing is changed.",
    GIVEN_TEXT,
    maxLength=MAX_CHARS,
)
_OUTCOME = told(
    "planned: a dry run; uncertain: the store was lost on the way; not_reached: not done.",
    one_of("planned", "done", "failed", "uncertain", "not_reached"),
)
_CHANGES: Schema = told(
    "What is set; the secret is not shown.",
    {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
)
_STEP = record(
    id=TEXT,
    kind=told(
        "keep, remove, cordon and evict (its meetings are ended) are for servers that the file "
        "does not name.",
        one_of("add", "change", "nothing", "keep", "remove", "cordon", "evict"),
    ),
    changes=_CHANGES,
    meetings=WHOLE,
    outcome=_OUTCOME,
    reason=told("Why it failed.", TEXT),
    ended=list_of(ENDED),
)
_FILE = "servers: {bbb9.example.com: {secret: SERVER-SECRET}}"
_STEP_EXAMPLE: dict[str, Any] = {
    "id": "bbb9.example.com",
    "kind": "add",
    "changes": {
        "url": "https://bbb9.example.com/bigbluebutton/api",
        "secret": "*****",
        "load_multiplier": 1.0,
        "state": "enabled",
    },
    "meetings": 0,
    "outcome": "done",
    "reason": "",
    "ended": [],
}

SYNC_SERVERS = About(
    _SERVERS,
    "Adds, changes and removes servers until the pool is what a YAML file says.",
    record(
        dry_run=TRUTH,
        failure=told("Why it ended early; empty: it went through.", TEXT),
        notes=told("What should be looked at.", list_of(TEXT)),
        servers=list_of(_STEP),
    ),
    {"dry_run": False, "failure": "", "notes": [], "servers": [_STEP_EXAMPLE]},
    body=fields(
        "yaml",
        yaml=_YAML,
        mode=told(
            "What becomes of servers that the file does not name; default: cordon, which removes "
            "empty ones.",
            {"enum": ["keep", "cordon", "force", "", None]},
        ),
        dry_run=told("Only say what would be done.", MAYBE_FLAG),
    ),
    body_example={"yaml": _FILE, "mode": "keep"},
    logs="server_added",
)
EXPORT_SERVERS = About(
    _SERVERS,
    "The pool as a YAML file for syncServers, with the servers' secrets.",
    record(yaml=TEXT),
    {"yaml": f"---\nservers:\n  bbb1:\n    url: {URL_EXAMPLE}\n    secret: SERVER-SECRET\n"},
    query={"verbose": told("With state, load and online.", MAYBE_FLAG)},
    optional=("verbose",),
    query_example={"verbose": "false"},
)
ADD_SERVERS = About(
    _SERVERS,
    "Adds the servers of a YAML list, disabled; those whose url is there already stay as they are.",
    list_of(
        record(
            id=told("Empty: not added.", TEXT),
            url=TEXT,
            outcome=_OUTCOME,
            reason=TEXT,
            was_there=TRUTH,
        )
    ),
    [
        {
            "id": "bbb9",
            "url": "https://bbb9.example.com/bigbluebutton/api",
            "outcome": "done",
            "reason": "",
            "was_there": False,
        }
    ],
    body=fields("yaml", yaml=_YAML),
    body_example={
        "yaml": "servers: [{url: bbb9.example.com, secret: SERVER-SECRET, id: bbb9}]",
    },
    logs="server_added",
)
