"""`ctl callbacks [list|retry|drop]`: the calls to front-ends."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.client import Caller
from appliance.ctl.console import Console
from appliance.ctl.tables import Column, shorten

DONE, FAILED = 0, 1

_COLUMNS = (
    Column("ID"),
    Column("KIND"),
    Column("STATE"),
    Column("RECEIVER"),
    Column("MEETING ID"),
    Column("TRIES", right=True),
    Column("NEXT", right=True),
    Column("LAST"),
)


def show(console: Console, caller: Caller, args: Namespace) -> int:
    """Show calls in a table."""
    query = {"limit": str(args.limit)} | ({"state": args.state} if args.state else {})
    answer = caller.get("listCallbacks", **query)
    if console.as_json:
        console.document(answer["callbacks"])
    else:
        console.table(_COLUMNS, [_row(one) for one in answer["callbacks"]])
    return _report(console, answer)


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    waits = "" if one["next_in_s"] is None else f"{one['next_in_s']} s"
    return (
        one["id"],
        one["kind"],
        one["state"],
        one["receiver"],
        shorten(one["meeting_id"]),
        one["attempts"],
        "now" if one["sending"] else waits,
        one["last_error"] or one["last_status"] or "-",
    )


def retry(console: Console, caller: Caller, args: Namespace) -> int:
    """Try calls again, now and for another day."""
    return _change(console, caller, "retryCallbacks", args.ids, "to be tried now")


def drop(console: Console, caller: Caller, args: Namespace) -> int:
    """Take calls out of the queue."""
    return _change(console, caller, "dropCallbacks", args.ids, "dropped")


def _change(console: Console, caller: Caller, call: str, ids: list[str], done: str) -> int:
    answer = caller.post(call, {"ids": ids})
    if console.as_json:
        console.document(answer)
    else:
        count = len(answer["ids"])
        console.line(f"{count} {'call' if count == 1 else 'calls'} {done}")
    for one in answer["unchanged"]:
        console.error(f"{one}: no such call, or nothing to be done about it now")
    return max(_report(console, answer), FAILED if answer["unchanged"] else DONE)


def _report(console: Console, answer: Mapping[str, Any]) -> int:
    """Say which stores could not be asked."""
    console.out.flush()
    for problem in answer["problems"]:
        console.error(problem)
    return FAILED if answer["problems"] else DONE
