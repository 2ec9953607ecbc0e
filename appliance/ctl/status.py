"""`ctl status`: the state of the pool in a table, once or repeatedly."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, parse_positive_number
from appliance.ctl.client import ControlClient, ControlError
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE
from appliance.ctl.maintenance import add_next_lines
from appliance.ctl.tables import Column, render_table

_COLUMNS = (
    Column("HOSTNAME"),
    Column("STATE"),
    Column("STATUS"),
    Column("MEETINGS", right=True),
    Column("USERS", right=True),
    Column("LARGEST MEETING", right=True, drop=1),
    Column("VIDEOS", right=True, drop=2),
    Column("LOAD", right=True),
    Column("BBB VERSION", drop=3),
    Column("TAG", drop=4),
)
_OWED = Column("OWED", right=True, drop=5)
"""Recordings that have not arrived; shown if there are any."""
_CLEAR = "\x1b[H\x1b[2J"


def add_status(commands: Commands[Any]) -> None:
    """Add the command."""
    about = "show the state of the pool in a table"
    command = add_command(commands, "status", show, about, "status --watch")
    command.add_argument("--watch", action="store_true", help="repeat until Ctrl-C")
    about = "time between two tables of --watch (2 s)"
    command.add_argument(
        "--interval", metavar="S", type=parse_positive_number, default=2.0, help=about
    )


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the pool once, or with --watch until Ctrl-C."""
    if not args.watch:
        _show_once(console, client.get("getStatus"))
        return DONE
    try:
        _show_again(console, client)
        while True:
            time.sleep(args.interval)
            try:
                _show_again(console, client)
            except ControlError as error:
                if not console.is_terminal:
                    raise
                # The appliance or Redis may be restarting: keep watching.
                console.line(f"{_CLEAR}{error}")
                console.out.flush()
    except KeyboardInterrupt:
        return DONE


def _show_again(console: Console, client: ControlClient) -> None:
    answer = client.get("getStatus")
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
    console.line(
        render_status(answer, colours=console.colours, width=console.width, rake=console.rake)
    )
    if not console.rake:
        add_next_lines(console, answer["servers"])


def render_status(
    answer: Mapping[str, Any], *, colours: bool, width: int | None, rake: bool = False
) -> str:
    """Return the table of a getStatus answer; `rake`: with the columns of Scalelite only."""
    rows: list[tuple[Any, ...]] = [
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
    columns: tuple[Column, ...] = _COLUMNS
    if not rake and any(server.get("recordings_owed") for server in answer["servers"]):
        columns = (*_COLUMNS, _OWED)
        rows = [
            (*row, server["recordings_owed"])
            for row, server in zip(rows, answer["servers"], strict=True)
        ]
    return render_table(columns, rows, colours=colours, width=width)
