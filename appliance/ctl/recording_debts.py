"""`ctl recordings owed` and `dismiss`: recordings that servers have not delivered."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import ControlClient
from appliance.ctl.completion import offers
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, USAGE
from appliance.ctl.names import takes_names
from appliance.ctl.tables import Column, counted, format_time

_COLUMNS = (
    Column("SERVER"),
    Column("RECORDING", whole=True),
    Column("MEETING", drop=3),
    Column("ENDED (UTC)", drop=2),
    Column("AWAITED", drop=1),
)


def add_debts(recordings: Commands[Any]) -> None:
    """Add the commands to the group `recordings`."""
    about = "show the recordings that servers owe: made there, and not arrived"
    command = add_command(recordings, "owed", owed, about, "recordings owed bbb1")
    about = "id or host of a server, or its beginning; default: all"
    command.add_argument("server", metavar="SERVER", nargs="?", help=about)
    takes_names(command, "known server", "server")
    about = "wait no longer for recordings that a server owes, so that it can be removed"
    example = "recordings dismiss bbb1 math-101"
    command = add_command(recordings, "dismiss", dismiss, about, example)
    about = "id or host of the server, or its beginning, see `recordings owed`"
    command.add_argument("server", metavar="SERVER", help=about)
    takes_names(command, "known server", "server")
    about = "recordIDs or meetingIDs"
    action = command.add_argument("recordings", metavar="RECORDING|MEETING", nargs="*", help=about)
    offers(action, "owed recording")
    about = "all that the server owes"
    command.add_argument("--all", action="store_true", help=about)


def owed(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the recordings that are owed."""
    query = {"server": args.server} if args.server else {}
    found = client.get("getOwedRecordings", **query)
    if console.as_json:
        console.document(found)
        return DONE
    rows = [
        (
            *(one["hostname"], one["record_id"], one["meeting"], format_time(one["ended"])),
            "yes" if one["awaited"] else "no",
        )
        for one in found
    ]
    console.table(_COLUMNS, rows)
    return DONE


def dismiss(console: Console, client: ControlClient, args: Namespace) -> int:
    """Wait no longer for recordings."""
    if bool(args.recordings) == args.all:
        console.error("name recordings or meetings, or say --all")
        return USAGE
    body = {"server": args.server, "recordings": args.recordings, "all": args.all}
    answer = client.post("dismissRecordings", body)
    if console.as_json:
        console.document(answer)
    else:
        console.line(f"{counted(len(answer['dismissed']), 'recording')} dismissed")
    return DONE
