"""`ctl audit`: who changed what, and when."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_limit_option
from appliance.ctl.client import ControlClient, Refusal
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.tables import Column

DEFAULT_LIMIT, MAX_LIMIT = 100, 10_000
_COLUMNS = (
    Column("TIME (UTC)", whole=True),
    Column("WHO"),
    Column("CALL"),
    Column("OBJECT"),
    Column("CHANGE", drop=1),
    Column("RESULT"),
)


def add_audit(commands: Commands[Any]) -> None:
    """Add the command `audit`."""
    about = "show the changes that were made, the newest first: when, by whom, what, the result"
    command = add_command(commands, "audit", show, about, "audit --since 2026-11-25 --object bbb1")
    about = "only changes since a date or time, as 2026-11-25 or 2026-11-25T10:40:07Z"
    command.add_argument("--since", metavar="TIME", type=_parse_time, help=about)
    about = "only changes of objects with this text: an id, a host, `tenant`"
    command.add_argument("--object", metavar="TEXT", default="", help=about)
    about = "only changes by callers with this text: a user, a token, an address"
    command.add_argument("--who", metavar="TEXT", default="", help=about)
    add_limit_option(command, DEFAULT_LIMIT, MAX_LIMIT)


def _parse_time(text: str) -> str:
    from datetime import datetime  # only needed here

    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO date or time") from None
    return text


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the entries in a table; while a store is unreachable, those of the others."""
    given = {"since": args.since, "object": args.object, "who": args.who, "limit": str(args.limit)}
    missing = ""
    try:
        found = client.get_long("audit", **{name: text for name, text in given.items() if text})
    except Refusal as error:
        if error.entries is None:
            raise
        found, missing = error.entries, str(error)
    if console.as_json:
        console.document(found)
    else:
        console.table(_COLUMNS, list(map(_row, found)))
    if missing:
        console.error(missing)
    return FAILED if missing else DONE


def _row(entry: Mapping[str, Any]) -> tuple[object, ...]:
    time = entry["time"].replace("T", " ").removesuffix("Z")
    change = _describe(entry["before"], entry["after"])
    return (time, entry["who"], entry["call"], entry["object"], change, entry["result"])


def _describe(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """Return `state: enabled → cordoned`."""
    if after is None:
        return "-" if before is None else "removed"
    if before is None:
        return "; ".join(f"{name}: {_say(value)}" for name, value in after.items())
    names = dict.fromkeys([*before, *after])
    return "; ".join(
        f"{name}: {_say(before.get(name))} → {_say(after.get(name))}" for name in names
    )


def _say(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_say(one)}" for name, one in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_say, value)) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value in (None, "") else str(value)
