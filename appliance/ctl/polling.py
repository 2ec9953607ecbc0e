"""`ctl poll`: have every server asked now, and show what each said."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.control import Caller
from appliance.control.client import LONG_S
from appliance.ctl.console import Console
from appliance.ctl.tables import Column

DONE = 0

_COLUMNS = (
    Column("HOSTNAME"),
    Column("STATE"),
    Column("STATUS"),
    Column("MEETINGS", right=True),
    Column("USERS", right=True),
    Column("LOAD", right=True),
    Column("BBB VERSION"),
    Column("RESULT"),
)


def poll(console: Console, caller: Caller, args: Namespace) -> int:
    """Poll the servers; it is done when all have answered or failed to, so always 0."""
    results = caller.post("poll", {"what": args.what}, deadline_s=LONG_S)
    if console.as_json:
        console.document(results)
    elif not console.rake:  # rake's tasks print nothing
        console.table(_COLUMNS, [_row(result) for result in results])
    return DONE


def _row(result: Mapping[str, Any]) -> tuple[object, ...]:
    measured = result["load"] != "unavailable"
    return (
        result["hostname"],
        result["state"],
        result["online"],
        result["meetings"] if measured else "-",
        result["users"] if measured else "-",
        result["load"] if measured else "-",
        result["bbb_version"],
        "ok" if result["succeeded"] else result["reason"],
    )
