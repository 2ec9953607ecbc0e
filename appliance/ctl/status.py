"""`ctl status`: the table that people look at first, once or again and again."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.client import Caller, ControlError
from appliance.ctl.console import Console
from appliance.ctl.tables import Column, render_table

DONE = 0

_COLUMNS = (
    Column("HOSTNAME"),
    Column("STATE"),
    Column("STATUS"),
    Column("MEETINGS", right=True),
    Column("USERS", right=True),
    Column("LARGEST MEETING", right=True),
    Column("VIDEOS", right=True),
    Column("LOAD", right=True),
    Column("BBB VERSION"),
    Column("TAG"),
)
_CLEAR = "\x1b[H\x1b[2J"


def show(console: Console, caller: Caller, args: Namespace) -> int:
    """Show the pool, with --watch until Ctrl-C."""
    if not args.watch:
        _show_once(console, caller.get("getStatus"))
        return DONE
    try:
        _show_again(console, caller)
        while True:
            time.sleep(args.interval)
            try:
                _show_again(console, caller)
            except ControlError as error:
                if not console.is_terminal:
                    raise
                # It, or Redis, is being restarted, perhaps: the person watches on.
                console.line(f"{_CLEAR}{error}")
                console.out.flush()
    except KeyboardInterrupt:
        return DONE


def _show_again(console: Console, caller: Caller) -> None:
    answer = caller.get("getStatus")
    if console.is_terminal and not console.as_json:
        console.out.write(_CLEAR)
    _show_once(console, answer)
    console.out.flush()


def _show_once(console: Console, answer: Mapping[str, Any]) -> None:
    if console.as_json:
        console.document(answer["servers"])
        return
    if console.rake:
        console.line()
    console.line(render_status(answer, colours=console.colours))


def render_status(answer: Mapping[str, Any], *, colours: bool) -> str:
    """Return the table of a getStatus answer."""
    rows = [
        (
            server["hostname"],
            server["state"],
            server["status"],
            server["meetings"],
            server["users"],
            server["largest_meeting"],
            server["videos"],
            server["load"] if server["load"] != "unavailable" else "-",
            server["bbb_version"],
            server["tag"],
        )
        for server in answer["servers"]
    ]
    return render_table(_COLUMNS, rows, colours=colours)
