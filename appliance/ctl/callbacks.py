"""`ctl callbacks [list|retry|drop]`: the queue of calls to front-ends."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group, add_limit_option
from appliance.ctl.client import ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.tables import Column, shorten

_COLUMNS = (
    Column("ID"),
    Column("KIND"),
    Column("STATE"),
    Column("RECEIVER"),
    Column("MEETING ID", drop=3),
    Column("TRIES", right=True, drop=1),
    Column("NEXT", right=True, drop=2),
    Column("LAST"),
)


STATES = ("pending", "done", "failed", "dropped")
DEFAULT_LIMIT, MAX_LIMIT = 50, 10_000


def add_callbacks(commands: Commands[Any]) -> None:
    """Add the group `callbacks`."""
    about = "manage the queue of calls to front-ends"
    group = add_group(commands, "callbacks", about, show, state=None, limit=DEFAULT_LIMIT)
    about = "show calls, the newest first"
    command = add_command(group, "list", show, about, "callbacks list --state failed")
    command.add_argument("--state", choices=STATES, help="only calls in this state")
    add_limit_option(command, DEFAULT_LIMIT, MAX_LIMIT)
    about = "try calls again at once, and for another day"
    command = add_command(group, "retry", retry, about, "callbacks retry 17")
    command.add_argument("ids", metavar="ID", nargs="*", help="only these (default: all failed)")
    about = "remove calls from the queue; they are never sent"
    command = add_command(group, "drop", drop, about, "callbacks drop 42")
    command.add_argument("ids", metavar="ID", nargs="+", help="ids, see `callbacks list`")


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show calls in a table."""
    query = {"limit": str(args.limit)} | ({"state": args.state} if args.state else {})
    answer = client.get("listCallbacks", **query)
    if console.as_json:
        console.document(answer["callbacks"])
    else:
        console.table(_COLUMNS, [_row(one) for one in answer["callbacks"]])
    return _report(console, answer)


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    wait = "" if one["next_in_s"] is None else f"{one['next_in_s']} s"
    return (
        one["id"],
        one["kind"],
        one["state"],
        one["receiver"],
        shorten(one["meeting_id"]),
        one["attempts"],
        "now" if one["sending"] else wait,
        one["last_error"] or one["last_status"] or "-",
    )


def retry(console: Console, client: ControlClient, args: Namespace) -> int:
    """Schedule calls for another attempt."""
    return _change(console, client, "retryCallbacks", args.ids, "scheduled for retry")


def drop(console: Console, client: ControlClient, args: Namespace) -> int:
    """Remove calls from the queue."""
    return _change(console, client, "dropCallbacks", args.ids, "dropped")


def _change(console: Console, client: ControlClient, call: str, ids: list[str], done: str) -> int:
    answer = client.post(call, {"ids": ids})
    if console.as_json:
        console.document(answer)
    else:
        count = len(answer["ids"])
        console.line(f"{count} {'call' if count == 1 else 'calls'} {done}")
    for one in answer["unchanged"]:
        console.error(f"{one}: unknown call, or not possible in its state")
    return max(_report(console, answer), FAILED if answer["unchanged"] else DONE)


def _report(console: Console, answer: Mapping[str, Any]) -> int:
    """Report the stores that could not be read."""
    console.out.flush()
    for problem in answer["problems"]:
        console.error(problem)
    return FAILED if answer["problems"] else DONE
